package schedulingsvc

import (
	"context"
	"slices"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/payment"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
	"xinglin/internal/testkit/apitest"
)

// DeskBooker knows everybody that somebody is linked to, or who was registered; an account's first person is itself.
func (f *fakePatients) DeskBooker(ctx context.Context, p patient.ID) (patient.Booker, scheduling.AccountID, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return patient.Booker{}, scheduling.AccountID{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	b := patient.Booker{ID: p, Birth: f.birth[p], Masked: "张*三"}
	if who.Tenant != apitest.Main {
		return patient.Booker{}, scheduling.AccountID{}, patient.ErrNotFound.New()
	}
	for a, ps := range f.of {
		for i, q := range ps {
			if q.Patient == p && i == 0 {
				return b, a, nil
			}
		}
	}
	if _, known := f.birth[p]; !known {
		return patient.Booker{}, scheduling.AccountID{}, patient.ErrNotFound.New()
	}
	return b, scheduling.AccountID{}, nil
}

// registered is somebody without an account.
func (w *world) registered(born string) scheduling.PatientID {
	p := id.Random[patient.Patient]()
	w.patients.mu.Lock()
	defer w.patients.mu.Unlock()
	w.patients.birth[p] = day(born)
	return p
}

func (w *world) desk() auth.Principal { return apitest.Staff(w.tenant, auth.Registrar) }

// TestDeskRoutes: the window books for who has no account: success, denied, another tenant, repeat; the payment is open at
// once, and the paid visit is the person's.
func TestDeskRoutes(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 10, 30)
		h := apitest.New(t, w.m.Routes)
		sch, old, desk := w.on("2026-03-04"), w.registered("1943-05-02"), w.desk()
		k := key(w.clock.Now())
		ask := body(old, sch.ID.String())
		h.Do(apitest.Nobody(w.tenant), "POST", "/desk/appointments", ask, apitest.Key(k)).Refused(t, 401, "auth.required")
		for _, who := range []auth.Principal{apitest.Patient(w.tenant), w.operator, apitest.Staff(w.tenant, auth.Doctor)} {
			h.Do(who, "POST", "/desk/appointments", ask, apitest.Key(k)).Refused(t, 403, "authz.denied")
			h.Do(who, "GET", "/desk/appointments?patient_id="+old.String(), nil).Refused(t, 403, "authz.denied")
		}
		h.Do(apitest.Staff(apitest.Other, auth.Registrar), "POST", "/desk/appointments", ask, apitest.Key(k)).Refused(t, 404, "scheduling.patient_not_yours")
		h.Do(desk, "POST", "/desk/appointments", body(id.Random[patient.Patient](), sch.ID.String()), apitest.Key(k)).Refused(t, 404, "scheduling.patient_not_yours")
		h.Do(desk, "POST", "/desk/appointments", body(old, id.Random[scheduling.Schedule]().String()), apitest.Key(k)).Refused(t, 404, "scheduling.not_found")
		h.Do(desk, "POST", "/desk/appointments", ask).Refused(t, 400, "http.key_required")
		h.Do(desk, "POST", "/desk/appointments", map[string]any{"patient_id": old.String(), "any": true}, apitest.Key(k)).Refused(t, 422, "scheduling.input")

		for _, hit := range []string{"", "true"} {
			r := h.Do(desk, "POST", "/desk/appointments", ask, apitest.Key(k)).Want(t, 201)
			a := r.Map(t)
			if a["id"] != k.String() || a["state"] != "pending" || a["payment_state"] != "open" || a["patient_name_masked"] != "张*三" || a["department_name"] != "心内科" ||
				r.Header.Get("Idempotency-Hit") != hit {
				t.Fatalf("%v %v", a, r.Header)
			}
		}
		if p := w.payments.get(id.As[payment.Payment](k)); p.State != payment.Open || !p.Account.IsZero() || p.Amount != 2500 {
			t.Fatalf("%+v", p)
		}
		h.Do(desk, "POST", "/desk/appointments", body(old, w.on("2026-03-05").ID.String()), apitest.Key(k)).Refused(t, 422, "scheduling.key_reused")
		h.Do(desk, "POST", "/desk/appointments", ask, apitest.Key(key(w.clock.Now()))).Refused(t, 409, "scheduling.limit_reached")
		h.Do(desk, "POST", "/desk/appointments", body(old, w.on("2026-03-20").ID.String()), apitest.Key(key(w.clock.Now()))).Refused(t, 409, "scheduling.not_released")
		if err := w.paid(w.get(desk, k)); err != nil {
			t.Fatal(err)
		}
		later := key(w.clock.Now())
		h.Do(apitest.Staff(w.tenant, auth.Nurse), "POST", "/desk/appointments", map[string]any{"patient_id": old.String(), "slot_id": w.slots(w.on("2026-03-05").ID)[3].ID.String()}, apitest.Key(later)).Want(t, 201)
		list := h.Do(desk, "GET", "/desk/appointments?patient_id="+old.String(), nil).Want(t, 200).Items(t)
		if len(list) != 2 || list[0]["id"] != k.String() || list[0]["state"] != "booked" || list[0]["number_text"] != "A001" || list[1]["id"] != later.String() || list[1]["state"] != "pending" {
			t.Fatalf("%v", list)
		}
		if got := h.Do(apitest.Staff(apitest.Other, auth.Registrar), "GET", "/desk/appointments?patient_id="+old.String(), nil).Want(t, 200).Items(t); len(got) != 0 {
			t.Errorf("another tenant sees %v", got)
		}
		h.Do(desk, "GET", "/desk/appointments", nil).Want(t, 422)
		h.Do(desk, "GET", "/desk/appointments?patient_id=x", nil).Want(t, 422)
		if n := w.number(`SELECT COUNT(*) FROM trail WHERE tenant_id = $1 AND action = 'scheduling.list_desk_appointments' AND object = $2`, w.tenant, old.String()); n != 1 {
			t.Errorf("%d audit rows of reading", n)
		}
		if n := w.number(`SELECT COUNT(*) FROM trail WHERE tenant_id = $1 AND action = 'scheduling.hold' AND policy = 'scheduling.window' AND actor = $2`, w.tenant, desk.Actor()); n != 1 {
			t.Errorf("%d audit rows of booking", n)
		}
		h.Do(desk, "POST", "/appointments/"+later.String()+"/cancel", map[string]any{"reason": "改期"}, apitest.IfMatch(1)).Want(t, 200)
		if list := h.Do(desk, "GET", "/desk/appointments?patient_id="+old.String(), nil).Items(t); len(list) != 1 {
			t.Errorf("%v", list)
		}
		w.due()
		w.sound()
	})
}

// TestDeskForAnAccount: who has an account for oneself finds the visit there; a repeat after the account was made is the
// same visit still.
func TestDeskForAnAccount(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 10, 30)
		me, v := w.person()
		r := w.ask(v, w.on("2026-03-04").ID)
		got, err := w.s.bookAtDesk(w.as(w.desk()), r)
		if err != nil || got.Account != me.Account || got.State != scheduling.Booked || got.Number != 1 {
			t.Fatalf("%+v %v", got.Appointment, err)
		}
		if a := w.get(me, r.ID); a.Number != 1 {
			t.Errorf("%+v", a)
		}
		_, _, err = w.s.Hold(w.as(me), w.ask(v, w.on("2026-03-04").ID))
		want(t, err, scheduling.ErrLimitReached)

		old := w.registered("1943-05-02")
		r = w.ask(old, w.on("2026-03-04").ID)
		if got, err = w.s.bookAtDesk(w.as(w.desk()), r); err != nil || !got.Account.IsZero() {
			t.Fatalf("%+v %v", got.Appointment, err)
		}
		w.patients.link(apitest.Patient(w.tenant).Account, old)
		if got, err = w.s.bookAtDesk(w.as(w.desk()), r); err != nil || !got.hit || !got.Account.IsZero() {
			t.Fatalf("again: %+v %v", got, err)
		}
		w.sound()
	})
}

// TestDeskRules: what is for people's own phones does not hold at the window, all else does.
func TestDeskRules(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 10, 30)
		rules := bookingrules.Default()
		rules.Limit.Per, rules.FirstDay = scheduling.PerAccount, 1
		rules.Pauses = []scheduling.Span{{From: hm(0, 0), To: hm(7, 0)}, {From: hm(9, 0), To: hm(24, 0)}} // at 9:00, as it is
		rules.Caps = []scheduling.Cap{{Days: 7, Max: 2}}
		rules.Age = scheduling.AgeRule{Kind: scheduling.AgeRefuse, Border: 14}
		if _, err := w.s.SetRules(w.as(w.operator), rules, 0); err != nil {
			t.Fatal(err)
		}
		w.due()
		today := w.on("2026-03-02")
		me, v := w.person()
		child := w.registered("2020-01-01")
		_, _, err := w.s.Hold(w.as(me), w.ask(v, w.on("2026-03-04").ID))
		want(t, err, scheduling.ErrPaused)
		for _, p := range []scheduling.PatientID{v, child, w.adult(me)} { // in a pause, on the day itself, a child
			if _, err := w.s.bookAtDesk(w.as(w.desk()), w.ask(p, today.ID)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.s.bookAtDesk(w.as(w.desk()), w.ask(v, w.on("2026-03-03").ID)); err != nil {
			t.Fatal(err)
		}
		_, err = w.s.bookAtDesk(w.as(w.desk()), w.ask(v, w.on("2026-03-04").ID))
		want(t, err, scheduling.ErrCapReached)
		past := w.slots(today.ID)[0] // from 8:00
		_, err = w.s.bookAtDesk(w.as(w.desk()), scheduling.HoldRequest{ID: key(w.clock.Now()), Patient: w.registered("1950-01-01"), Slot: past.ID})
		want(t, err, scheduling.ErrSlotPast)
		if n := w.number(`SELECT COUNT(*) FROM appointment WHERE tenant_id = $1 AND per_account`, w.tenant); n != 0 {
			t.Errorf("%d count against an account", n)
		}
		w.sound()
	})
}

// TestDeskBesideASuspended: a batch that begins with the window's request still asks for the past of the others.
func TestDeskBesideASuspended(t *testing.T) {
	suspended := bookingrules.Default()
	suspended.NoShow = scheduling.AbuseRule{Count: 3, Months: 12, Block: 3}
	desk := bookingrules.AtDesk(suspended)
	v := newSale([]*holding{{Rules: &desk, Desk: true}, {Rules: &suspended}})
	if !v.asksPast() {
		t.Error("the past of who books by phone is not read")
	}
	if newSale([]*holding{{Rules: &desk}}).asksPast() {
		t.Error("the window asks for the past")
	}
}

// TestDeskRace: windows and phones want the last seats at once: never one too many (A1).
func TestDeskRace(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 10, 30)
		sch := w.on("2026-03-04")
		const n = 60
		asks := make([]func() error, n)
		for i := range n {
			if i%2 == 0 {
				me, v := w.person()
				r := w.ask(v, sch.ID)
				asks[i] = func() error { _, _, err := w.s.Hold(w.as(me), r); return err }
				continue
			}
			r := w.ask(w.registered("1950-01-01"), sch.ID)
			asks[i] = func() error { _, err := w.s.bookAtDesk(w.as(w.desk()), r); return err }
		}
		got := codes(many(n, func(i int) error { return busy(asks[i]) }))
		if got["ok"] != 10 || got["scheduling.session_full"] != n-10 {
			t.Fatalf("%v", got)
		}
		w.sound()
	})
}

// TestDeskExpires: nobody's hold that is not paid ends as every other; nobody's visits are filed for their persons.
func TestDeskExpires(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 10, 30)
		r := w.ask(w.registered("1943-05-02"), w.on("2026-03-04").ID)
		if _, err := w.s.bookAtDesk(w.as(w.desk()), r); err != nil {
			t.Fatal(err)
		}
		w.clock.Add(time.Hour)
		w.due()
		if a := w.get(w.operator, r.ID); a.State != scheduling.Cancelled || a.CancelReason != scheduling.ByExpiry {
			t.Errorf("%+v", a)
		}
		if p := w.payments.get(id.As[payment.Payment](r.ID)); p.State != payment.Closed {
			t.Errorf("%+v", p)
		}
		if _, err := w.s.bookAtDesk(w.as(w.desk()), w.ask(w.registered("1943-05-02"), w.on("2026-03-05").ID)); err != nil {
			t.Fatal(err)
		}
		if err := w.s.store.filePast(context.Background(), w.tenant, day("2026-03-06")); err != nil {
			t.Fatal(err)
		}
		if n := w.number(`SELECT COUNT(*) FROM filed_visit f JOIN appointment a ON a.tenant_id = f.tenant_id AND a.id = f.appointment_id AND a.patient_id = f.owner_id
			WHERE f.tenant_id = $1`, w.tenant); n != 2 {
			t.Errorf("%d filed", n)
		}
		w.sound()
	})
}

// TestNobodysVisits: what the window booked for somebody without an account is shown to an account that proves later to act
// for the person, and cancelled by it; not to one that merely entered the person, nor to strangers.
func TestNobodysVisits(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 10, 30)
		h := apitest.New(t, w.m.Routes)
		old := w.registered("1943-05-02")
		var ids []string
		for _, day := range []string{"2026-03-03", "2026-03-04", "2026-03-05"} {
			r := w.ask(old, w.on(day).ID)
			if _, err := w.s.bookAtDesk(w.as(w.desk()), r); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, r.ID.String())
			if day == "2026-03-05" {
				break // waits for its payment
			}
			if err := w.paid(w.get(w.desk(), r.ID)); err != nil {
				t.Fatal(err)
			}
		}
		h.Do(w.desk(), "POST", "/appointments/"+ids[1]+"/cancel", map[string]any{"reason": "改期"}, apitest.IfMatch(2)).Want(t, 200)
		w.due()

		me, entered, stranger := apitest.Patient(w.tenant), apitest.Patient(w.tenant), apitest.Patient(w.tenant)
		own := w.adult(me) // an account's first person is itself
		w.adult(entered)
		w.patients.linkAs(me.Account, patient.Link{Patient: old, Proven: true})
		w.patients.link(entered.Account, old)
		foreign := me
		foreign.Tenant = apitest.Other
		for name, who := range map[string]auth.Principal{"who entered the person": entered, "a stranger": stranger, "another tenant": foreign} {
			if items := h.Do(who, "GET", "/appointments", nil).Want(t, 200).Items(t); len(items) != 0 {
				t.Errorf("%s sees %v", name, items)
			}
			h.Do(who, "GET", "/appointments/"+ids[0], nil).Refused(t, 404, "scheduling.not_found")
			h.Do(who, "POST", "/appointments/"+ids[0]+"/cancel", nil, apitest.IfMatch(2)).Refused(t, 404, "scheduling.not_found")
		}
		mine := w.hold(me, w.ask(own, w.on("2026-03-04").ID))
		list := func(query string) (got []string) {
			t.Helper()
			for next := ""; ; {
				r := h.Do(me, "GET", "/appointments?limit=2&cursor="+next+query, nil).Want(t, 200)
				for _, x := range r.Items(t) {
					got = append(got, x["id"].(string))
				}
				if next = r.Map(t)["next"].(string); next == "" {
					return got
				}
			}
		}
		sorted := func(of ...string) []string { slices.Sort(of); return of }
		if got := list(""); !slices.Equal(sorted(got...), sorted(ids[0], ids[1], ids[2], mine.ID.String())) {
			t.Errorf("%v", got)
		}
		if got := list("&state=cancelled"); !slices.Equal(got, ids[1:2]) {
			t.Errorf("cancelled: %v", got)
		}
		for i, want := range []map[string]any{
			{"state": "booked", "payment_state": "paid", "refund_state": "none", "payment_id": nil, "patient_name_masked": "张*三"},
			{"state": "cancelled", "payment_state": "refunded", "refund_state": "done", "payment_id": nil},
			{"state": "pending", "payment_state": "open", "refund_state": "none", "payment_id": nil},
		} {
			got := h.Do(me, "GET", "/appointments/"+ids[i], nil).Want(t, 200).Map(t)
			for k, v := range want {
				if got[k] != v {
					t.Errorf("%d: %s is %v, want %v", i, k, got[k], v)
				}
			}
		}
		h.Do(me, "POST", "/appointments/"+ids[0]+"/cancel", nil, apitest.IfMatch(1)).Refused(t, 412, "scheduling.stale")
		for range 2 { // and again
			if a := h.Do(me, "POST", "/appointments/"+ids[0]+"/cancel", nil, apitest.IfMatch(2)).Want(t, 200).Map(t); a["state"] != "cancelled" || a["cancel_reason"] != "patient" {
				t.Errorf("%v", a)
			}
		}
		w.due()
		if p := w.payments.refunded(); p != 5000 {
			t.Errorf("%d fen went back", p)
		}

		// Long past, and still there.
		r := w.ask(old, w.on("2026-03-06").ID)
		if _, err := w.s.bookAtDesk(w.as(w.desk()), r); err != nil {
			t.Fatal(err)
		}
		if err := w.paid(w.get(w.desk(), r.ID)); err != nil {
			t.Fatal(err)
		}
		if err := w.s.store.filePast(context.Background(), w.tenant, day("2026-03-08")); err != nil {
			t.Fatal(err)
		}
		w.clock.Set(day("2026-06-01").At(8 * 60))
		if got := list(""); !slices.Contains(got, r.ID.String()) || !slices.Contains(got, ids[0]) {
			t.Errorf("in June: %v", got)
		}
		if items := h.Do(entered, "GET", "/appointments", nil).Want(t, 200).Items(t); len(items) != 0 {
			t.Errorf("who entered the person sees %v", items)
		}
	})
}
