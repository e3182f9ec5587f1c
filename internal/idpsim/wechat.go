package idpsim

import (
	"net/http"
	"net/url"
)

func (s *Server) wechatRoutes() {
	s.mux.HandleFunc("GET /wechat/connect/qrconnect", s.connect)
	s.mux.HandleFunc("POST /wechat/connect/qrconnect", s.connect)
	s.mux.HandleFunc("GET /wechat/connect/oauth2/authorize", s.connect)
	s.mux.HandleFunc("POST /wechat/connect/oauth2/authorize", s.connect)
	s.mux.HandleFunc("GET /wechat/sns/oauth2/access_token", s.accessToken)
	s.mux.HandleFunc("GET /wechat/sns/userinfo", s.member)
	s.mux.HandleFunc("GET /wechat/sns/auth", s.member)
}

// connect asks who logs in, as the QR code's page does. Who declines comes back without a code, as WeChat has it.
func (s *Server) connect(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	to := q.Get("redirect_uri")
	if !s.safe(to) || q.Get("appid") != s.WeChat.ID || q.Get("response_type") != "code" {
		refuse(w, http.StatusBadRequest, "invalid_request")
		return
	}
	who, chosen := s.chosen(w, r, s.Members, page{Title: "微信登录", TitleEN: "WeChat sign-in", Text: "模拟的微信登录，不是微信：选择一位演示用户", TextEN: "A simulation, not WeChat: choose a demo user"})
	if !chosen {
		return
	}
	out := url.Values{"state": {q.Get("state")}}
	if who.Subject != "" {
		out.Set("code", s.put(s.codes, &login{who: who, client: s.WeChat.ID, scope: q.Get("scope"), until: s.Clock.Now().Add(codeTime)}))
	}
	back(w, r, to, out)
}

// says is an answer of WeChat's: status 200 and text/plain, whatever it says.
func says(w http.ResponseWriter, body any) { answer(w, http.StatusOK, "text/plain", body) }

func says40(w http.ResponseWriter, code int, words string) {
	says(w, map[string]any{"errcode": code, "errmsg": words})
}

func (s *Server) accessToken(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch {
	case s.wrong(ErrCode) != "":
		says40(w, -1, "system error")
		return
	case q.Get("appid") != s.WeChat.ID:
		says40(w, 40013, "invalid appid")
		return
	case !same(q.Get("secret"), s.WeChat.Secret.Reveal()):
		says40(w, 40125, "invalid appsecret")
		return
	}
	l := s.take(q.Get("code"))
	if l == nil || q.Get("grant_type") != "authorization_code" || l.client != s.WeChat.ID {
		says40(w, 40029, "invalid code")
		return
	}
	says(w, map[string]any{
		"access_token": s.put(s.tokens, l), "expires_in": 7200, "refresh_token": random(), "openid": l.who.Subject, "unionid": "union-" + l.who.Subject, "scope": l.scope,
	})
}

// member is userinfo, and auth, which only says whether the token is good.
func (s *Server) member(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	l := s.tokens[r.URL.Query().Get("access_token")]
	s.mu.Unlock()
	if l == nil || l.who.Subject != r.URL.Query().Get("openid") {
		says40(w, 40003, "invalid openid")
		return
	}
	if r.URL.Path == "/wechat/sns/auth" {
		says40(w, 0, "ok")
		return
	}
	sub := l.who.Subject
	if s.wrong(OtherUserinfo) != "" {
		sub = "somebody-else"
	}
	says(w, map[string]any{"openid": sub, "unionid": "union-" + l.who.Subject, "nickname": l.who.Name})
}
