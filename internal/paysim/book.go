package paysim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"xinglin/internal/platform/wechatpay"
)

const (
	maxOrders     = 20_000  // orders kept; the oldest finished one makes room
	maxRefunds    = 50      // refunds of one order, as at the real channel
	maxLines      = 200_000 // lines of the journal before it is written anew
	maxLine       = 64 << 10
	maxDeliveries = 64 // callbacks remembered for GET /sim/deliveries
)

// order is one transaction at the simulated channel.
type order struct {
	MchID         string    `json:"mchid"`
	AppID         string    `json:"appid"`
	OutTradeNo    string    `json:"out_trade_no"`
	TransactionID string    `json:"transaction_id,omitempty"`
	Token         string    `json:"token"` // names the cashier page
	TradeType     string    `json:"trade_type"`
	Description   string    `json:"description"`
	Attach        string    `json:"attach,omitempty"`
	NotifyURL     string    `json:"notify_url"`
	TotalFen      int64     `json:"total_fen"`
	State         string    `json:"state"`
	CreatedAt     time.Time `json:"created_at"`
	ExpiresAt     time.Time `json:"expires_at"`
	PaidAt        time.Time `json:"paid_at,omitzero"`
	Hook          hook      `json:"hook,omitzero"`
}

// refund is one refund at the simulated channel.
type refund struct {
	MchID         string    `json:"mchid"`
	OutTradeNo    string    `json:"out_trade_no"`
	TransactionID string    `json:"transaction_id"`
	OutRefundNo   string    `json:"out_refund_no"`
	RefundID      string    `json:"refund_id"`
	NotifyURL     string    `json:"notify_url,omitempty"`
	RefundFen     int64     `json:"refund_fen"`
	TotalFen      int64     `json:"total_fen"`
	State         string    `json:"state"`
	CreatedAt     time.Time `json:"created_at"`
	DoneAt        time.Time `json:"done_at,omitzero"`
	Hook          hook      `json:"hook,omitzero"`
}

// hook is the progress of one notification. An empty ID: none was made.
type hook struct {
	ID        string    `json:"id,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	Attempts  int       `json:"attempts,omitempty"`
	Done      bool      `json:"done,omitempty"` // taken by the merchant, given up or lost on demand
}

func (h hook) pending() bool { return h.ID != "" && !h.Done }

// number names an order or refund: numbers are a merchant's own.
type number struct{ mchID, no string }

// book is the state, guarded by mu and written through to the journal.
type book struct {
	mu       sync.Mutex
	path     string
	file     *os.File
	lines    int
	orders   map[number]*order
	byToken  map[string]*order
	sequence []number // orders, oldest first
	refunds  map[number]*refund
	ofOrder  map[number][]*refund
}

type line struct {
	Order  *order  `json:"order,omitempty"`
	Refund *refund `json:"refund,omitempty"`
}

// openBook reads the journal and writes it anew without what later lines replaced. A last line that a crash cut off is
// dropped; another bad line is an error.
func openBook(path string) (*book, error) {
	b := &book{
		path: path, orders: map[number]*order{}, byToken: map[string]*order{},
		refunds: map[number]*refund{}, ofOrder: map[number][]*refund{},
	}
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if end := bytes.LastIndexByte(raw, '\n'); end >= 0 {
		raw = raw[:end+1]
	} else {
		raw = nil
	}
	sc := bufio.NewScanner(bytes.NewReader(raw))
	sc.Buffer(nil, 2*maxLine)
	for n := 1; sc.Scan(); n++ {
		var l line
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		b.take(l)
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	return b, b.rewrite()
}

// take puts one line into the maps.
func (b *book) take(l line) {
	if o := l.Order; o != nil {
		k := number{o.MchID, o.OutTradeNo}
		if b.orders[k] == nil {
			b.sequence = append(b.sequence, k)
		}
		b.orders[k], b.byToken[o.Token] = o, o
	}
	if r := l.Refund; r != nil {
		k, of := number{r.MchID, r.OutRefundNo}, number{r.MchID, r.OutTradeNo}
		if old := b.refunds[k]; old != nil {
			*old = *r
			return
		}
		b.refunds[k] = r
		b.ofOrder[of] = append(b.ofOrder[of], r)
	}
}

// save appends one line; the caller holds mu.
func (b *book) save(l line) error {
	if b.file == nil {
		return errors.New("the journal is closed")
	}
	raw, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if len(raw) > maxLine {
		return errors.New("the record is too long")
	}
	if _, err := b.file.Write(append(raw, '\n')); err != nil {
		return err
	}
	if b.lines++; b.lines > maxLines {
		return b.rewrite()
	}
	return nil
}

// rewrite makes the journal one line a record; the caller holds mu (or is alone).
func (b *book) rewrite() error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	b.lines = 0
	for _, k := range b.sequence {
		if err := enc.Encode(line{Order: b.orders[k]}); err != nil {
			return err
		}
		b.lines++
		for _, r := range b.ofOrder[k] {
			if err := enc.Encode(line{Refund: r}); err != nil {
				return err
			}
			b.lines++
		}
	}
	if err := replace(b.path, buf.Bytes()); err != nil {
		return err
	}
	if b.file != nil {
		b.file.Close()
	}
	var err error
	b.file, err = os.OpenFile(b.path, os.O_APPEND|os.O_WRONLY, 0o600)
	return err
}

func (b *book) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil {
		return nil
	}
	err := b.file.Close()
	b.file = nil
	return err
}

// find is a copy of an order, with the state it has at now.
func (b *book) find(k number, now time.Time) (order, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.orders[k]
	if o == nil {
		return order{}, false
	}
	return o.at(now), true
}

func (b *book) findToken(token string, now time.Time) (order, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.byToken[token]
	if o == nil {
		return order{}, false
	}
	return o.at(now), true
}

// findNo is the newest order with a number, whoever's it is; for scripts.
func (b *book) findNo(no string, now time.Time) (order, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.sequence) - 1; i >= 0; i-- {
		if b.sequence[i].no == no {
			return b.orders[b.sequence[i]].at(now), true
		}
	}
	return order{}, false
}

func (b *book) findRefund(k number) (refund, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.refunds[k]
	if r == nil {
		return refund{}, false
	}
	return *r, true
}

// at is the order as it is at now: closed when nobody paid in time.
func (o *order) at(now time.Time) order {
	c := *o
	if c.State == wechatpay.StateNotPaid && !now.Before(c.ExpiresAt) {
		c.State = wechatpay.StateClosed
	}
	return c
}

// newest lists at most n orders, newest first.
func (b *book) newest(n int, now time.Time) []order {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := []order{}
	for i := len(b.sequence) - 1; i >= 0 && len(out) < n; i-- {
		out = append(out, b.orders[b.sequence[i]].at(now))
	}
	return out
}

// room drops the oldest order that is closed or whose notifications are over; false when there is none.
func (b *book) room(now time.Time) bool {
	if len(b.sequence) < maxOrders {
		return true
	}
	for i, k := range b.sequence {
		o := b.orders[k].at(now)
		if o.State == wechatpay.StateNotPaid || o.Hook.pending() || b.busy(k) {
			continue
		}
		for _, r := range b.ofOrder[k] {
			delete(b.refunds, number{r.MchID, r.OutRefundNo})
		}
		delete(b.ofOrder, k)
		delete(b.byToken, o.Token)
		delete(b.orders, k)
		b.sequence = append(b.sequence[:i:i], b.sequence[i+1:]...)
		return true
	}
	return false
}

func (b *book) busy(k number) bool {
	for _, r := range b.ofOrder[k] {
		if r.State == wechatpay.RefundProcessing || r.Hook.pending() {
			return true
		}
	}
	return false
}
