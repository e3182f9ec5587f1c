package paysim

import (
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Faults are made on demand: POST /sim/faults replaces all of them, {} ends them.
type Faults struct {
	LoseCallbacks  int  `json:"lose_callbacks"`  // so many notifications are lost with all their repetitions
	DelayMS        int  `json:"delay_ms"`        // before the first delivery of each notification
	Duplicate      bool `json:"duplicate"`       // each delivery comes twice, signed anew
	Replay         bool `json:"replay"`          // each delivery comes twice, the very same bytes and headers
	Answer5xx      int  `json:"answer_5xx"`      // so many API calls are answered 500
	WrongSignature int  `json:"wrong_signature"` // so many deliveries are signed with another key
	BadAnswers     int  `json:"bad_answers"`     // so many API answers are signed with another key
	Late           bool `json:"late"`            // deliveries carry a timestamp 10 minutes old
}

const (
	maxDelayMS = 10 * 60 * 1000
	maxFaults  = 1_000_000
)

func (f Faults) valid() bool {
	for _, n := range []int{f.LoseCallbacks, f.Answer5xx, f.WrongSignature, f.BadAnswers} {
		if n < 0 || n > maxFaults {
			return false
		}
	}
	return f.DelayMS >= 0 && f.DelayMS <= maxDelayMS
}

// faults are the faults still to be made, and the last deliveries.
type faults struct {
	mu   sync.Mutex
	f    Faults
	last []Delivery
}

type callbackFaults struct{ duplicate, replay, late, wrongSignature bool }

func (f *faults) take(n *int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *n <= 0 {
		return false
	}
	*n--
	return true
}

func (f *faults) lose() bool      { return f.take(&f.f.LoseCallbacks) }
func (f *faults) answer5xx() bool { return f.take(&f.f.Answer5xx) }
func (f *faults) badAnswer() bool { return f.take(&f.f.BadAnswers) }

func (f *faults) delay() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Duration(f.f.DelayMS) * time.Millisecond
}

func (f *faults) forCallback() callbackFaults {
	wrong := f.take(&f.f.WrongSignature)
	f.mu.Lock()
	defer f.mu.Unlock()
	return callbackFaults{f.f.Duplicate, f.f.Replay, f.f.Late, wrong}
}

func (f *faults) remember(d Delivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.last) >= maxDeliveries {
		f.last = append(f.last[:0:0], f.last[1:]...)
	}
	f.last = append(f.last, d)
}

func (f *faults) deliveries(outTradeNo string) []Delivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []Delivery{}
	for _, d := range f.last {
		if outTradeNo == "" || d.OutTradeNo == outTradeNo {
			out = append(out, d)
		}
	}
	return out
}

// controlRoutes are for tests and scripts; the real channel has none of them.
func (s *Server) controlRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /sim/faults", s.control(s.getFaults))
	mux.HandleFunc("POST /sim/faults", s.control(s.setFaults))
	mux.HandleFunc("GET /sim/transactions", s.control(s.listOrders))
	mux.HandleFunc("GET /sim/transactions/{no}", s.control(s.getOrder))
	mux.HandleFunc("POST /sim/transactions/{no}/pay", s.control(s.payOrder))
	mux.HandleFunc("GET /sim/deliveries", s.control(s.listDeliveries))
}

// control refuses pages of other origins.
func (s *Server) control(f func(w http.ResponseWriter, r *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !sameOrigin(r) {
			writeJSON(w, http.StatusForbidden, errorBody("NO_AUTH", "不允许跨站请求"))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		f(w, r)
	}
}

func sameOrigin(r *http.Request) bool {
	o := r.Header.Get("Origin")
	if o == "" {
		return true
	}
	u, err := url.Parse(o)
	return err == nil && u.Host == r.Host
}

func (s *Server) getFaults(w http.ResponseWriter, _ *http.Request) {
	s.faults.mu.Lock()
	f := s.faults.f
	s.faults.mu.Unlock()
	writeJSON(w, http.StatusOK, f)
}

func (s *Server) setFaults(w http.ResponseWriter, r *http.Request) {
	var f Faults
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil || !f.valid() {
		writeJSON(w, http.StatusBadRequest, errorBody("PARAM_ERROR", "故障参数有误"))
		return
	}
	s.SetFaults(f)
	writeJSON(w, http.StatusOK, f)
}

// SetFaults replaces all faults, as POST /sim/faults does.
func (s *Server) SetFaults(f Faults) {
	s.faults.mu.Lock()
	s.faults.f = f
	s.faults.mu.Unlock()
}

func (s *Server) listOrders(w http.ResponseWriter, _ *http.Request) {
	items := []map[string]any{}
	for _, o := range s.book.newest(100, s.o.Clock.Now()) {
		items = append(items, s.controlView(o))
	}
	writeJSON(w, http.StatusOK, map[string]any{"items": items})
}

func (s *Server) getOrder(w http.ResponseWriter, r *http.Request) {
	o, ok := s.book.findNo(r.PathValue("no"), s.o.Clock.Now())
	if !ok {
		writeJSON(w, http.StatusNotFound, errorBody("ORDER_NOT_EXIST", "订单不存在"))
		return
	}
	writeJSON(w, http.StatusOK, s.controlView(o))
}

// controlView is a transaction with what only the simulator knows.
func (s *Server) controlView(o order) map[string]any {
	out := o.json()
	out["cashier"], out["callback_attempts"], out["callback_done"] = "/h5/"+o.Token, o.Hook.Attempts, o.Hook.Done
	return out
}

func (s *Server) payOrder(w http.ResponseWriter, r *http.Request) {
	o, ok := s.book.findNo(r.PathValue("no"), s.o.Clock.Now())
	if !ok {
		writeJSON(w, http.StatusNotFound, errorBody("ORDER_NOT_EXIST", "订单不存在"))
		return
	}
	o, e := s.pay(o)
	if e != nil {
		writeJSON(w, e.status, errorBody(e.code, e.message))
		return
	}
	writeJSON(w, http.StatusOK, s.controlView(o))
}

// pay marks an order paid and tells the merchant, once.
func (s *Server) pay(o order) (order, *apiError) {
	k := number{o.MchID, o.OutTradeNo}
	paid, fresh, e := s.book.pay(k, s.o.Clock.Now())
	if fresh {
		s.announce(notice{number: k})
	}
	return paid, e
}

func (s *Server) listDeliveries(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"items": s.faults.deliveries(r.URL.Query().Get("out_trade_no"))})
}
