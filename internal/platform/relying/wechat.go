package relying

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"xinglin/internal/kernel/secret"
)

// The addresses of WeChat itself.
const (
	WeChatPages = "https://open.weixin.qq.com"
	WeChatAPI   = "https://api.weixin.qq.com"
)

// WeChat's scopes: a QR code on a website, and the page inside the app, silent or with consent.
const (
	WebsiteScope = "snsapi_login"
	InsideScope  = "snsapi_userinfo"
	SilentScope  = "snsapi_base"
)

// WeChat is an application at WeChat's open platform, or at what speaks like it.
type WeChat struct {
	Pages, API string
	AppID      string
	Secret     secret.Text
	Scope      string
}

// Address is where the browser goes to log in. There is no PKCE and no nonce: state alone binds the answer to the browser.
func (w WeChat) Address(a Asked) (string, error) {
	path := "/connect/oauth2/authorize"
	if w.Scope == WebsiteScope {
		path = "/connect/qrconnect"
	}
	to, err := withQuery(strings.TrimSuffix(w.Pages, "/")+path, url.Values{
		"appid": {w.AppID}, "redirect_uri": {a.Redirect}, "response_type": {"code"}, "scope": {w.Scope}, "state": {a.State.Reveal()},
	})
	return to + "#wechat_redirect", err
}

// wechatAnswer is any answer: refusals come with status 200 too.
type wechatAnswer struct {
	Code   int    `json:"errcode"`
	Access string `json:"access_token"`
	OpenID string `json:"openid"`
	Union  string `json:"unionid"`
}

// WeChat's codes for an appid or a secret that is wrong, and for a code that is wrong or was used.
var (
	wrongClient = map[int]bool{40001: true, 40013: true, 40125: true, 41002: true, 41004: true}
	wrongCode   = map[int]bool{40029: true, 40163: true, 41008: true, 42003: true}
)

// FinishWeChat turns the code into the person: a *Refusal, or ErrUnreachable. The subject is the openid, which is the person's at
// this appid; the unionid comes and goes with what else the hospital has registered.
func (c *Client) FinishWeChat(ctx context.Context, w WeChat, code string) (Person, error) {
	if !printable(code, 512) {
		return Person{}, refuse("code")
	}
	t, err := c.askWeChat(ctx, w.API, "/sns/oauth2/access_token", url.Values{
		"appid": {w.AppID}, "secret": {w.Secret.Reveal()}, "code": {code}, "grant_type": {"authorization_code"},
	})
	if err != nil {
		return Person{}, err
	}
	if !printable(t.OpenID, maxSubject) || !printable(t.Access, maxToken) {
		return Person{}, refuse("tokens")
	}
	q, path := url.Values{"access_token": {t.Access}, "openid": {t.OpenID}}, "/sns/userinfo"
	if w.Scope == SilentScope { // it may not ask who somebody is, only whether the token is theirs
		path = "/sns/auth"
	}
	u, err := c.askWeChat(ctx, w.API, path, q)
	if err != nil {
		return Person{}, err
	}
	if w.Scope != SilentScope && u.OpenID != t.OpenID || t.Union != "" && u.Union != "" && u.Union != t.Union {
		return Person{}, refuse("userinfo")
	}
	return Person{Subject: t.OpenID}, nil
}

// askWeChat makes one call. WeChat says text/plain of its JSON.
func (c *Client) askWeChat(ctx context.Context, api, path string, q url.Values) (a wechatAnswer, err error) {
	address, err := withQuery(strings.TrimSuffix(api, "/")+path, q)
	if err != nil || c.Check(address) != nil {
		return a, refuse("address")
	}
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return a, refuse("address")
	}
	status, err := c.read(ctx, req, "", &a)
	switch {
	case err != nil:
		return a, err
	case status != http.StatusOK:
		return a, ErrUnreachable
	case wrongClient[a.Code]:
		return a, refuse("client")
	case wrongCode[a.Code]:
		return a, refuse("code")
	case a.Code != 0:
		return a, refuse("provider")
	}
	return a, nil
}
