package mailsim

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/textproto"
	"strings"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
)

// session is one connection: what it has said so far.
type session struct {
	s        *Server
	conn     net.Conn
	text     *textproto.Conn
	fault    Kind
	secure   bool
	known    bool // logged in
	from, to string
}

var errHangUp = errors.New("hung up on demand")

func newSession(s *Server, c net.Conn, fault Kind) *session {
	return &session{s: s, conn: c, text: textproto.NewConn(c), fault: fault}
}

func (x *session) say(format string, a ...any) error {
	_ = x.conn.SetDeadline(clock.Mono().Add(ioTime))
	return x.text.PrintfLine(format, a...)
}

func (x *session) run() error {
	if x.fault == Down {
		return x.say("421 4.3.2 not now")
	}
	if err := x.say("220 mailsim ESMTP"); err != nil {
		return err
	}
	for range maxSteps {
		line, err := x.text.ReadLine()
		if err != nil {
			return err
		}
		if len(line) > 1000 {
			return x.say("500 5.5.2 the line is too long")
		}
		verb, rest, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		if verb == "QUIT" {
			return x.say("221 2.0.0 goodbye")
		}
		if err := x.step(verb, rest); err != nil {
			return err
		}
	}
	return x.say("421 4.7.0 too many commands")
}

func (x *session) step(verb, rest string) error {
	switch verb {
	case "EHLO", "HELO":
		return x.hello()
	case "STARTTLS":
		return x.starttls()
	case "AUTH":
		return x.login(rest)
	case "NOOP":
		return x.say("250 2.0.0 ok")
	case "RSET":
		x.from, x.to = "", ""
		return x.say("250 2.0.0 ok")
	case "MAIL", "RCPT", "DATA":
		switch {
		case !x.secure:
			return x.say("530 5.7.0 STARTTLS first")
		case !x.known:
			return x.say("530 5.7.0 log in first")
		}
		return x.envelope(verb, rest)
	}
	return x.say("502 5.5.1 not known here")
}

func (x *session) hello() error {
	if !x.secure {
		return x.say("250-mailsim\r\n250-SIZE %d\r\n250-ENHANCEDSTATUSCODES\r\n250 STARTTLS", maxSize)
	}
	return x.say("250-mailsim\r\n250-SIZE %d\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250 AUTH PLAIN", maxSize)
}

func (x *session) starttls() error {
	if x.secure {
		return x.say("503 5.5.1 it is on")
	}
	if err := x.say("220 2.0.0 go on"); err != nil {
		return err
	}
	c := tls.Server(x.conn, x.s.tls)
	if err := c.Handshake(); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	x.conn, x.text, x.secure = c, textproto.NewConn(c), true
	return nil
}

func (x *session) login(rest string) error {
	kind, proof, _ := strings.Cut(rest, " ")
	switch {
	case !x.secure:
		return x.say("530 5.7.0 STARTTLS first")
	case !strings.EqualFold(kind, "PLAIN"):
		return x.say("504 5.5.4 PLAIN only")
	}
	raw, err := base64.StdEncoding.DecodeString(proof)
	parts := strings.Split(string(raw), "\x00")
	if err != nil || len(parts) != 3 || parts[1] != user || !secret.New(parts[2]).Equal(x.s.o.Password) {
		return x.say("535 5.7.8 wrong user or password")
	}
	x.known = true
	return x.say("235 2.7.0 welcome")
}

func (x *session) envelope(verb, rest string) error {
	switch verb {
	case "MAIL":
		x.from = between(rest)
		return x.say("250 2.1.0 ok")
	case "RCPT":
		switch {
		case x.fault == Greylisted:
			return x.say("451 4.7.1 come again later")
		case x.fault == Refused:
			return x.say("550 5.1.1 nobody of that name")
		case between(rest) == "":
			return x.say("501 5.1.3 that is no address")
		}
		x.to = between(rest)
		return x.say("250 2.1.5 ok")
	}
	if x.from == "" || x.to == "" {
		return x.say("503 5.5.1 MAIL and RCPT first")
	}
	return x.data()
}

func between(s string) string {
	_, s, _ = strings.Cut(s, "<")
	s, _, _ = strings.Cut(s, ">")
	return s
}

func (x *session) data() error {
	if err := x.say("354 go on"); err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(x.text.DotReader(), maxSize+1))
	if err != nil {
		return err
	}
	if x.fault == Dropped {
		return errHangUp
	}
	if len(body) > maxSize {
		return x.say("552 5.3.4 too large")
	}
	m, err := x.parse(body)
	if err != nil {
		return x.say("554 5.6.0 that is no mail")
	}
	x.s.take(m)
	if x.fault == Lost {
		return errHangUp
	}
	x.from, x.to = "", ""
	return x.say("250 2.0.0 taken")
}

// parse reads what package mail writes: one part of text.
func (x *session) parse(body []byte) (Mail, error) {
	m, err := mail.ReadMessage(bytes.NewReader(body))
	if err != nil {
		return Mail{}, err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		return Mail{}, err
	}
	var in io.Reader = m.Body
	switch strings.ToLower(m.Header.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		in = quotedprintable.NewReader(in)
	case "base64":
		in = base64.NewDecoder(base64.StdEncoding, in)
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return Mail{}, err
	}
	return Mail{
		ID: strings.Trim(m.Header.Get("Message-Id"), "<>"), From: x.from, To: x.to, Subject: subject,
		Text: strings.ReplaceAll(string(text), "\r\n", "\n"), At: x.s.o.Clock.Now().UTC(),
	}, nil
}
