// Package kmssim is the other side of package keysource's cloud: a simulator of Alibaba Cloud KMS's OpenAPI over real HTTP, for tests and for
// trying a wrapped root key without an account. It checks signatures, clocks, nonces, keys and encryption contexts as the service does, and
// makes faults on demand. Its keys lie open in its folder: they guard nothing.
//
//	POST /   x-acs-action: Encrypt {KeyId, Plaintext, EncryptionContext} -> {KeyId, CiphertextBlob, RequestId}
//	                       Decrypt {CiphertextBlob, EncryptionContext}   -> {KeyId, Plaintext, RequestId}
//
// A refusal is {Code, Message, RequestId} with the service's codes.
package kmssim

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
)

const (
	maxBody   = 64 << 10
	maxNonces = 100_000
	maxFaults = 100
	skew      = 15 * time.Minute
	ioTimeout = 15 * time.Second
	drainTime = 5 * time.Second
)

// Options of the simulator. Only Dir is required.
type Options struct {
	Dir    string      // account and keys; made if missing
	Listen string      // HOST:PORT on the loopback; empty: no socket, use Handler
	TLS    *tls.Config // nil: plain HTTP
	Clock  clock.Clock // nil is the system's
}

// Fault makes the next Times requests fail. Without a code the connection ends.
type Fault struct {
	Status int
	Code   string
	Times  int           // 0 is 1
	Delay  time.Duration // before the answer, which is as usual when Status is 0
	Replay bool          // answer with the last successful body again
}

// account is what DIR/account.json holds.
type account struct {
	AccessKeyID     string            `json:"access_key_id"`
	AccessKeySecret string            `json:"access_key_secret"`
	Keys            map[string]string `json:"keys"` // id -> 64 hex digits
}

// Server is one simulator. It is safe for concurrent use.
type Server struct {
	account  account
	clock    clock.Clock
	tls      *tls.Config
	listener net.Listener

	mu       sync.Mutex
	nonces   map[string]time.Time
	disabled map[string]bool
	faults   []Fault
	last     []byte
	asked    int
}

// KeyID is the key that a new folder gets.
const KeyID = "key-sim-0001"

// New opens the folder and the socket. A new folder gets one key, an access key, and source.json for xinglin keys wrap.
func New(o Options) (*Server, error) {
	if o.Dir == "" {
		return nil, errors.New("kmssim: a folder wanted")
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	s := &Server{clock: o.Clock, tls: o.TLS, nonces: map[string]time.Time{}, disabled: map[string]bool{}}
	if err := s.load(o.Dir); err != nil {
		return nil, fmt.Errorf("kmssim: %w", err)
	}
	if o.Listen == "" {
		return s, nil
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("kmssim: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("kmssim: %s is not on the loopback: the simulator guards nothing", o.Listen)
	}
	if s.listener, err = net.Listen("tcp", o.Listen); err != nil {
		return nil, fmt.Errorf("kmssim: %w", err)
	}
	if o.TLS != nil {
		s.listener = tls.NewListener(s.listener, o.TLS)
	}
	if err := s.describe(o.Dir); err != nil {
		s.Close()
		return nil, fmt.Errorf("kmssim: %w", err)
	}
	return s, nil
}

func (s *Server) load(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, "account.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		s.account = account{AccessKeyID: "sim" + word(8), AccessKeySecret: word(16), Keys: map[string]string{KeyID: word(32)}}
		if b, err = json.MarshalIndent(s.account, "", "  "); err != nil {
			return err
		}
		return os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(b, &s.account)
}

// describe writes what a client needs: source.json, and the secret that it names.
func (s *Server) describe(dir string) error {
	b, err := json.MarshalIndent(map[string]string{
		"kind": "kms", "endpoint": s.URL(), "key": KeyID, "access_key_id": s.account.AccessKeyID, "access_key_secret": "file:secret",
	}, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, "secret"), []byte(s.account.AccessKeySecret+"\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "source.json"), append(b, '\n'), 0o600))
}

func word(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails on supported systems
	return hex.EncodeToString(b)
}

// URL is the address of the socket.
func (s *Server) URL() string {
	if s.tls != nil {
		return "https://" + s.listener.Addr().String()
	}
	return "http://" + s.listener.Addr().String()
}

// Serve answers until ctx ends.
func (s *Server) Serve(ctx context.Context) error {
	srv := &http.Server{Handler: s.Handler(), ReadTimeout: ioTimeout, WriteTimeout: ioTimeout + maxDelay, IdleTimeout: time.Minute, BaseContext: func(net.Listener) context.Context { return ctx }}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(s.listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err := srv.Shutdown(drain)
	<-ended
	return err
}

// Close closes the socket of a simulator that does not serve.
func (s *Server) Close() {
	if s.listener != nil {
		_ = s.listener.Close()
	}
}

// Disable switches a key off or on.
func (s *Server) Disable(key string, off bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disabled[key] = off
}

// Fail queues a fault.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) < maxFaults {
		f.Times = max(f.Times, 1)
		s.faults = append(s.faults, f)
	}
}

// Asked counts the requests so far.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

const maxDelay = 30 * time.Second

// next takes the fault for this request.
func (s *Server) next() (f Fault, last []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if len(s.faults) == 0 {
		return f, nil
	}
	f = s.faults[0]
	if s.faults[0].Times--; s.faults[0].Times == 0 {
		s.faults = s.faults[1:]
	}
	return f, s.last
}

// refusal is the service's no.
type refusal struct {
	status int
	code   string
}

func (r *refusal) Error() string { return r.code }

// Handler is the simulator without its socket.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, last := s.next()
		if f.Delay > 0 {
			t := time.NewTimer(min(f.Delay, maxDelay))
			defer t.Stop()
			select {
			case <-t.C:
			case <-r.Context().Done():
				return
			}
		}
		switch {
		case f.Replay:
			answer(w, http.StatusOK, last)
		case f.Code != "":
			refuse(w, &refusal{f.Status, f.Code})
		case f.Times > 0 && f.Delay == 0:
			panic(http.ErrAbortHandler)
		default:
			out, err := s.act(r)
			if err != nil {
				refuse(w, err)
				return
			}
			out["RequestId"] = word(16)
			b, err := json.Marshal(out)
			if err != nil {
				refuse(w, err)
				return
			}
			s.mu.Lock()
			s.last = b
			s.mu.Unlock()
			answer(w, http.StatusOK, b)
		}
	})
}

func answer(w http.ResponseWriter, status int, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the caller is gone: nothing to do
}

func refuse(w http.ResponseWriter, err error) {
	no := &refusal{http.StatusInternalServerError, "InternalFailure"}
	errors.As(err, &no)
	b, _ := json.Marshal(map[string]string{"Code": no.code, "Message": "refused by the simulator", "RequestId": word(16)}) // strings
	answer(w, no.status, b)
}

// act does what a request with a good signature asks for.
func (s *Server) act(r *http.Request) (map[string]string, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(body) > maxBody || r.Method != http.MethodPost || r.URL.Path != "/" {
		return nil, &refusal{http.StatusBadRequest, "InvalidParameter"}
	}
	if err := s.verify(r, body); err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || r.Header.Get("X-Acs-Version") != "2016-01-20" {
		return nil, &refusal{http.StatusBadRequest, "InvalidParameter"}
	}
	bound, err := canonicalContext(form.Get("EncryptionContext"))
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, "InvalidParameter"}
	}
	switch r.Header.Get("X-Acs-Action") {
	case "Encrypt":
		plain, err := base64.StdEncoding.DecodeString(form.Get("Plaintext"))
		if err != nil || len(plain) == 0 || len(plain) > 6<<10 {
			return nil, &refusal{http.StatusBadRequest, "InvalidParameter"}
		}
		id := form.Get("KeyId")
		aead, err := s.key(id)
		if err != nil {
			return nil, err
		}
		nonce := make([]byte, aead.NonceSize())
		_, _ = rand.Read(nonce)
		blob := append([]byte{byte(len(id))}, id...)
		blob = aead.Seal(append(blob, nonce...), nonce, plain, bound)
		return map[string]string{"KeyId": id, "CiphertextBlob": base64.StdEncoding.EncodeToString(blob)}, nil
	case "Decrypt":
		return s.decrypt(form.Get("CiphertextBlob"), bound)
	}
	return nil, &refusal{http.StatusBadRequest, "InvalidAction.NotFound"}
}

func (s *Server) decrypt(text string, bound []byte) (map[string]string, error) {
	bad := &refusal{http.StatusBadRequest, "InvalidParameter"}
	blob, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(blob) < 2 || len(blob) < 1+int(blob[0]) {
		return nil, bad
	}
	id := string(blob[1 : 1+blob[0]])
	aead, err := s.key(id)
	if err != nil {
		return nil, err
	}
	rest := blob[1+len(id):]
	if len(rest) < aead.NonceSize() {
		return nil, bad
	}
	plain, err := aead.Open(nil, rest[:aead.NonceSize()], rest[aead.NonceSize():], bound)
	if err != nil {
		return nil, bad
	}
	return map[string]string{"KeyId": id, "Plaintext": base64.StdEncoding.EncodeToString(plain)}, nil
}

// canonicalContext is the context with its names sorted.
func canonicalContext(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	var m map[string]string
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil, err
	}
	return json.Marshal(m)
}

func (s *Server) key(id string) (cipher.AEAD, error) {
	s.mu.Lock()
	off := s.disabled[id]
	s.mu.Unlock()
	raw, err := hex.DecodeString(s.account.Keys[id])
	if err != nil || len(raw) == 0 {
		return nil, &refusal{http.StatusNotFound, "Forbidden.KeyNotFound"}
	}
	if off {
		return nil, &refusal{http.StatusConflict, "Rejected.Disabled"}
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
