package privacysvc

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/holdings"
	"xinglin/internal/platform/trail"
	"xinglin/internal/privacy"
)

// indexRequest is the purpose of the keyed hash of what was asked for.
const indexRequest = "privacy.request"

// asked is what somebody asks for.
type asked struct {
	key    privacy.RequestID
	kind   privacy.Kind
	reason secret.Text
	wanted privacy.Wanted
	event  audit.EventID // of an objection
}

// requestRow is a request with sealed fields.
type requestRow struct {
	id                          privacy.RequestID
	patient                     patient.ID
	account                     accountID
	capacity                    privacy.Capacity
	kind                        privacy.Kind
	event                       audit.EventID
	state                       privacy.State
	hash                        []byte
	reason, wanted, was, answer []byte
	created                     time.Time
	due                         clock.Date
	reminded                    time.Time
	decidedBy                   accountID
	decided, ready, ended       time.Time
	version                     int64
}

// requestView is a request as its person or the officer sees it.
type requestView struct {
	requestRow
	reasonText, answerText secret.Text
	wish, before           *wish
}

// wish is what a correction is about, as it is sealed: texts, empty for what stays.
type wish struct {
	Name  string `json:"name,omitempty"`
	Birth string `json:"birth_date,omitempty"`
	Sex   string `json:"sex,omitempty"`
}

func wishOf(w privacy.Wanted) wish {
	out := wish{Name: w.Name.Reveal(), Sex: w.Sex}
	if w.Birth != nil {
		out.Birth = w.Birth.String()
	}
	return out
}

// correction is what patient is asked to change.
func (w wish) correction() (c patient.Correction, err error) {
	if w.Name != "" {
		name := secret.New(w.Name)
		c.Name = &name
	}
	if w.Sex != "" {
		c.Sex = &w.Sex
	}
	if w.Birth != "" {
		d, err := clock.ParseDate(w.Birth)
		if err != nil {
			return c, privacy.ErrRequest.At("changes.birth_date", "not a date")
		}
		c.Birth = &d
	}
	return c, nil
}

// ask takes a request. A copy or a transfer is begun at once; a correction and an erasure wait for the officer, who has fifteen working
// days. hit: the same key came before. privacy.request_open, privacy.too_often, privacy.business_open (erasure).
func (s *Service) ask(ctx context.Context, p patient.ID, in asked) (out requestView, hit bool, err error) {
	d, err := s.decides(ctx, "privacy.ask", "Patient", p.String(), p)
	if err != nil {
		return out, false, err
	}
	if err := in.check(); err != nil {
		return out, false, err
	}
	r := requestRow{
		id: in.key, patient: p, account: d.who.Account, capacity: d.capacity, kind: in.kind, event: in.event, state: privacy.Open,
		due: lastDay(s.days, clock.DateOf(s.now()), privacy.WorkingDays),
	}
	if in.kind == privacy.Copy || in.kind == privacy.Transfer {
		r.state = privacy.Working
	}
	text, err := json.Marshal(wishOf(in.wanted))
	if err != nil {
		return out, false, err
	}
	r.hash, err = s.base.Crypt.Digest(ctx, d.who.Tenant, indexRequest, strings.Join([]string{p.String(), string(in.kind), in.reason.Reveal(), string(text), in.event.String()}, "\x00"))
	if err != nil {
		return out, false, err
	}
	if before, err := s.store.request(ctx, d.who.Tenant, in.key); err == nil { // a repeat is no new erasure to be refused
		return s.repeated(ctx, d.who, before, r)
	}
	if err := s.possible(ctx, d, in); err != nil {
		return out, false, err
	}
	if r.reason, err = s.base.Crypt.SealText(ctx, field(d.who.Tenant, p, "reason", r.id.String()), in.reason); err != nil {
		return out, false, err
	}
	if in.kind == privacy.Correct {
		if r.wanted, err = s.base.Crypt.Seal(ctx, field(d.who.Tenant, p, "wanted", r.id.String()), text); err != nil {
			return out, false, err
		}
	}
	remind := before(s.days, r.due, remindDays).At(8 * 60)
	won, err := s.store.ask(ctx, d.who.Tenant, r, remind, d.policy)
	if err != nil {
		return out, false, err
	}
	got, err := s.store.request(ctx, d.who.Tenant, in.key)
	if err != nil {
		return out, false, err
	}
	if !won {
		return s.repeated(ctx, d.who, got, r)
	}
	out, err = s.view(ctx, d.who.Tenant, got)
	return out, false, err
}

// possible refuses an erasure while business is under way, and an objection to what did not happen to the person's record.
func (s *Service) possible(ctx context.Context, d decider, in asked) error {
	switch in.kind {
	case privacy.Erase:
		waiting, err := s.waiting(ctx, d.who.Tenant, d.patient)
		if err == nil && len(waiting) > 0 {
			err = privacy.ErrBusiness.New()
		}
		return err
	case privacy.Object:
		_, err := s.accessTo(ctx, d.who.Tenant, d.patient, in.event)
		return err
	}
	return nil
}

// repeated answers a key that came before: the same input of the same account, or privacy.not_found and idem.key_reused.
func (s *Service) repeated(ctx context.Context, who auth.Principal, was, now requestRow) (requestView, bool, error) {
	if was.account != who.Account || was.patient != now.patient {
		return requestView{}, false, privacy.ErrNotFound.New()
	}
	if string(was.hash) != string(now.hash) {
		return requestView{}, false, errReused()
	}
	out, err := s.view(ctx, who.Tenant, was)
	return out, true, err
}

func (a asked) check() error {
	n := utf8.RuneCountInString(a.reason.Reveal())
	switch a.kind {
	case privacy.Copy, privacy.Transfer, privacy.Erase:
	case privacy.Correct, privacy.Object:
		if n < 2 {
			return privacy.ErrRequest.At("reason", "say what is wrong")
		}
	default:
		return privacy.ErrRequest.At("kind", "want copy, transfer, correct, erase or object")
	}
	if a.kind != privacy.Correct && wishOf(a.wanted) != (wish{}) {
		return privacy.ErrRequest.At("changes", "only for a correction")
	}
	if (a.kind == privacy.Object) == a.event.IsZero() {
		return privacy.ErrRequest.At("event_id", "of an objection, and only there")
	}
	if n > 1000 {
		return privacy.ErrRequest.At("reason", "at most 1000 characters")
	}
	return nil
}

// view opens what is sealed of a request. Of an erased person there is nothing to open.
func (s *Service) view(ctx context.Context, t privacy.TenantID, r requestRow) (out requestView, err error) {
	out.requestRow = r
	var wanted, was secret.Text
	for column, f := range map[string]struct {
		sealed []byte
		to     *secret.Text
	}{"reason": {r.reason, &out.reasonText}, "answer": {r.answer, &out.answerText}, "wanted": {r.wanted, &wanted}, "was": {r.was, &was}} {
		if *f.to, err = s.base.Crypt.OpenText(ctx, field(t, r.patient, column, r.id.String()), f.sealed); err != nil {
			return out, err
		}
	}
	for _, f := range []struct {
		text secret.Text
		to   **wish
	}{{wanted, &out.wish}, {was, &out.before}} {
		if f.text.Empty() {
			continue
		}
		*f.to = &wish{}
		if err := json.Unmarshal([]byte(f.text.Reveal()), *f.to); err != nil {
			return out, fmt.Errorf("privacy: a wish is no JSON") // the decoder's words quote it
		}
	}
	return out, nil
}

// ofPerson lists the requests of a person, the newest first, at most 50.
func (s *Service) ofPerson(ctx context.Context, p patient.ID) ([]requestView, error) {
	d, err := s.decides(ctx, "privacy.list_requests", "Patient", p.String(), p)
	if err != nil {
		return nil, err
	}
	rows, err := s.store.ofPerson(ctx, d.who.Tenant, p)
	if err != nil {
		return nil, err
	}
	var out []requestView
	for _, r := range rows {
		v, err := s.view(ctx, d.who.Tenant, r)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// own is a request of a person for whom the principal decides: privacy.not_found for everybody else.
func (s *Service) own(ctx context.Context, action string, r privacy.RequestID) (decider, requestRow, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return decider{}, requestRow{}, err
	}
	row, err := s.store.request(ctx, who.Tenant, r)
	if err != nil {
		return decider{}, row, err
	}
	d, err := s.decides(ctx, action, "Request", r.String(), row.patient)
	if isGone(err) {
		err = privacy.ErrNotFound.Wrap(err)
	}
	return d, row, err
}

// cancel takes a request back that nobody has decided yet: privacy.request_state.
func (s *Service) cancel(ctx context.Context, r privacy.RequestID) error {
	d, row, err := s.own(ctx, "privacy.cancel_request", r)
	if err != nil {
		return err
	}
	return s.store.move(ctx, d.who.Tenant, move{request: row.id, from: privacy.Open, to: privacy.Cancelled, action: "privacy.cancel_request", policy: d.policy})
}

// preview is what an erasure would leave, and what stands in its way.
type preview struct {
	waiting []holdings.Waiting
	keeps   []holdings.KeptRows
}

func (s *Service) previewErasure(ctx context.Context, p patient.ID) (out preview, err error) {
	d, err := s.decides(ctx, "privacy.preview_erasure", "Patient", p.String(), p)
	if err != nil {
		return out, err
	}
	of, err := s.subject(ctx, d.who.Tenant, p)
	if err != nil {
		return out, err
	}
	for _, h := range s.holders {
		w, err := h.Waiting(ctx, of)
		if err != nil {
			return out, err
		}
		k, err := h.Keeps(ctx, of)
		if err != nil {
			return out, err
		}
		out.waiting, out.keeps = append(out.waiting, w...), append(out.keeps, k...)
	}
	return out, s.store.note(ctx, d.who.Tenant, trail.Entry{Action: "privacy.preview_erasure", Noun: "Patient", ID: p.String(), Policy: d.policy})
}

// waiting is the person's unfinished business anywhere.
func (s *Service) waiting(ctx context.Context, t privacy.TenantID, p patient.ID) (out []holdings.Waiting, err error) {
	of, err := s.subject(ctx, t, p)
	if err != nil {
		return nil, err
	}
	for _, h := range s.holders {
		w, err := h.Waiting(ctx, of)
		if err != nil {
			return nil, err
		}
		out = append(out, w...)
	}
	return out, nil
}
