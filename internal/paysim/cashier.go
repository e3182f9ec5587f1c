package paysim

import (
	_ "embed"
	"html/template"
	"net/http"
	"net/url"

	"xinglin/internal/platform/httpx"
	"xinglin/internal/platform/wechatpay"
)

//go:embed cashier.html
var cashierHTML string

var cashierStyle = httpx.Inline(cashierHTML, "style")

var cashierPage = template.Must(template.New("cashier").Parse(cashierHTML))

// cashierView is what the page shows.
type cashierView struct {
	Merchant, Description, Number, Yuan string
	Open, Paid                          bool
	Message                             string
	Return                              string // where the browser goes afterwards; empty: nowhere
	Action                              string
}

// cashier shows the order behind a token. ?redirect_url= must be on a host of the merchant, else it is ignored.
func (s *Server) cashier(w http.ResponseWriter, r *http.Request) {
	o, m, ok := s.cashierOrder(r)
	if !ok {
		s.renderCashier(w, http.StatusNotFound, nil, cashierView{Message: "未找到该支付订单,链接可能已失效"})
		return
	}
	back := s.returnURL(m, r)
	v := cashierView{
		Merchant: m.Name, Description: o.Description, Number: o.OutTradeNo, Yuan: money(o.TotalFen),
		Action: r.URL.RequestURI(),
	}
	if back != nil {
		v.Return = back.String()
	}
	switch o.State {
	case wechatpay.StateNotPaid:
		v.Open = true
	case wechatpay.StatePaid:
		v.Paid, v.Message = true, "支付成功"
	case wechatpay.StateRefund:
		v.Paid, v.Message = true, "已支付,之后发生过退款"
	default:
		v.Message = "订单已关闭或已过期,无法支付"
	}
	s.renderCashier(w, http.StatusOK, back, v)
}

// cashierAct takes a button: act=pay pays, anything else leaves the order as it is; then the browser goes back.
func (s *Server) cashierAct(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if !sameOrigin(r) {
		s.renderCashier(w, http.StatusForbidden, nil, cashierView{Message: "不允许跨站请求"})
		return
	}
	o, m, ok := s.cashierOrder(r)
	if !ok {
		s.renderCashier(w, http.StatusNotFound, nil, cashierView{Message: "未找到该支付订单,链接可能已失效"})
		return
	}
	if r.PostFormValue("act") == "pay" {
		if _, e := s.pay(o); e != nil {
			http.Redirect(w, r, r.URL.RequestURI(), http.StatusSeeOther) // shows why not
			return
		}
	}
	if back := s.returnURL(m, r); back != nil {
		http.Redirect(w, r, back.String(), http.StatusSeeOther)
		return
	}
	http.Redirect(w, r, r.URL.RequestURI(), http.StatusSeeOther)
}

func (s *Server) cashierOrder(r *http.Request) (order, *merchant, bool) {
	o, ok := s.book.findToken(r.PathValue("token"), s.o.Clock.Now())
	if !ok {
		return order{}, nil, false
	}
	m := s.merchants[o.MchID]
	return o, m, m != nil
}

func (s *Server) returnURL(m *merchant, r *http.Request) *url.URL {
	raw := r.URL.Query().Get("redirect_url")
	if raw == "" || len(raw) > 2048 {
		return nil
	}
	u, ok := m.allows(raw)
	if !ok {
		return nil
	}
	return u
}

// renderCashier allows no script and no foreign resource; browsers apply form-action to the redirect too, hence back.
func (s *Server) renderCashier(w http.ResponseWriter, status int, back *url.URL, v cashierView) {
	form := "'self'"
	if back != nil {
		form += " " + back.Scheme + "://" + back.Host
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	httpx.AsPage(w, "style-src "+cashierStyle+"; img-src data:; form-action "+form)
	w.WriteHeader(status)
	if err := cashierPage.Execute(w, v); err != nil {
		s.o.Log.Debug("paysim: cashier", "err", err)
	}
}
