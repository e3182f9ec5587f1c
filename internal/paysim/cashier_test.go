package paysim

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"xinglin/internal/platform/wechatpay"
)

// browse does not follow redirects.
func browse(t *testing.T, method, at, form string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestCashierPaysAndGoesBack(t *testing.T) {
	w := newWorld(t)
	back := "http://127.0.0.1:8080/m/pay/1?a=b"
	page := wechatpay.H5Link(w.prepay(no1), back)
	resp, html := browse(t, "GET", page, "")
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	for _, want := range []string{`lang="zh-CN"`, DemoName, "¥50.00", "门诊挂号费", ">支付成功<", ">取消<", "name=\"viewport\""} {
		if !strings.Contains(html, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if strings.Contains(html, "<script") || strings.Contains(html, "src=") {
		t.Error("the page loads something")
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "http://127.0.0.1:8080") {
		t.Errorf("policy %q", csp)
	}
	resp, _ = browse(t, "POST", page, "act=cancel")
	if resp.StatusCode != 303 || resp.Header.Get("Location") != back {
		t.Fatalf("cancel: %s to %s", resp.Status, resp.Header.Get("Location"))
	}
	if tr, err := w.client.Query(t.Context(), no1); err != nil || tr.Paid() {
		t.Fatalf("cancel paid: %+v %v", tr, err)
	}
	resp, _ = browse(t, "POST", page, "act=pay")
	if resp.StatusCode != 303 || resp.Header.Get("Location") != back {
		t.Fatalf("pay: %s to %s", resp.Status, resp.Header.Get("Location"))
	}
	if n, err := w.parse(w.next()); err != nil || n.Transaction.OutTradeNo != no1 {
		t.Fatalf("%+v %v", n, err)
	}
	if _, html = browse(t, "GET", page, ""); strings.Contains(html, "<form") || !strings.Contains(html, "返回商户") {
		t.Error("a paid order can be paid again")
	}
}

func TestCashierRefuses(t *testing.T) {
	w := newWorld(t)
	page := w.prepay(no1)
	for _, evil := range []string{"https://evil.example/", "javascript:alert(1)", "//evil.example", "http://127.0.0.1@evil.example/", "http://user@127.0.0.1/"} {
		resp, html := browse(t, "GET", page+"?redirect_url="+url.QueryEscape(evil), "")
		if strings.Contains(resp.Header.Get("Content-Security-Policy"), "evil") || strings.Contains(html, `href="`+evil) {
			t.Errorf("%s got onto the page", evil)
		}
		resp, _ = browse(t, "POST", page+"?redirect_url="+url.QueryEscape(evil), "act=cancel")
		if loc := resp.Header.Get("Location"); !strings.HasPrefix(loc, "/h5/") {
			t.Errorf("redirected to %s", loc)
		}
	}
	if resp, html := browse(t, "GET", w.sim.URL()+"/h5/NOSUCHTOKEN", ""); resp.StatusCode != 404 || !strings.Contains(html, "未找到") {
		t.Errorf("unknown token: %s", resp.Status)
	}
	if err := w.client.Close(t.Context(), no1); err != nil {
		t.Fatal(err)
	}
	if resp, _ := browse(t, "POST", page, "act=pay"); resp.StatusCode != 303 {
		t.Errorf("pay a closed order: %s", resp.Status)
	}
	if _, html := browse(t, "GET", page, ""); strings.Contains(html, "<form") || !strings.Contains(html, "无法支付") {
		t.Error("a closed order shows no reason")
	}
}

func TestDescriptionIsEscaped(t *testing.T) {
	w := newWorld(t)
	o := order1(no1)
	o.Description = `<script>alert(1)</script>`
	page, err := w.client.PrepayH5(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, html := browse(t, "GET", page, ""); strings.Contains(html, "<script") {
		t.Error("the description is not escaped")
	}
}
