package paysim

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"xinglin/internal/platform/wechatpay"
)

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v3/certificates", s.merchantOnly(s.certificates))
	mux.HandleFunc("POST /v3/pay/transactions/h5", s.merchantOnly(s.prepayH5))
	mux.HandleFunc("POST /v3/pay/transactions/jsapi", s.merchantOnly(s.prepayJSAPI))
	mux.HandleFunc("GET /v3/pay/transactions/out-trade-no/{no}", s.merchantOnly(s.query))
	mux.HandleFunc("POST /v3/pay/transactions/out-trade-no/{no}/close", s.merchantOnly(s.closeOrder))
	mux.HandleFunc("POST /v3/refund/domestic/refunds", s.merchantOnly(s.refund))
	mux.HandleFunc("GET /v3/refund/domestic/refunds/{no}", s.merchantOnly(s.queryRefund))
	mux.HandleFunc("GET /h5/{token}", s.cashier)
	mux.HandleFunc("POST /h5/{token}", s.cashierAct)
	s.controlRoutes(mux)
	return mux
}

// endpoint is one signed operation; a nil body is answered with 204.
type endpoint func(m *merchant, r *http.Request, body []byte) (any, *apiError)

// merchantOnly verifies the merchant's signature, and signs the answer as the request's Wechatpay-Serial asks.
func (s *Server) merchantOnly(f endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.faults.answer5xx() {
			writeJSON(w, http.StatusInternalServerError, errorBody("SYSTEM_ERROR", "系统错误(按要求模拟)"))
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			writeJSON(w, http.StatusRequestEntityTooLarge, errorBody("INVALID_REQUEST", "请求体过大或中断"))
			return
		}
		m, e := s.authenticate(r, body)
		if e != nil {
			writeJSON(w, e.status, errorBody(e.code, e.message))
			return
		}
		out, e := f(m, r, body)
		status := http.StatusOK
		switch {
		case e != nil:
			status, out = e.status, errorBody(e.code, e.message)
		case out == nil:
			status = http.StatusNoContent
		}
		s.answer(w, r, status, out)
	}
}

func (s *Server) authenticate(r *http.Request, body []byte) (*merchant, *apiError) {
	a, err := wechatpay.ParseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return nil, refuse(http.StatusUnauthorized, "SIGN_ERROR", "Authorization 请求头有误")
	}
	m := s.merchants[a.MchID]
	if m == nil || !strings.EqualFold(m.Serial, a.Serial) {
		return nil, refuse(http.StatusUnauthorized, "SIGN_ERROR", "商户号或证书序列号有误")
	}
	if _, ok := wechatpay.InWindow(a.Timestamp, s.o.Clock.Now()); !ok {
		return nil, refuse(http.StatusUnauthorized, "SIGN_ERROR", "请求时间戳超出允许范围")
	}
	msg := wechatpay.RequestMessage(r.Method, r.URL.RequestURI(), a.Timestamp, a.Nonce, body)
	if err := wechatpay.Verify(m.key, msg, a.Signature); err != nil {
		return nil, refuse(http.StatusUnauthorized, "SIGN_ERROR", "签名验证失败")
	}
	want := r.Header.Get(wechatpay.HeaderSerial)
	if want != "" && want != s.platform.pubKeyID && !strings.EqualFold(want, s.platform.certSerial()) {
		return nil, refuse(http.StatusBadRequest, "PARAM_ERROR", "Wechatpay-Serial 有误")
	}
	return m, nil
}

// answer signs with the key that the request asks for: the public-mode key, or else the certificate's.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, status int, out any) {
	var body []byte
	if out != nil {
		var err error
		if body, err = json.Marshal(out); err != nil {
			http.Error(w, "", http.StatusInternalServerError)
			return
		}
	}
	key, serial := s.platform.signer(r.Header.Get(wechatpay.HeaderSerial) == s.platform.pubKeyID)
	if s.faults.badAnswer() {
		key, _ = s.platform.signer(serial != s.platform.pubKeyID)
	}
	headers, err := signed(key, serial, s.o.Clock.Now(), body)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	for k, v := range headers {
		w.Header().Set(k, v)
	}
	w.Header().Set("Request-ID", rand.Text())
	if out != nil {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// signed is the channel's signature headers over body.
func signed(key *rsa.PrivateKey, serial string, at time.Time, body []byte) (map[string]string, error) {
	ts, nonce := unix(at), wechatpay.Nonce()
	sig, err := wechatpay.Sign(key, wechatpay.AnswerMessage(ts, nonce, body))
	return map[string]string{
		wechatpay.HeaderSerial: serial, wechatpay.HeaderTimestamp: ts, wechatpay.HeaderNonce: nonce,
		wechatpay.HeaderSignature: sig, "Wechatpay-Signature-Type": wechatpay.Scheme,
	}, err
}

func errorBody(code, message string) any {
	return map[string]string{"code": code, "message": message}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (s *Server) certificates(m *merchant, _ *http.Request, _ []byte) (any, *apiError) {
	sealed, err := wechatpay.Seal([]byte(m.APIv3Key), s.platform.certPEM, "certificate", rand.Text()[:12])
	if err != nil {
		return nil, refuse(http.StatusInternalServerError, "SYSTEM_ERROR", "证书加密失败")
	}
	return map[string]any{"data": []any{map[string]any{
		"serial_no":           s.platform.certSerial(),
		"effective_time":      rfc3339(s.platform.cert.NotBefore),
		"expire_time":         rfc3339(s.platform.cert.NotAfter),
		"encrypt_certificate": sealed,
	}}}, nil
}

type prepayBody struct {
	AppID       string `json:"appid"`
	MchID       string `json:"mchid"`
	Description string `json:"description"`
	OutTradeNo  string `json:"out_trade_no"`
	TimeExpire  string `json:"time_expire"`
	Attach      string `json:"attach"`
	NotifyURL   string `json:"notify_url"`
	Amount      struct {
		Total    int64  `json:"total"`
		Currency string `json:"currency"`
	} `json:"amount"`
	Payer struct {
		OpenID string `json:"openid"`
	} `json:"payer"`
	Scene struct {
		PayerClientIP string `json:"payer_client_ip"`
		H5            struct {
			Type string `json:"type"`
		} `json:"h5_info"`
	} `json:"scene_info"`
}

func (s *Server) prepayH5(m *merchant, r *http.Request, body []byte) (any, *apiError) {
	o, p, e := s.readPrepay(m, body, "MWEB")
	if e != nil {
		return nil, e
	}
	if p.Scene.PayerClientIP == "" || p.Scene.H5.Type == "" {
		return nil, refuse(http.StatusBadRequest, "PARAM_ERROR", "scene_info 缺失")
	}
	if o, e = s.book.open(o, s.o.Clock.Now()); e != nil {
		return nil, e
	}
	return map[string]string{"h5_url": s.base(r) + "/h5/" + o.Token}, nil
}

func (s *Server) prepayJSAPI(m *merchant, _ *http.Request, body []byte) (any, *apiError) {
	o, p, e := s.readPrepay(m, body, "JSAPI")
	if e != nil {
		return nil, e
	}
	if p.Payer.OpenID == "" {
		return nil, refuse(http.StatusBadRequest, "PARAM_ERROR", "payer.openid 缺失")
	}
	if o, e = s.book.open(o, s.o.Clock.Now()); e != nil {
		return nil, e
	}
	return map[string]string{"prepay_id": "wx" + o.Token}, nil
}

// base is how browsers reach the cashier.
func (s *Server) base(r *http.Request) string {
	switch {
	case s.o.PublicURL != "":
		return s.o.PublicURL
	case s.listener != nil:
		return s.URL()
	}
	return "http://" + r.Host
}

var (
	tradeNoForm  = regexp.MustCompile(`^[0-9A-Za-z_\-|*]{6,32}$`)
	refundNoForm = regexp.MustCompile(`^[0-9A-Za-z_\-|*@]{1,64}$`)
)

func (s *Server) readPrepay(m *merchant, body []byte, kind string) (order, prepayBody, *apiError) {
	var p prepayBody
	param := func(msg string) (order, prepayBody, *apiError) {
		return order{}, p, refuse(http.StatusBadRequest, "PARAM_ERROR", msg)
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return param("请求体不是有效的 JSON")
	}
	now := s.o.Clock.Now()
	expires := now.Add(2 * time.Hour)
	if p.TimeExpire != "" {
		t, err := time.Parse(time.RFC3339, p.TimeExpire)
		if err != nil || !t.After(now) {
			return param("time_expire 有误")
		}
		expires = t
	}
	switch {
	case p.MchID != m.MchID || p.AppID != m.AppID:
		return order{}, p, refuse(http.StatusBadRequest, "APPID_MCHID_NOT_MATCH", "appid 与 mchid 不匹配")
	case !tradeNoForm.MatchString(p.OutTradeNo):
		return param("out_trade_no 有误")
	case p.Description == "" || utf8.RuneCountInString(p.Description) > 127 || utf8.RuneCountInString(p.Attach) > 128:
		return param("description 或 attach 长度有误")
	case p.Amount.Total <= 0 || (p.Amount.Currency != "" && p.Amount.Currency != wechatpay.Currency):
		return param("amount 有误")
	}
	if u, ok := m.allows(p.NotifyURL); !ok || u.RawQuery != "" || len(p.NotifyURL) > 255 {
		return param("notify_url 不在登记的域名内")
	}
	return order{
		MchID: p.MchID, AppID: p.AppID, OutTradeNo: p.OutTradeNo, TradeType: kind, Description: p.Description,
		Attach: p.Attach, NotifyURL: p.NotifyURL, TotalFen: p.Amount.Total, ExpiresAt: expires.UTC(),
	}, p, nil
}

func (s *Server) query(m *merchant, r *http.Request, _ []byte) (any, *apiError) {
	if r.URL.Query().Get("mchid") != m.MchID {
		return nil, refuse(http.StatusBadRequest, "PARAM_ERROR", "mchid 有误")
	}
	o, ok := s.book.find(number{m.MchID, r.PathValue("no")}, s.o.Clock.Now())
	if !ok {
		return nil, refuse(http.StatusNotFound, "ORDER_NOT_EXIST", "订单不存在")
	}
	return o.json(), nil
}

func (s *Server) closeOrder(m *merchant, r *http.Request, body []byte) (any, *apiError) {
	var p struct {
		MchID string `json:"mchid"`
	}
	if json.Unmarshal(body, &p) != nil || p.MchID != m.MchID {
		return nil, refuse(http.StatusBadRequest, "PARAM_ERROR", "mchid 有误")
	}
	return nil, s.book.shut(number{m.MchID, r.PathValue("no")}, s.o.Clock.Now())
}

type refundBody struct {
	TransactionID string `json:"transaction_id"`
	OutTradeNo    string `json:"out_trade_no"`
	OutRefundNo   string `json:"out_refund_no"`
	Reason        string `json:"reason"`
	NotifyURL     string `json:"notify_url"`
	Amount        struct {
		Refund   int64  `json:"refund"`
		Total    int64  `json:"total"`
		Currency string `json:"currency"`
	} `json:"amount"`
}

func (s *Server) refund(m *merchant, _ *http.Request, body []byte) (any, *apiError) {
	var p refundBody
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, refuse(http.StatusBadRequest, "PARAM_ERROR", "请求体不是有效的 JSON")
	}
	if p.NotifyURL != "" {
		if _, ok := m.allows(p.NotifyURL); !ok || len(p.NotifyURL) > 255 {
			return nil, refuse(http.StatusBadRequest, "PARAM_ERROR", "notify_url 不在登记的域名内")
		}
	}
	switch {
	case !refundNoForm.MatchString(p.OutRefundNo):
		return nil, refuse(http.StatusBadRequest, "PARAM_ERROR", "out_refund_no 有误")
	case p.OutTradeNo == "":
		return nil, refuse(http.StatusBadRequest, "PARAM_ERROR", "out_trade_no 缺失(模拟器不支持 transaction_id)")
	case p.Amount.Refund <= 0 || p.Amount.Total <= 0 || p.Amount.Currency != wechatpay.Currency || utf8.RuneCountInString(p.Reason) > 80:
		return nil, refuse(http.StatusBadRequest, "PARAM_ERROR", "amount 或 reason 有误")
	}
	out, fresh, e := s.book.giveBack(refund{
		MchID: m.MchID, OutTradeNo: p.OutTradeNo, OutRefundNo: p.OutRefundNo, NotifyURL: p.NotifyURL,
		RefundFen: p.Amount.Refund, TotalFen: p.Amount.Total,
	}, s.o.Clock.Now())
	if e != nil {
		return nil, e
	}
	if fresh {
		s.finishLater(number{m.MchID, p.OutRefundNo})
	}
	return out.json(), nil
}

func (s *Server) queryRefund(m *merchant, r *http.Request, _ []byte) (any, *apiError) {
	out, ok := s.book.findRefund(number{m.MchID, r.PathValue("no")})
	if !ok {
		return nil, refuse(http.StatusNotFound, "RESOURCE_NOT_EXISTS", "退款单不存在")
	}
	return out.json(), nil
}
