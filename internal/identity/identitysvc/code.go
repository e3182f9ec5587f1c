package identitysvc

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/notify"
	"xinglin/internal/platform/obs"
)

// Rules of codes.
const (
	codeTime      = 5 * time.Minute
	codeTries     = 5
	codeGap       = time.Minute // between two codes to one phone
	codesADay     = 10          // to one phone
	codesAnHour   = 30          // to one network
	loginTemplate = "identity.code"
	proofTemplate = "patient.claim_code"
)

// challenge is a row of the table.
type challenge struct {
	id         identity.ChallengeID
	purpose    identity.Purpose
	phoneIndex []byte
	phone      []byte // sealed
	code       []byte // keyed hash
}

// SendCode implements identity.Service.
func (s *Service) SendCode(ctx context.Context, t identity.TenantID, own identity.ChallengeID, phone secret.Text, p identity.Purpose) (identity.Challenge, error) {
	if p != identity.Login && p != identity.Proof && p != identity.StepUp {
		return identity.Challenge{}, identity.ErrInvalid.At("purpose", "unknown")
	}
	phone, err := normalPhone(phone)
	if err != nil {
		return identity.Challenge{}, err
	}
	c := challenge{id: own, purpose: p}
	if own.IsZero() {
		c.id = id.New[identity.Challenge](s.now())
	}
	code, err := s.codeOf(ctx, t, c.id)
	if err != nil {
		return identity.Challenge{}, err
	}
	if c.phoneIndex, err = s.crypt.Digest(ctx, t, indexPhone, phone.Reveal()); err != nil {
		return identity.Challenge{}, err
	}
	if c.phone, err = s.crypt.SealText(ctx, field(t, "challenge", "phone", c.id.String()), phone); err != nil {
		return identity.Challenge{}, err
	}
	if c.code, err = s.codeHash(ctx, t, c, code.Reveal()); err != nil {
		return identity.Challenge{}, err
	}
	budgets, err := s.codeBudgets(ctx, t, c)
	if err != nil {
		return identity.Challenge{}, err
	}
	if err := s.store.addChallenge(ctx, t, c, budgets, actor(ctx, t)); err != nil {
		return identity.Challenge{}, err
	}
	// The code leaves after the commit: a code that nobody got costs a minute's wait, a
	// code without its row could never be used.
	err = s.notices.Send(ctx, notify.Message{
		ID: id.As[id.Any](c.id), Tenant: t, Phone: phone, Template: templateOf(p), Channels: []notify.Channel{notify.SMS},
		Params:  map[string]secret.Text{"code": code},
		Expires: s.now().Add(codeTime),
	})
	if err != nil {
		return identity.Challenge{}, err
	}
	return identity.Challenge{ID: c.id, ResendAfter: codeGap}, nil
}

// templateOf is the text that tells the person what the code is for.
func templateOf(p identity.Purpose) string {
	if p == identity.Proof {
		return proofTemplate
	}
	return loginTemplate
}

// codeBudgets are the limits that one more code must fit into.
func (s *Service) codeBudgets(ctx context.Context, t identity.TenantID, c challenge) ([]budget, error) {
	out := []budget{{
		kind: "phone", subject: c.phoneIndex, max: codesADay, window: 24 * time.Hour, gap: codeGap, refusal: identity.ErrCodeTooOften,
	}}
	network, err := s.network(ctx, t)
	if network == nil {
		return out, err
	}
	return append(out, budget{
		kind: "address", subject: network, max: codesAnHour, window: time.Hour, refusal: identity.ErrAddressTooOften,
	}), nil
}

// network is the blind index of the caller's network; nil where it is not counted: the command line, jobs, and the demo's
// people, who all sit at one machine.
func (s *Service) network(ctx context.Context, t identity.TenantID) ([]byte, error) {
	address, loopback := addressOf(obs.Origin(ctx))
	if address == "" || s.demo && loopback {
		return nil, nil
	}
	return s.crypt.Digest(ctx, t, indexAddress, address)
}

// codeOf is the six digits of a challenge, drawn from its id under the tenant's index
// key: as good as random to everybody else, and the same when a caller repeats its id
// because it does not know whether the text has left.
func (s *Service) codeOf(ctx context.Context, t identity.TenantID, c identity.ChallengeID) (secret.Text, error) {
	drawn, err := s.crypt.Digest(ctx, t, indexCodeDraw, c.String())
	if err != nil {
		return secret.Text{}, err
	}
	return secret.New(fmt.Sprintf("%06d", binary.BigEndian.Uint64(drawn)%1_000_000)), nil
}

// codeHash binds the code to its challenge, phone and purpose under the tenant's index
// key, so that neither the rows nor a dump of them tell a code.
func (s *Service) codeHash(ctx context.Context, t identity.TenantID, c challenge, code string) ([]byte, error) {
	return s.crypt.Digest(ctx, t, indexCode, c.id.String()+"|"+hex.EncodeToString(c.phoneIndex)+"|"+string(c.purpose)+"|"+code)
}

// claim is a code that somebody shows.
type claim struct {
	challenge
	shown []byte // hash of what was typed
	phone secret.Text
}

// readClaim prepares what the transaction compares: identity.code_expired for a
// challenge that does not exist (any more) or is for another purpose.
func (s *Service) readClaim(ctx context.Context, t identity.TenantID, c identity.ChallengeID, p identity.Purpose, code string) (claim, error) {
	row, err := s.store.challenge(ctx, t, c, p)
	if err != nil {
		return claim{}, err
	}
	cl := claim{challenge: row}
	if cl.shown, err = s.codeHash(ctx, t, row, code); err != nil {
		return claim{}, err
	}
	cl.phone, err = s.crypt.OpenText(ctx, field(t, "challenge", "phone", c.String()), row.phone)
	return cl, err
}

// UseCode implements identity.Service.
func (s *Service) UseCode(ctx context.Context, t identity.TenantID, c identity.ChallengeID, p identity.Purpose, code string) (secret.Text, error) {
	cl, err := s.readClaim(ctx, t, c, p, code)
	if err != nil {
		return secret.Text{}, err
	}
	if err := s.store.useCode(ctx, t, cl, actor(ctx, t)); err != nil {
		return secret.Text{}, err
	}
	return cl.phone, nil
}

// actor is the principal of ctx, or the visitor before login.
func actor(ctx context.Context, t identity.TenantID) auth.Principal {
	if p, err := auth.From(ctx); err == nil {
		return p
	}
	return visitor(t)
}
