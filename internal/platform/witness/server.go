package witness

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"xinglin/internal/kernel/attest"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/process"
)

// Options of a witness.
type Options struct {
	Listen string // host:port
	Key    string // file of the private key, made when missing; what was signed is in KEY.book and KEY.heads beside it
	Clock  clock.Clock
	Log    *slog.Logger
	Rate   int // new subjects and heads a second; 0 is 20
}

// Server is a witness. One process at a time has a key's folder.
type Server struct {
	book    *book
	logs    *logs
	rate    *rate.Limiter
	listen  net.Listener
	log     *slog.Logger
	release func()
}

// New takes the folder, reads key and book, and opens the socket.
func New(ctx context.Context, o Options) (s *Server, err error) {
	if o.Rate == 0 {
		o.Rate = 20
	}
	release, err := process.LockDir(filepath.Dir(o.Key))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	key, err := loadKey(o.Key)
	if err != nil {
		return nil, err
	}
	b, err := openBook(o.Key+".book", key, o.Clock)
	if err != nil {
		return nil, err
	}
	heads, err := openLogs(o.Key+".heads", key, o.Clock)
	if err != nil {
		b.close()
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		b.close()
		heads.close()
		return nil, err
	}
	return &Server{book: b, logs: heads, rate: rate.NewLimiter(rate.Limit(o.Rate), 4*o.Rate), listen: l, log: o.Log, release: release}, nil
}

// URL is where hospitals reach it.
func (s *Server) URL() string { return "http://" + s.listen.Addr().String() }

// PublicKey is the key under which its statements hold, in hexadecimal.
func (s *Server) PublicKey() string { return hex.EncodeToString(s.book.public()) }

// Serve answers until ctx ends, then finishes what it has in hand.
func (s *Server) Serve(ctx context.Context) error {
	srv := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = srv.Shutdown(end)
	})
	defer stop()
	err := srv.Serve(s.listen)
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	s.book.mu.Lock() // a handler that outlived the shutdown has written, or does not any more
	defer s.book.mu.Unlock()
	s.logs.mu.Lock()
	defer s.logs.mu.Unlock()
	s.book.broken, s.logs.broken = true, true
	s.book.close()
	s.logs.close()
	s.release()
	return err
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/key", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]string{"key": s.PublicKey()}) })
	mux.HandleFunc("GET "+PathStatements+"/{subject}", func(w http.ResponseWriter, r *http.Request) {
		subject := unhex(r.PathValue("subject"), len(attest.Subject{}))
		if subject == nil {
			refuse(w, ErrMalformed.New())
			return
		}
		found, _, ok := s.book.find(attest.Subject(subject))
		if !ok {
			refuse(w, ErrUnknown.New())
			return
		}
		answer(w, found)
	})
	mux.HandleFunc("POST "+PathStatements, func(w http.ResponseWriter, r *http.Request) {
		got, err := s.sign(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			s.log.Warn("witness: refused", "code", codeOf(err))
			refuse(w, err)
			return
		}
		answer(w, got)
	})
	s.headRoutes(mux)
	return httpx.Harden(false, mux)
}

func (s *Server) headRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET "+PathHeads+"/{log}", func(w http.ResponseWriter, r *http.Request) {
		name, ok := logName(r.PathValue("log"))
		if !ok {
			refuse(w, ErrMalformed.New())
			return
		}
		found, ok := s.logs.find(name)
		if !ok {
			refuse(w, ErrUnknown.New())
			return
		}
		answer(w, found)
	})
	mux.HandleFunc("POST "+PathHeads, func(w http.ResponseWriter, r *http.Request) {
		var in headRequest
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxHeadBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			refuse(w, ErrMalformed.Wrap(err))
			return
		}
		line, known, err := s.logs.cosign(in, s.rate.Allow)
		if err != nil {
			s.log.Warn("witness: a head was refused", "code", codeOf(err))
			if errors.Is(err, ErrOtherSize) { // who lost the thread may take it up again
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusConflict)
				_ = json.NewEncoder(w).Encode(cosigned{Head: known.Head, Code: codeOf(err)})
				return
			}
			refuse(w, err)
			return
		}
		answer(w, cosigned{Cosignature: line, Head: known.Head})
	})
}

// sign reads one request, strictly, and answers it from the book.
func (s *Server) sign(body io.Reader) (Statement, error) {
	var in request
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return Statement{}, ErrMalformed.Wrap(err)
	}
	subject, digest, ask := unhex(in.Subject, len(attest.Subject{})), unhex(in.Digest, attest.DigestSize), unhex(in.Ask, 64)
	if subject == nil || digest == nil || ask == nil {
		return Statement{}, ErrMalformed.New()
	}
	if !attest.Asked(attest.Subject(subject), attest.Digest(digest), ask) {
		return Statement{}, ErrAsk.New()
	}
	if found, was, ok := s.book.find(attest.Subject(subject)); ok {
		if was != attest.Digest(digest) {
			return Statement{}, ErrOther.New()
		}
		return found, nil
	}
	if !s.rate.Allow() {
		return Statement{}, ErrBusy.After(time.Second)
	}
	return s.book.sign(attest.Subject(subject), attest.Digest(digest))
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func codeOf(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Code.Name
	}
	return "internal"
}

// refuse answers the code with both titles.
func refuse(w http.ResponseWriter, err error) {
	status, code, zh, en := http.StatusInternalServerError, "witness.internal", "内部错误", "Internal error"
	if f := fault.Of(err); f != nil {
		status, code, zh, en = httpx.Status(f.Code.Kind), f.Code.Name, f.Code.ZH, f.Code.EN
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "title_zh": zh, "title_en": en})
}
