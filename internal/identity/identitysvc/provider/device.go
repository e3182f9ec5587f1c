package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/secret"
)

// The short code that a person types: eight of twenty consonants (RFC 8628, 6.1), 34 bits, ten minutes, a few tries an account.
const (
	letters     = "BCDFGHJKLMNPQRSTVWXZ"
	codeLetters = 8
	// DeviceTries are wrong codes of one account in a row; then it waits for DeviceLock.
	DeviceTries = 10
	DeviceLock  = 15 * time.Minute
	indexCode   = "identity.user_code"
	maxPolls    = 60 // seconds between two polls, at most what slow_down asks for
)

// device is a row of the table.
type device struct {
	hash     []byte
	userCode []byte
	client   identity.ClientID
	issuer   string
	scopes   []string
	created  time.Time
	expires  time.Time
}

// deviceAnswer is RFC 8628's.
type deviceAnswer struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	URI        string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	Expires    int64  `json:"expires_in"`
	Interval   int64  `json:"interval"`
}

// newUserCode is WXYZ-WXYZ.
func newUserCode() (secret.Text, error) {
	var b strings.Builder
	for i := range codeLetters {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			return secret.Text{}, err
		}
		if i == codeLetters/2 {
			b.WriteByte('-')
		}
		b.WriteByte(letters[n.Int64()])
	}
	return secret.New(b.String()), nil
}

// readUserCode takes what somebody typed: small letters, spaces and dashes are no mistake; "" is no code.
func readUserCode(text string) string {
	var b strings.Builder
	for _, r := range strings.ToUpper(text) {
		switch {
		case r == '-' || r == ' ':
		case r < 0x80 && strings.ContainsRune(letters, r):
			b.WriteRune(r)
		default:
			return ""
		}
	}
	if b.Len() != codeLetters {
		return ""
	}
	return b.String()
}

// startDevice is the device authorization endpoint.
func (s *Service) startDevice(ctx context.Context, t identity.TenantID, issuer string, basic credential, q url.Values) (out deviceAnswer, err error) {
	const action = "identity.start_device"
	c, err := s.authenticate(ctx, t, basic, q, false)
	if err != nil {
		return out, s.refused(ctx, t, action, c.ID, err)
	}
	if !slices.Contains(c.Grants, identity.ByDevice) {
		return out, s.refused(ctx, t, action, c.ID, refuse(unauthorizedClient, "the device code is not for this client"))
	}
	scope, err := once(q, "scope")
	if err != nil {
		return out, s.refused(ctx, t, action, c.ID, err)
	}
	d := device{client: c.ID, issuer: issuer, created: s.now(), expires: s.now().Add(deviceTime)}
	if d.scopes, err = readScopes(scope, c.Scopes); err == nil && !slices.Contains(d.scopes, defaultScope) {
		err = refuse(invalidScope, "openid is missing")
	}
	if err != nil {
		return out, s.refused(ctx, t, action, c.ID, err)
	}
	user, err := newUserCode()
	if err != nil {
		return out, err
	}
	if d.userCode, err = s.Crypt.Digest(ctx, t, indexCode, readUserCode(user.Reveal())); err != nil {
		return out, err
	}
	var code secret.Text
	code, d.hash = newToken()
	if err := s.Store.addDevice(ctx, t, d, clientActor(t, c.ID)); err != nil {
		return out, err
	}
	return deviceAnswer{
		DeviceCode: code.Reveal(), UserCode: user.Reveal(), URI: issuer + "/device", Complete: issuer + "/device?user_code=" + user.Reveal(),
		Expires: int64(deviceTime.Seconds()), Interval: int64(deviceEvery.Seconds()),
	}, nil
}

// asked is what the confirm page shows.
type asked struct {
	device device
	client identity.Client
	known  person
}

// lookAtDevice finds the device of a typed code; every wrong code counts: identity.device_tries after ten in a row.
func (s *Service) lookAtDevice(ctx context.Context, t identity.TenantID, typed string) (a asked, found bool, err error) {
	who, err := auth.From(ctx)
	if err != nil {
		return a, false, err
	}
	// The try is counted before it is made, and given back for a right one.
	if err := s.Store.try(ctx, t, who.Account); err != nil {
		return a, false, err
	}
	code := readUserCode(typed)
	if code != "" {
		index, err := s.Crypt.Digest(ctx, t, indexCode, code)
		if err != nil {
			return a, false, err
		}
		a.device, a.client, err = s.Store.device(ctx, t, index, s.now())
		if err != nil && !errors.Is(err, identity.ErrClientNotFound) {
			return a, false, err
		}
		if err == nil {
			if a.known, err = s.known(ctx, t, a.client, who); err == nil {
				err = s.Store.forgive(ctx, t, who.Account)
			}
			return a, err == nil, err
		}
	}
	return asked{}, false, s.Store.refused(ctx, t, "identity.decide_device", identity.ClientID{}, "unknown user code", who)
}

// decideDevice takes the person's answer. The grant is theirs: it ends with their session, unless it is an offline one.
func (s *Service) decideDevice(ctx context.Context, t identity.TenantID, typed string, yes bool) (a asked, found bool, err error) {
	a, found, err = s.lookAtDevice(ctx, t, typed)
	if err != nil || !found || a.known.principal.Account.IsZero() {
		return a, found, err
	}
	g := s.grantOf(a.device.issuer, a.device.scopes, a.client, a.known)
	return a, true, s.Store.decideDevice(ctx, t, a.device, a.client, g, yes, a.known.principal)
}

// useDevice is a poll of the device for its tokens.
func (s *Service) useDevice(ctx context.Context, t identity.TenantID, c identity.Client, code string) (tokens, error) {
	if code == "" || len(code) > maxToken {
		return tokens{}, refuse(invalidGrant, "the device code is unknown")
	}
	k, err := s.signer(ctx, t)
	if err != nil {
		return tokens{}, err
	}
	var b bundle
	g, err := s.Store.poll(ctx, t, c.ID, tokenHash(code), s.now(), func(g grant) []token {
		b = s.bundleOf(g, g.scopes, c)
		return b.rows
	}, clientActor(t, c.ID))
	if err != nil {
		return tokens{}, err
	}
	return s.answer(k, g, b, c, true)
}
