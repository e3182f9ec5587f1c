// Package pushsim is the other side of package webpush: a push service over real HTTP
// with browsers behind it, for the demo and tests. It checks the hospital's signature
// (RFC 8292), decrypts as a browser does (RFC 8291), keeps the last messages in memory
// and makes faults on demand. No message leaves the machine.
//
//	POST /devices {"key": the hospital's public key}  a new browser: {"endpoint","p256dh","auth"}
//	POST /push/{token}                                as RFC 8030 says
package pushsim

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/httpx"
)

const (
	keep       = 500  // messages
	maxDevices = 1000 // the oldest makes room
	maxBody    = 8 << 10
	ioTime     = 10 * time.Second
)

// Device is a browser's subscription, as it would hand it to the hospital's page.
type Device struct {
	Endpoint string `json:"endpoint"`
	P256dh   string `json:"p256dh"`
	Auth     string `json:"auth"`
}

// Message is one that was taken and decrypted. At is UTC.
type Message struct {
	Endpoint string
	Payload  []byte
	Topic    string
	TTL      string
	Urgency  string
	At       time.Time
}

// Kind of a fault.
type Kind string

// The faults. Lost takes the message and answers nothing, Dropped takes nothing.
const (
	Gone     Kind = "gone"      // 410
	NotFound Kind = "not_found" // 404
	Limited  Kind = "limited"   // 429
	Down     Kind = "down"      // 503
	Rejected Kind = "rejected"  // 400
	Moved    Kind = "moved"     // 307 to elsewhere
	Dropped  Kind = "dropped"
	Lost     Kind = "lost"
)

// browser is the secret half of a Device.
type browser struct {
	token string
	key   string // the hospital's public key that it subscribed with
	dh    *ecdh.PrivateKey
	auth  []byte
}

// Options of the simulator.
type Options struct {
	Listen string      // a loopback address: 127.0.0.1:0
	Clock  clock.Clock // nil is the system's
	Log    *slog.Logger
}

// Server is one simulator. It is safe for concurrent use.
type Server struct {
	o        Options
	listener net.Listener

	mu       sync.Mutex
	browsers map[string]*browser
	order    []string // tokens, the oldest first
	messages []Message
	faults   []Kind
}

// New opens the socket. Call Serve; Close ends it.
func New(o Options) (*Server, error) {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, errors.New("pushsim: want a loopback address")
	}
	s := &Server{o: o, browsers: map[string]*browser{}}
	if s.listener, err = net.Listen("tcp", o.Listen); err != nil {
		return nil, fmt.Errorf("pushsim: %w", err)
	}
	return s, nil
}

// URL is the address of the socket.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Close closes the socket; closing twice is allowed.
func (s *Server) Close() { _ = s.listener.Close() }

// Serve answers until ctx ends, then drains for at most 5 s.
func (s *Server) Serve(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /devices", s.postDevice)
	mux.HandleFunc("POST /push/{token}", s.postMessage)
	srv := &http.Server{
		Handler: httpx.Harden(false, mux), ReadHeaderTimeout: ioTime, ReadTimeout: ioTime, WriteTimeout: ioTime, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if srv.Shutdown(end) != nil {
			_ = srv.Close()
		}
	})
	err := srv.Serve(s.listener)
	if stop() { // ctx has not ended: somebody closed the socket
		_ = srv.Close()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		return fmt.Errorf("pushsim: %w", err)
	}
	<-done
	return nil
}

// Subscribe makes a browser that takes messages signed with the key only.
func (s *Server) Subscribe(key string) (Device, error) {
	dh, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return Device{}, err
	}
	b := &browser{token: rand.Text(), key: key, dh: dh, auth: make([]byte, 16)}
	if _, err := rand.Read(b.auth); err != nil {
		return Device{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.browsers[b.token] = b
	s.order = append(s.order, b.token)
	if len(s.order) > maxDevices {
		delete(s.browsers, s.order[0])
		s.order = s.order[1:]
	}
	return Device{
		Endpoint: s.URL() + "/push/" + b.token, P256dh: base64.RawURLEncoding.EncodeToString(dh.PublicKey().Bytes()),
		Auth: base64.RawURLEncoding.EncodeToString(b.auth),
	}, nil
}

// Fault queues a fault for the next n messages.
func (s *Server) Fault(k Kind, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.faults = append(s.faults, k)
	}
}

// Messages are the last ones taken, the newest first; limit 0 is all that are kept (500).
func (s *Server) Messages(limit int) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.messages)
	if limit > 0 {
		n = min(n, limit)
	}
	out := make([]Message, 0, n)
	for i := range n {
		out = append(out, s.messages[len(s.messages)-1-i])
	}
	return out
}

func (s *Server) postDevice(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Key string `json:"key"`
	}
	if json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&in) != nil || in.Key == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	d, err := s.Subscribe(in.Key)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(d)
}

// next takes the fault of one message and finds its browser.
func (s *Server) next(token string) (*browser, Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var k Kind
	if len(s.faults) > 0 {
		k, s.faults = s.faults[0], s.faults[1:]
	}
	return s.browsers[token], k
}

func (s *Server) postMessage(w http.ResponseWriter, r *http.Request) {
	b, fault := s.next(r.PathValue("token"))
	status := map[Kind]int{Gone: 410, NotFound: 404, Limited: 429, Down: 503, Rejected: 400}[fault]
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case fault == Dropped:
		panic(http.ErrAbortHandler) // hangs up
	case fault == Moved:
		w.Header().Set("Location", s.URL()+"/elsewhere")
		status = http.StatusTemporaryRedirect
	case status != 0:
	case err != nil:
		status = http.StatusBadRequest
	case b == nil:
		status = http.StatusNotFound
	case len(body) > maxBody:
		status = http.StatusRequestEntityTooLarge
	default:
		status = s.take(b, r, body)
	}
	if fault == Lost && status == http.StatusCreated {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(status)
}

// take judges one message as a push service and its browser would.
func (s *Server) take(b *browser, r *http.Request, body []byte) int {
	if err := signed(r, s.URL(), b.key); err != nil {
		s.o.Log.Warn("pushsim: signature", "error", err)
		return http.StatusForbidden
	}
	if r.Header.Get("Content-Encoding") != "aes128gcm" || r.Header.Get("TTL") == "" || len(r.Header.Get("Topic")) > 32 {
		return http.StatusBadRequest
	}
	plain, err := b.decrypt(body)
	if err != nil {
		s.o.Log.Warn("pushsim: content", "error", err)
		return http.StatusBadRequest
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, Message{
		Endpoint: s.URL() + "/push/" + b.token, Payload: plain, Topic: r.Header.Get("Topic"), TTL: r.Header.Get("TTL"), Urgency: r.Header.Get("Urgency"), At: s.o.Clock.Now().UTC(),
	})
	if len(s.messages) > keep {
		s.messages = append(s.messages[:0], s.messages[1:]...)
	}
	return http.StatusCreated
}
