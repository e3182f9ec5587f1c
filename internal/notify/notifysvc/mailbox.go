package notifysvc

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"strings"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/notify"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/mail"
)

// Rules of codes to mail addresses: those of codes to phones.
const (
	codeTime  = 10 * time.Minute // mail is slower than a text message
	codeTries = 5
	codeGap   = time.Minute
	codesADay = 10 // of an account, and to an address
)

const (
	codeTemplate      = "notify.mail_code"
	confirmedTemplate = "notify.mail_confirmed"
)

// proof is the code that an account was sent last.
type proof struct {
	id   id.ID[proof]
	mail []byte // sealed
	code []byte // keyed hash
}

// spent is one use of a budget.
type spent struct {
	kind    string
	subject []byte
}

func proofField(tenant notify.TenantID, p id.ID[proof]) crypt.Field {
	return crypt.Field{Tenant: tenant, Table: "notify.mail_proof", Column: "mail", Row: p.String()}
}

// proveMail sends a code to a mail address that the principal wants messages at:
// notify.mail_off, notify.invalid, notify.code_too_often. The address counts only after
// confirmMail.
func (s *Service) proveMail(ctx context.Context, address string) (resendAfter time.Duration, err error) {
	who, policy, err := s.own(ctx, "notify.prove_mail")
	if err != nil {
		return 0, err
	}
	if s.ways.Mail == nil {
		return 0, notify.ErrMailOff.New()
	}
	address, err = mail.Address(address)
	if err != nil {
		return 0, notify.ErrInvalid.At("mail", "want name@domain")
	}
	code, err := newCode()
	if err != nil {
		return 0, err
	}
	p := proof{id: id.New[proof](s.base.Clock.Now())}
	if p.mail, err = s.base.Crypt.SealText(ctx, proofField(who.Tenant, p.id), secret.New(address)); err != nil {
		return 0, err
	}
	if p.code, err = s.codeHash(ctx, who, p.id, code.Reveal()); err != nil {
		return 0, err
	}
	subject, err := s.base.Crypt.Digest(ctx, who.Tenant, "notify.mail_budget", strings.ToLower(address))
	if err != nil {
		return 0, err
	}
	rows, _, err := s.prepare(ctx, dispatch{mail: secret.New(address), Message: notify.Message{
		ID: id.As[id.Any](p.id), Tenant: who.Tenant, Account: who.Account, Template: codeTemplate,
		Params: map[string]secret.Text{"code": code}, Channels: []notify.Channel{notify.Mail}, Expires: s.base.Clock.Now().Add(codeTime),
	}})
	if err != nil {
		return 0, err
	}
	budgets := []spent{{"account", who.Account[:]}, {"mail", subject}}
	if err := s.store.addProof(ctx, s.base.DB, who, policy, p, budgets, rows); err != nil {
		return 0, err
	}
	s.counts.all(rows)
	return codeGap, nil
}

// confirmMail takes the code: notify.code_wrong, notify.code_expired. From then on
// messages go to the address as well.
func (s *Service) confirmMail(ctx context.Context, code string) (settings, error) {
	who, policy, err := s.own(ctx, "notify.confirm_mail")
	if err != nil {
		return settings{}, err
	}
	p, err := s.store.proof(ctx, s.base.DB, who)
	if err != nil {
		return settings{}, err
	}
	shown, err := s.codeHash(ctx, who, p.id, code)
	if err != nil {
		return settings{}, err
	}
	address, err := s.base.Crypt.OpenText(ctx, proofField(who.Tenant, p.id), p.mail)
	if err != nil {
		return settings{}, err
	}
	sealed, err := s.base.Crypt.SealText(ctx, mailField(who.Tenant, who.Account), address)
	if err != nil {
		return settings{}, err
	}
	told := id.As[id.Any](p.id)
	told[15] ^= 1 // the code has the proof's own id
	rows, _, err := s.prepare(ctx, dispatch{mail: address, Message: notify.Message{
		ID: told, Tenant: who.Tenant, Account: who.Account, Template: confirmedTemplate,
		Params:   map[string]secret.Text{"mail": secret.New(dataclass.Mail.Mask(address))},
		Channels: templates[confirmedTemplate].ways, Expires: s.base.Clock.Now().Add(24 * time.Hour),
	}})
	if err != nil {
		return settings{}, err
	}
	if err := s.store.confirm(ctx, s.base.DB, who, policy, p.id, shown, sealed, rows); err != nil {
		return settings{}, err
	}
	s.counts.all(rows)
	return s.settingsOf(ctx, who.Tenant, who.Account)
}

// removeMail forgets the principal's address; what waits for it is not sent.
func (s *Service) removeMail(ctx context.Context) error {
	who, policy, err := s.own(ctx, "notify.remove_mail")
	if err != nil {
		return err
	}
	return s.store.removeMail(ctx, s.base.DB, who, policy)
}

// codeHash binds the code to its proof and account under the tenant's index key.
func (s *Service) codeHash(ctx context.Context, who auth.Principal, p id.ID[proof], code string) ([]byte, error) {
	return s.base.Crypt.Digest(ctx, who.Tenant, "notify.mail_code", p.String()+"|"+who.Account.String()+"|"+code)
}

// newCode is six random digits.
func newCode() (secret.Text, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return secret.Text{}, err
	}
	return secret.New(fmt.Sprintf("%06d", n)), nil
}

// handMail sends one mail: both languages, and where to look in the app. The delivery's
// id is the Message-ID, so that a repeat after a crash is the same mail.
func (s *Service) handMail(ctx context.Context, tenant notify.TenantID, d delivery, params map[string]string) (string, error) {
	if s.ways.Mail == nil {
		return "", errNoGateway
	}
	to, err := s.base.Crypt.OpenText(ctx, s.field(tenant, "address", d.id.String()), d.address)
	if err != nil {
		return "", err
	}
	t := templates[d.template]
	parts := []string{fill(t.bodyZH, params), fill(t.bodyEN, params)}
	if t.link != "" {
		parts = append(parts, "查看 Open: "+s.ways.PublicURL+fill(t.link, params))
	}
	if t.topic != "" {
		parts = append(parts, "--\n不想再收到这类邮件，请在「我的」的通知设置里关闭。\nTo stop these mails, change your notice settings in the app.")
	}
	err = s.ways.Mail.Send(ctx, mail.Message{ID: d.id.String(), To: to, Subject: fill(t.titleZH, params) + " " + fill(t.titleEN, params), Text: strings.Join(parts, "\n\n") + "\n"})
	return d.id.String(), err
}

// errTooOften is the refusal of a budget that is used up.
func errTooOften(after time.Duration) *fault.Error {
	return notify.ErrCodeTooOften.After(max(after, time.Second))
}
