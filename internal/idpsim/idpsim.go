// Package idpsim is the other side of platform/relying: a simulator of a hospital group's OpenID
// Connect provider and of WeChat's login, over real HTTP, for the demo and tests. It keeps its
// own rules (secrets, PKCE, codes that work once), asks on a page who logs in, and lies on demand.
// Nobody's real account is here.
//
//	/oidc    the issuer: discovery, authorize, token, jwks, userinfo
//	/wechat  connect/qrconnect and connect/oauth2/authorize, sns/oauth2/access_token, userinfo, auth
//	POST /faults {"kind","times"}  the next answers are wrong in that way (see the constants)
//
// login_hint=SUBJECT in an address of authorize logs that person in without the page.
package idpsim

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
)

const (
	ioTimeout = 15 * time.Second
	drainTime = 5 * time.Second
	codeTime  = time.Minute
	keep      = 1000 // codes and tokens
	maxFaults = 100
)

// Person is somebody who can log in at the simulator.
type Person struct {
	Subject string
	Name    string
	// Strong: the provider asks this person for two factors and says so.
	Strong bool
}

// App is how the simulator knows the hospital: client_id and client_secret, or appid and secret.
type App struct {
	ID     string
	Secret secret.Text
}

// Options of the simulator.
type Options struct {
	Listen  string // HOST:PORT
	Public  bool   // allow another address than the loopback, and hosts other than it to be led back to
	OIDC    App
	WeChat  App
	Staff   []Person // of the group's provider
	Members []Person // of WeChat
	Clock   clock.Clock
	Log     *slog.Logger
}

// Server is one simulator. It is safe for concurrent use.
type Server struct {
	Options
	listener net.Listener
	mux      *http.ServeMux
	key      *ecdsa.PrivateKey
	other    *ecdsa.PrivateKey // nobody's

	mu     sync.Mutex
	codes  map[string]*login
	tokens map[string]*login
	faults []Fault
}

// login is one that was begun here.
type login struct {
	who                        Person
	redirect, nonce, challenge string
	scope, client              string
	used                       bool
	until                      time.Time
}

// New opens the socket.
func New(o Options) (*Server, error) {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("idpsim: %w", err)
	}
	if !o.Public && !loopback(host) {
		return nil, fmt.Errorf("idpsim: %s is not on the loopback", o.Listen)
	}
	s := &Server{Options: o, mux: http.NewServeMux(), codes: map[string]*login{}, tokens: map[string]*login{}}
	for _, k := range []**ecdsa.PrivateKey{&s.key, &s.other} {
		if *k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, err
		}
	}
	if s.listener, err = net.Listen("tcp", o.Listen); err != nil {
		return nil, fmt.Errorf("idpsim: %w", err)
	}
	s.oidcRoutes()
	s.wechatRoutes()
	s.mux.HandleFunc("POST /faults", s.postFault)
	return s, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// URL is the address of the socket.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Issuer is the OpenID provider's.
func (s *Server) Issuer() string { return s.URL() + "/oidc" }

// WeChatURL is where the WeChat side has its pages and its API.
func (s *Server) WeChatURL() string { return s.URL() + "/wechat" }

// Serve answers until ctx ends, then drains and closes the socket.
func (s *Server) Serve(ctx context.Context) error {
	srv := &http.Server{
		Handler: s.mux, ReadHeaderTimeout: ioTimeout, ReadTimeout: ioTimeout, WriteTimeout: ioTimeout, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(s.listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if srv.Shutdown(drain) != nil {
		_ = srv.Close()
	}
	return nil
}

// Close closes the socket of a simulator that is not served; closing twice is allowed.
func (s *Server) Close() { _ = s.listener.Close() }

func random() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// put keeps a login under a new code or token.
func (s *Server) put(m map[string]*login, l *login) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(m) >= keep {
		clear(m)
	}
	k := random()
	m[k] = l
	return k
}

// take uses a code up; nil for one that is unknown, old or was used.
func (s *Server) take(code string) *login {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.codes[code]
	if l == nil || l.used || s.Clock.Now().After(l.until) {
		return nil
	}
	l.used = true
	return l
}

// safe tells whether the browser may be led there: the registered address of an app of the demo.
func (s *Server) safe(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Fragment == "" && (s.Public || loopback(u.Hostname())) &&
		strings.HasPrefix(u.Path, "/api/v1/auth/idp/") && strings.HasSuffix(u.Path, "/callback")
}

func answer(w http.ResponseWriter, status int, media string, body any) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller has gone
}

func refuse(w http.ResponseWriter, status int, code string) {
	answer(w, status, "application/json", map[string]string{"error": code})
}

// back leads the browser to the hospital with q.
func back(w http.ResponseWriter, r *http.Request, to string, q url.Values) {
	u, err := url.Parse(to)
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid_request")
		return
	}
	u.RawQuery = q.Encode()
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
}

func find(all []Person, subject string) (Person, error) {
	for _, p := range all {
		if p.Subject == subject {
			return p, nil
		}
	}
	return Person{}, errors.New("nobody")
}
