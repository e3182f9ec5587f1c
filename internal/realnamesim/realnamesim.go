// Package realnamesim is the other side of package realname: a simulator of a real-name
// service over real HTTP, for the demo and tests. It keeps nothing and logs no personal
// data. Its answers follow from the question alone, the first rule that fits:
//
//  1. a name with 查无 in it: unknown
//  2. a resident_id or hmt_residence whose number has not 18 characters or a wrong check
//     digit (GB 11643, modulo 11-2): unknown
//  3. any other document number shorter than 5 characters: unknown
//  4. a name with 不符 in it: mismatch
//  5. a phone that ends in 0000: mismatch
//  6. everything else: match
//
// Every request is signed with the shared key; POST /faults makes trouble (package
// simserver).
package realnamesim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/realname"
	"xinglin/internal/platform/sms/signed"
	"xinglin/internal/smssim/simserver"
)

// Options of the simulator.
type Options = simserver.Options

// Server is one simulator. It is safe for concurrent use.
type Server struct {
	*simserver.Server
	key secret.Text
}

// New opens the socket. Call Serve, or Handler, and Close.
func New(o Options) (*Server, error) {
	base, err := simserver.New(o)
	if err != nil {
		return nil, fmt.Errorf("realnamesim: %w", err)
	}
	s := &Server{Server: base, key: o.Key}
	s.Handle("POST "+realname.PathVerifications, s.post)
	return s, nil
}

func (s *Server) post(body []byte, r *http.Request) (any, error) {
	var in realname.Request
	if err := signed.Decode(body, &in); err != nil {
		return nil, err
	}
	if in.Name == "" || in.DocumentType == "" || in.DocumentNumber == "" {
		return nil, &signed.Refusal{Status: http.StatusUnprocessableEntity, Code: "person_incomplete"}
	}
	out := realname.Result{Outcome: judge(in), Reference: s.reference(in), At: s.Clock.Now().UTC()}
	s.Log.DebugContext(r.Context(), "realnamesim: answered", "outcome", string(out.Outcome), "reference", out.Reference)
	return out, nil
}

func judge(in realname.Request) realname.Outcome {
	switch {
	case strings.Contains(in.Name, "查无"), !plausible(in.DocumentType, in.DocumentNumber):
		return realname.Unknown
	case strings.Contains(in.Name, "不符"), strings.HasSuffix(in.Phone, "0000"):
		return realname.Mismatch
	}
	return realname.Match
}

func plausible(kind, number string) bool {
	if kind == "resident_id" || kind == "hmt_residence" {
		return checkDigit(number)
	}
	return utf8.RuneCountInString(number) >= 5
}

// checkDigit is the rule of GB 11643 (R63): the digits, weighted by powers of 2 modulo
// 11 from the right, and the check character (X is 10) sum to 1 modulo 11.
func checkDigit(number string) bool {
	if len(number) != 18 {
		return false
	}
	sum := 0
	for i, c := range number {
		v := int(c - '0')
		if i == 17 && (c == 'X' || c == 'x') {
			v = 10
		} else if c < '0' || c > '9' {
			return false
		}
		weight := 1 << (17 - i) % 11
		sum += v * weight
	}
	return sum%11 == 1
}

// reference is the same for the same question and tells nothing about it.
func (s *Server) reference(in realname.Request) string {
	h := hmac.New(sha256.New, []byte(s.key.Reveal()))
	h.Write([]byte(strings.Join([]string{"reference", in.Name, in.DocumentType, in.DocumentNumber, in.Phone}, "\x00")))
	return "RN-" + hex.EncodeToString(h.Sum(nil)[:12])
}
