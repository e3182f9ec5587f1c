package provider

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/httpx"
)

func (s *Service) pageRoutes(a *httpx.API) {
	op := func(name, method, path, summary string, h func(http.ResponseWriter, *http.Request) error) {
		httpx.Handle(a, httpx.Op{ID: "identity." + name, Method: method, Path: base + path, Summary: summary, Public: true}, h)
	}
	op("continue_login", "GET", "/continue", "Page: the login that a client asked for goes on", s.httpContinue)
	op("decide_login", "POST", "/continue", "Page: the person's answer about consent", s.httpDecide)
	op("show_consents", "GET", "/consents", "Page: what I allowed to other systems", s.httpShowConsents)
	op("withdraw_on_page", "POST", "/consents", "Page: take a consent back", s.httpWithdrawOnPage)
	op("show_device", "GET", "/device", "Page: type the code that a device shows", s.httpDevice)
	op("decide_device", "POST", "/device", "Page: look at the device, and the person's answer", s.httpDecideDevice)
	op("logout_by_client", "GET", "/logout", "Page: a client asks for a logout (RP-Initiated Logout)", s.httpLogout)
	op("confirm_logout", "POST", "/logout/confirm", "Page: the person's answer about the logout", s.httpConfirmLogout)
}

const here = httpx.Prefix + base

// show writes a page. next is where its form may lead beside our own origin.
func show(w http.ResponseWriter, status int, v view, next string) error {
	var b bytes.Buffer
	if err := pages.Execute(&b, v); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	httpx.AsPage(w, sourcesOf(next))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the reader has gone
	return nil
}

// leaveTo sends the browser away; 303, so that a form's fields stay here.
func leaveTo(w http.ResponseWriter, to string) error {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

func lang(r *http.Request) string {
	return language(r.URL.Query().Get("ui_locales"), r.Header.Get("Accept-Language"))
}

// sorry is the page for a person when nothing can be sent to the client; errors that are nobody's fault pass.
func sorry(w http.ResponseWriter, r *http.Request, err error) error {
	v := newView(lang(r), "done", "wrong")
	var why *refusal
	f := fault.Of(err)
	switch {
	case errors.As(err, &why):
		v.Text = v.W["refused"] + " " + v.W["reason"] + why.words
		return show(w, http.StatusBadRequest, v, "")
	case f != nil && f.Code == identity.ErrClientNotFound:
		v.Text = v.W["ended"]
		return show(w, http.StatusNotFound, v, "")
	case f != nil && f.Code == identity.ErrDeviceTries:
		v.Text = v.W["tries"]
		return show(w, http.StatusTooManyRequests, v, "")
	}
	return err
}

func (s *Service) httpAuthorize(w http.ResponseWriter, r *http.Request) error {
	return s.authorize(w, r, r.URL.Query())
}

func (s *Service) httpAuthorizeForm(w http.ResponseWriter, r *http.Request) error {
	q, err := form(r)
	if err != nil {
		return sorry(w, r, err)
	}
	return s.authorize(w, r, q)
}

// authorize keeps the request and leads to the page of our own that goes on with it: there the browser shows its session also
// after another site's form.
func (s *Service) authorize(w http.ResponseWriter, r *http.Request, q url.Values) error {
	b, err := s.begin(r.Context(), httpx.TenantOf(r.Context()), issuer(r), q)
	if err != nil {
		return sorry(w, r, err)
	}
	if b.back != "" {
		return leaveTo(w, b.back)
	}
	next := url.Values{"request": {b.handle.Reveal()}}
	if l := q.Get("ui_locales"); l != "" {
		next.Set("ui_locales", language(l, ""))
	}
	return leaveTo(w, here+"/continue?"+next.Encode())
}

func (s *Service) httpContinue(w http.ResponseWriter, r *http.Request) error {
	st, err := s.resume(r.Context(), httpx.TenantOf(r.Context()), r.URL.Query().Get("request"))
	if err != nil {
		return sorry(w, r, err)
	}
	switch {
	case st.back != "":
		return leaveTo(w, st.back)
	case st.login:
		return enter(w, r, st.client, r.URL.RequestURI())
	}
	v := newView(lang(r), "consent", "consent")
	v.say("consentText", st.client)
	v.Asks, v.Who, v.More = v.asksOf(st.request.scopes), whoIs(v, r), here+"/consents"
	v.Action, v.Fields = here+"/continue", []field{{"request", r.URL.Query().Get("request")}}
	return show(w, http.StatusOK, v, st.request.redirect)
}

func whoIs(v view, r *http.Request) string {
	if who, err := auth.From(r.Context()); err == nil && who.Kind == auth.Staff {
		return v.W["asStaff"]
	}
	return v.W["asPatient"]
}

// enter leads to the login of the application that the client's accounts use, with the way back.
func enter(w http.ResponseWriter, r *http.Request, c identity.Client, next string) error {
	switch c.Accounts {
	case identity.PatientAccounts:
		return leaveTo(w, entrance("m", next))
	case identity.StaffAccounts:
		return leaveTo(w, entrance("console", next))
	}
	v := newView(lang(r), "choose", "choose")
	if c.Name != "" {
		v.say("chooseText", c)
	}
	v.Links = []link{{v.W["patient"], entrance("m", next)}, {v.W["staff"], entrance("console", next)}}
	return show(w, http.StatusOK, v, "")
}

func (s *Service) httpDecide(w http.ResponseWriter, r *http.Request) error {
	q, err := form(r)
	if err != nil {
		return sorry(w, r, err)
	}
	again := here + "/continue?" + url.Values{"request": {q.Get("request")}}.Encode()
	if _, err := auth.From(r.Context()); err != nil { // the session ended meanwhile
		return leaveTo(w, again)
	}
	st, err := s.answerConsent(r.Context(), httpx.TenantOf(r.Context()), q.Get("request"), q.Get("decision") == "yes")
	if err != nil {
		return sorry(w, r, err)
	}
	if st.back == "" {
		return leaveTo(w, again)
	}
	return leaveTo(w, st.back)
}

// ---- consents ----

func (s *Service) httpShowConsents(w http.ResponseWriter, r *http.Request) error {
	if _, err := auth.From(r.Context()); err != nil {
		return enter(w, r, identity.Client{}, here+"/consents")
	}
	list, err := s.ownConsents(r.Context())
	if err != nil {
		return err
	}
	v := newView(lang(r), "consents", "consents")
	v.Text = v.W["consentsText"]
	if len(list) == 0 {
		v.Text = v.W["noConsents"]
	}
	for _, c := range list {
		x := row{Client: c.client.ID.String(), Name: c.client.Name, Given: c.given.In(clock.Shanghai).Format("2006-01-02 15:04"), Asks: v.asksOf(c.scopes)}
		if v.Lang == "en" {
			x.Name = c.client.NameEN
		}
		v.Rows = append(v.Rows, x)
	}
	return show(w, http.StatusOK, v, "")
}

// httpWithdrawOnPage takes one back and shows the rest; one that is gone already is no error for a person.
func (s *Service) httpWithdrawOnPage(w http.ResponseWriter, r *http.Request) error {
	q, err := form(r)
	if err != nil {
		return sorry(w, r, err)
	}
	if _, err := auth.From(r.Context()); err == nil {
		c, err := httpx.ID[identity.Client](q.Get("client_id"))
		if err != nil {
			return sorry(w, r, identity.ErrClientNotFound.Wrap(err))
		}
		if err := s.withdraw(r.Context(), c); err != nil && !errors.Is(err, identity.ErrConsentNotFound) {
			return err
		}
	}
	return leaveTo(w, here+"/consents")
}

// ---- devices ----

func (s *Service) httpDevice(w http.ResponseWriter, r *http.Request) error {
	if _, err := auth.From(r.Context()); err != nil {
		return enter(w, r, identity.Client{}, r.URL.RequestURI())
	}
	return askCode(w, r, r.URL.Query().Get("user_code"), false)
}

func askCode(w http.ResponseWriter, r *http.Request, code string, wrong bool) error {
	v := newView(lang(r), "device", "device")
	v.Text, v.Action, v.Wrong = v.W["deviceText"], here+"/device", wrong
	if readUserCode(code) != "" {
		v.Code = code
	}
	return show(w, http.StatusOK, v, "")
}

func (s *Service) httpDecideDevice(w http.ResponseWriter, r *http.Request) error {
	q, err := form(r)
	if err != nil {
		return sorry(w, r, err)
	}
	code, t := q.Get("user_code"), httpx.TenantOf(r.Context())
	if _, err := auth.From(r.Context()); err != nil {
		return leaveTo(w, here+"/device")
	}
	yes := q.Get("decision") == "yes"
	var a asked
	found := false
	if yes || q.Get("decision") == "no" {
		a, found, err = s.decideDevice(r.Context(), t, code, yes)
	} else {
		a, found, err = s.lookAtDevice(r.Context(), t, code)
	}
	switch {
	case err != nil:
		return sorry(w, r, err)
	case !found:
		return askCode(w, r, "", true)
	case a.known.principal.Account.IsZero(): // another sort of account
		return enter(w, r, a.client, here+"/device?"+url.Values{"user_code": {readUserCode(code)}}.Encode())
	case yes:
		v := newView(lang(r), "done", "approved")
		v.Text = v.W["approvedText"]
		return show(w, http.StatusOK, v, "")
	case q.Get("decision") == "no":
		v := newView(lang(r), "done", "denied")
		v.Text = v.W["deniedText"]
		return show(w, http.StatusOK, v, "")
	}
	v := newView(lang(r), "confirm", "confirm")
	v.say("confirmText", a.client)
	v.Asks, v.Who, v.Action = v.asksOf(a.device.scopes), whoIs(v, r), here+"/device"
	c := readUserCode(code)
	v.Code, v.Fields = c[:codeLetters/2]+"-"+c[codeLetters/2:], []field{{"user_code", c}}
	return show(w, http.StatusOK, v, "")
}

// ---- logout ----

// logoutFields are the parameters of a logout request.
var logoutFields = []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales"}

// httpLogoutForm turns another site's form into the page's address: there the browser shows its session.
func (s *Service) httpLogoutForm(w http.ResponseWriter, r *http.Request) error {
	q, err := form(r)
	if err != nil {
		return sorry(w, r, err)
	}
	next := url.Values{}
	for _, name := range logoutFields {
		if v := q[name]; len(v) > 0 {
			next[name] = v
		}
	}
	return leaveTo(w, here+"/logout?"+next.Encode())
}

func (s *Service) httpLogout(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	l, err := s.leave(r.Context(), httpx.TenantOf(r.Context()), issuer(r), q)
	if err != nil {
		return sorry(w, r, err)
	}
	if _, err := auth.From(r.Context()); err != nil || l.certain {
		return s.goodbye(w, r, l)
	}
	v := newView(lang(r), "logout", "logout")
	v.Text = v.W["logoutHere"]
	if l.client.Name != "" {
		v.say("logoutText", l.client)
	}
	v.Action = here + "/logout/confirm"
	for _, name := range logoutFields {
		if x := q.Get(name); x != "" {
			v.Fields = append(v.Fields, field{name, x})
		}
	}
	return show(w, http.StatusOK, v, l.back)
}

func (s *Service) httpConfirmLogout(w http.ResponseWriter, r *http.Request) error {
	q, err := form(r)
	if err != nil {
		return sorry(w, r, err)
	}
	l, err := s.leave(r.Context(), httpx.TenantOf(r.Context()), issuer(r), q)
	if err != nil {
		return sorry(w, r, err)
	}
	if q.Get("decision") != "yes" {
		v := newView(lang(r), "done", "kept")
		v.Text = v.W["keptText"]
		return show(w, http.StatusOK, v, "")
	}
	return s.goodbye(w, r, l)
}

// goodbye ends the session, if there is one, and leads on.
func (s *Service) goodbye(w http.ResponseWriter, r *http.Request, l leaving) error {
	if _, err := auth.From(r.Context()); err == nil {
		if err := s.Logout(r.Context()); err != nil && !errors.Is(err, identity.ErrNotFound) { // ended meanwhile
			return err
		}
		c := httpx.SessionCookie(r.Context(), "", 0)
		http.SetCookie(w, &c)
	}
	if l.back != "" {
		return leaveTo(w, l.back)
	}
	v := newView(lang(r), "done", "left")
	v.Text = v.W["leftText"]
	return show(w, http.StatusOK, v, "")
}
