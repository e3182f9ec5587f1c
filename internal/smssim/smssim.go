// Package smssim is the other side of package sms: a simulator of a text-message
// gateway over real HTTP, for the demo and tests. It verifies signatures, keeps the last
// messages in memory, reports deliveries when asked to, and makes faults on demand. No
// message leaves the machine.
//
//	POST /v1/messages   as package sms says; the same id and content again gives the same answer,
//	                    other content 409 id_reused, a phone that is none 422 phone_invalid
//	GET  /inbox?limit=  the last messages, the newest first
//	POST /faults        as package simserver says
//
// Every request is signed with the shared key.
package smssim

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/sms"
	"xinglin/internal/platform/sms/signed"
	"xinglin/internal/smssim/simserver"
)

const (
	keep         = 500    // messages, unless Options say otherwise
	keepIDs      = 10_000 // ids that are taken once
	maxReceipts  = 1000   // waiting
	receiptTries = 3
	receiptPause = time.Second
)

// Options of the simulator.
type Options struct {
	simserver.Options
	ReceiptURL string // where deliveries are reported; empty: nowhere
	Keep       int    // messages; 0 means 500
}

// Message is one that was taken. Times are UTC.
type Message struct {
	ID         string            `json:"id"` // the sender's
	ProviderID string            `json:"provider_id"`
	Phone      string            `json:"phone"`
	Template   string            `json:"template"`
	Params     map[string]string `json:"params"`
	Text       string            `json:"text"`
	At         time.Time         `json:"at"`
}

type taken struct {
	providerID string
	hash       [sha256.Size]byte
}

// Server is one simulator. It is safe for concurrent use.
type Server struct {
	*simserver.Server
	hook *signed.Client // nil: no receipts

	keep int

	mu       sync.Mutex
	messages []Message // the oldest first
	ids      map[string]taken
	order    []string // of ids, the oldest first

	receipts chan sms.Receipt
	stop     context.CancelFunc
	work     sync.WaitGroup
}

// New opens the socket. Call Serve, or Handler, and Close.
func New(o Options) (*Server, error) {
	base, err := simserver.New(o.Options)
	if err != nil {
		return nil, fmt.Errorf("smssim: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{Server: base, keep: cmp.Or(o.Keep, keep), ids: map[string]taken{}, receipts: make(chan sms.Receipt, maxReceipts), stop: stop}
	if o.ReceiptURL != "" {
		s.hook, err = signed.NewClient(signed.Options{
			URL: o.ReceiptURL, Key: signed.Key{ID: o.KeyID, Secret: o.Key}, Clock: base.Clock,
		})
		if err != nil {
			stop()
			base.Close()
			return nil, fmt.Errorf("smssim: receipts: %w", err)
		}
		s.work.Go(func() { s.report(ctx) })
	}
	s.Handle("POST "+sms.PathMessages, s.post)
	s.Control("GET /inbox", s.inbox)
	return s, nil
}

// Close stops the receipts and closes the socket; closing twice is allowed.
func (s *Server) Close() {
	s.stop()
	s.work.Wait()
	if s.hook != nil {
		s.hook.Close()
	}
	s.Server.Close()
}

// Messages are the last ones taken, the newest first; limit 0 is all that are kept.
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

// To are those kept that a phone got, with or without the country's +86, the newest first.
func (s *Server) To(phone string) (out []Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range slices.Backward(s.messages) {
		if strings.TrimPrefix(m.Phone, "+86") == strings.TrimPrefix(phone, "+86") {
			out = append(out, m)
		}
	}
	return out
}

func (s *Server) inbox(_ []byte, r *http.Request) (any, error) {
	limit := 50
	if q := r.URL.Query().Get("limit"); q != "" {
		n, err := strconv.Atoi(q)
		if err != nil || n < 1 || n > 100 {
			return nil, &signed.Refusal{Status: http.StatusUnprocessableEntity, Code: "limit_invalid"}
		}
		limit = n
	}
	// The client reads at most signed.MaxBody: leave out what does not fit.
	out, size := []json.RawMessage{}, 0
	for _, m := range s.Messages(limit) {
		b, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		if size += len(b) + 1; size > signed.MaxBody-64 {
			break
		}
		out = append(out, b)
	}
	return map[string]any{"messages": out}, nil
}

var phoneForm = regexp.MustCompile(`^\+?[0-9]{5,15}$`)

func (s *Server) post(body []byte, r *http.Request) (any, error) {
	var in sms.Request
	if err := signed.Decode(body, &in); err != nil {
		return nil, err
	}
	switch {
	case in.ID == "" || len(in.ID) > 128 || in.Text == "" && in.Template == "":
		return nil, &signed.Refusal{Status: http.StatusUnprocessableEntity, Code: "message_incomplete"}
	case !phoneForm.MatchString(in.Phone):
		return nil, &signed.Refusal{Status: http.StatusUnprocessableEntity, Code: "phone_invalid"}
	}
	hash := sha256.Sum256(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.ids[in.ID]; ok {
		if t.hash != hash {
			return nil, &signed.Refusal{Status: http.StatusConflict, Code: "id_reused"}
		}
		return sms.Response{ID: t.providerID}, nil
	}
	now := s.Clock.Now().UTC()
	m := Message{
		ID: in.ID, ProviderID: id.New[Message](now).String(), Phone: in.Phone,
		Template: in.Template, Params: in.Params, Text: in.Text, At: now,
	}
	s.remember(m, hash)
	s.Log.DebugContext(r.Context(), "smssim: message taken", "id", m.ID, "template", m.Template)
	if s.hook != nil {
		select {
		case s.receipts <- sms.Receipt{ID: m.ID, ProviderID: m.ProviderID, State: sms.Delivered, At: now}:
		default:
			s.Log.WarnContext(r.Context(), "smssim: receipt dropped, too many are waiting", "id", m.ID)
		}
	}
	return sms.Response{ID: m.ProviderID}, nil
}

func (s *Server) remember(m Message, hash [sha256.Size]byte) {
	s.messages = append(s.messages, m)
	if len(s.messages) > s.keep {
		s.messages = append(s.messages[:0], s.messages[1:]...)
	}
	s.ids[m.ID] = taken{m.ProviderID, hash}
	s.order = append(s.order, m.ID)
	if len(s.order) > keepIDs {
		delete(s.ids, s.order[0])
		s.order = s.order[1:]
	}
}

// report tells the sender of deliveries, one after the other.
func (s *Server) report(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case rec := <-s.receipts:
			s.deliver(ctx, rec)
		}
	}
}

func (s *Server) deliver(ctx context.Context, rec sms.Receipt) {
	for n := range receiptTries {
		var out struct{}
		err := s.hook.Do(ctx, http.MethodPost, "", rec, &out)
		if err == nil || ctx.Err() != nil {
			return
		}
		s.Log.WarnContext(ctx, "smssim: receipt failed", "id", rec.ID, "attempt", n+1, "reason", err.Error())
		select {
		case <-ctx.Done():
			return
		case <-time.After(receiptPause):
		}
	}
}
