package schedulingsvc

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/fanout"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
	"xinglin/internal/testkit/apitest"
)

// body is the JSON of a request for any seat.
func body(p scheduling.PatientID, schedule string) map[string]any {
	return map[string]any{"patient_id": p.String(), "schedule_id": schedule, "any": true}
}

// TestPublicRoutes: schedules and slots without a login; another tenant sees nothing.
func TestPublicRoutes(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 10, 30)
		h := apitest.New(t, w.m.Routes)
		path := "/schedules?from=2026-03-04&to=2026-03-06&"
		for _, q := range []string{"department_id=" + w.dept.String(), "practitioner_id=" + w.doctor.String()} {
			items := h.Do(apitest.Nobody(w.tenant), "GET", path+q, nil).Want(t, 200).Items(t)
			if len(items) != 3 || items[0]["practitioner_name"] != "张三" || items[0]["department_name"] != "心内科" || items[0]["date"] != "2026-03-04" ||
				items[0]["state"] != "open" || items[0]["fee_fen"] != float64(2500) || items[0]["starts_at"] != "2026-03-04T00:00:00Z" {
				t.Fatalf("%v", items)
			}
			slots := h.Do(apitest.Nobody(w.tenant), "GET", fmt.Sprintf("/schedules/%s/slots", items[0]["id"]), nil).Want(t, 200).Items(t)
			if len(slots) != 8 || slots[0]["state"] != "free" || slots[0]["capacity"] != float64(2) {
				t.Fatalf("%v", slots)
			}
			if got := h.Do(apitest.Nobody(apitest.Other), "GET", path+q, nil).Want(t, 200).Items(t); len(got) != 0 {
				t.Errorf("another tenant sees %v", got)
			}
			h.Do(apitest.Nobody(apitest.Other), "GET", fmt.Sprintf("/schedules/%s/slots", items[0]["id"]), nil).Refused(t, 404, "scheduling.not_found")
		}
		h.Do(apitest.Nobody(w.tenant), "GET", "/schedules", nil).Refused(t, 422, "scheduling.input")
		h.Do(apitest.Nobody(w.tenant), "GET", "/schedules?from=2026-03-09&to=2026-03-01&department_id="+w.dept.String(), nil).Want(t, 422)
		h.Do(apitest.Nobody(w.tenant), "GET", "/schedules/x/slots", nil).Want(t, 422)
	})
}

// TestAppointmentRoutes: success, denied, another account, another tenant, stale, repeat.
func TestAppointmentRoutes(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 10, 30)
		h := apitest.New(t, w.m.Routes)
		sch := w.on("2026-03-04").ID.String()
		p, v := w.person()
		q, other := w.person()
		stranger := apitest.Patient(apitest.Other)
		w.patients.link(stranger.Account, v)
		k := key(w.clock.Now())
		h.Do(apitest.Nobody(w.tenant), "POST", "/appointments", body(v, sch), apitest.Key(k)).Refused(t, 401, "auth.required")
		h.Do(p, "POST", "/appointments", body(v, sch)).Refused(t, 400, "http.key_required")
		h.Do(p, "POST", "/appointments", body(other, sch), apitest.Key(k)).Refused(t, 404, "scheduling.patient_not_yours")
		h.Do(w.operator, "POST", "/appointments", body(v, sch), apitest.Key(k)).Refused(t, 403, "authz.denied")
		h.Do(stranger, "POST", "/appointments", body(v, sch), apitest.Key(k)).Refused(t, 404, "scheduling.not_found")
		h.Do(p, "POST", "/appointments", map[string]any{"patient_id": v.String(), "any": true}, apitest.Key(k)).Refused(t, 422, "scheduling.input")
		h.Do(p, "POST", "/appointments", map[string]any{"patient_id": v.String(), "slot": "x"}, apitest.Key(k)).Want(t, 422)

		r := h.Do(p, "POST", "/appointments", body(v, sch), apitest.Key(k)).Want(t, 201)
		a := r.Map(t)
		if a["id"] != k.String() || a["state"] != "pending" || a["number"] != nil || a["number_text"] != "" || a["patient_name_masked"] != "张*三" || a["payment_state"] != "open" ||
			a["refund_state"] != "none" || a["campus_name"] != "本部" || a["payment_id"] != k.String() || r.Header.Get("Idempotency-Hit") != "" || !strings.HasPrefix(fmt.Sprint(a["reg_no"]), "REG-260304-") {
			t.Fatalf("%v %v", a, r.Header)
		}
		if again := h.Do(p, "POST", "/appointments", body(v, sch), apitest.Key(k)).Want(t, 201); again.Header.Get("Idempotency-Hit") != "true" {
			t.Errorf("%v", again.Header)
		}
		h.Do(p, "POST", "/appointments", body(v, w.on("2026-03-05").ID.String()), apitest.Key(k)).Refused(t, 422, "scheduling.key_reused")
		h.Do(p, "POST", "/appointments", body(v, sch), apitest.Key(key(w.clock.Now()))).Refused(t, 409, "scheduling.limit_reached")
		h.Do(p, "POST", "/appointments", body(v, w.on("2026-03-20").ID.String()), apitest.Key(key(w.clock.Now()))).Refused(t, 409, "scheduling.not_released")
		if err := w.paid(w.get(p, k)); err != nil {
			t.Fatal(err)
		}
		item := "/appointments/" + k.String()
		got := h.Do(p, "GET", item, nil).Want(t, 200)
		if a = got.Map(t); a["state"] != "booked" || a["number_text"] != "A001" || a["payment_state"] != "paid" || len(a["history"].([]any)) != 2 || got.Header.Get("ETag") != `"2"` {
			t.Fatalf("%v", a)
		}
		h.Do(w.operator, "GET", item, nil).Want(t, 200)
		h.Do(q, "GET", item, nil).Refused(t, 404, "scheduling.not_found")
		h.Do(stranger, "GET", item, nil).Refused(t, 404, "scheduling.not_found")
		h.Do(apitest.Staff(w.tenant, auth.Doctor), "GET", item, nil).Refused(t, 403, "authz.denied")
		if n := len(h.Do(p, "GET", "/appointments?state=booked", nil).Want(t, 200).Items(t)); n != 1 {
			t.Errorf("%d booked", n)
		}
		for _, x := range []auth.Principal{q, stranger} {
			if n := len(h.Do(x, "GET", "/appointments", nil).Want(t, 200).Items(t)); n != 0 {
				t.Errorf("%d foreign rows", n)
			}
		}
		h.Do(w.operator, "GET", "/appointments", nil).Refused(t, 403, "authz.denied")
		h.Do(p, "GET", "/appointments?cursor=x", nil).Want(t, 400)

		cancel := item + "/cancel"
		h.Do(p, "POST", cancel, nil).Refused(t, 400, "http.match_required")
		h.Do(q, "POST", cancel, map[string]any{}, apitest.IfMatch(2)).Refused(t, 404, "scheduling.not_found")
		h.Do(stranger, "POST", cancel, map[string]any{}, apitest.IfMatch(2)).Refused(t, 404, "scheduling.not_found")
		h.Do(p, "POST", cancel, map[string]any{}, apitest.IfMatch(1)).Refused(t, 412, "scheduling.stale")
		h.Do(w.operator, "POST", cancel, map[string]any{}, apitest.IfMatch(2)).Refused(t, 422, "scheduling.input")
		for range 2 {
			a = h.Do(p, "POST", cancel, map[string]any{}, apitest.IfMatch(2)).Want(t, 200).Map(t)
			if a["state"] != "cancelled" || a["refund_state"] != "requested" || a["cancellable"] != false {
				t.Fatalf("%v", a)
			}
		}
		w.due()
		if a = h.Do(p, "GET", item, nil).Want(t, 200).Map(t); a["refund_state"] != "done" || a["payment_state"] != "refunded" {
			t.Errorf("%v", a)
		}
		w.payments.setDown(true)
		if a = h.Do(p, "GET", item, nil).Want(t, 200).Map(t); a["refund_state"] != "requested" || a["payment_state"] != "refunding" {
			t.Errorf("without the payment context: %v", a)
		}
		w.payments.setDown(false)
		// The desk may cancel after the patient's cut-off, with a reason.
		k = key(w.clock.Now())
		h.Do(p, "POST", "/appointments", body(v, sch), apitest.Key(k)).Want(t, 201)
		if err := w.paid(w.get(p, k)); err != nil {
			t.Fatal(err)
		}
		w.clock.Set(day("2026-03-04").At(60))
		cancel = "/appointments/" + k.String() + "/cancel"
		h.Do(p, "POST", cancel, nil, apitest.IfMatch(2)).Refused(t, 409, "scheduling.cancel_too_late")
		h.Do(w.operator, "POST", cancel, map[string]any{"reason": "doctor ill"}, apitest.IfMatch(2)).Want(t, 200)
		w.due()
		w.sound()
	})
}

// TestRotaRoutes: rules of the rota by the operator.
func TestRotaRoutes(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		h := apitest.New(t, w.m.Routes)
		p, _ := w.person()
		foreign := apitest.Staff(apitest.Other, auth.Operator)
		rule := map[string]any{
			"campus_id": w.campus.String(), "department_id": w.dept.String(), "practitioner_id": w.doctor.String(), "session": "morning", "class": "expert",
			"seats": 10, "slot_minutes": 30, "fee_fen": 2500, "start": "08:00", "end": "12:00", "recurrence": "FREQ=WEEKLY;BYDAY=MO,WE", "from": "2026-03-02",
		}
		h.Do(p, "POST", "/rotas", rule).Refused(t, 403, "authz.denied")
		h.Do(foreign, "POST", "/rotas", rule).Refused(t, 404, "scheduling.not_found")
		preview := h.Do(w.operator, "POST", "/rotas/preview", map[string]any{"rule": rule, "from": "2026-03-02", "to": "2026-03-15"}).Want(t, 200).Map(t)
		if len(preview["items"].([]any)) != 4 {
			t.Fatalf("%v", preview)
		}
		h.Do(p, "POST", "/rotas/preview", map[string]any{"rule": rule}).Refused(t, 403, "authz.denied")
		h.Do(foreign, "POST", "/rotas/preview", map[string]any{"rule": rule}).Refused(t, 404, "scheduling.not_found")
		r := h.Do(w.operator, "POST", "/rotas", rule).Want(t, 201)
		item := "/rotas/" + fmt.Sprint(r.Map(t)["id"])
		if r.Header.Get("ETag") != `"1"` || r.Map(t)["start"] != "08:00" {
			t.Errorf("%v", r.Map(t))
		}
		h.Do(w.operator, "POST", "/rotas", rule).Refused(t, 409, "scheduling.rota_overlap")
		if n := len(h.Do(w.operator, "GET", "/rotas?practitioner_id="+w.doctor.String(), nil).Want(t, 200).Items(t)); n != 1 {
			t.Errorf("%d rules", n)
		}
		if n := len(h.Do(foreign, "GET", "/rotas", nil).Want(t, 200).Items(t)); n != 0 {
			t.Errorf("%d foreign rules", n)
		}
		h.Do(p, "GET", "/rotas", nil).Refused(t, 403, "authz.denied")
		rule["fee_fen"] = 3000
		h.Do(w.operator, "PUT", item, rule).Refused(t, 400, "http.match_required")
		h.Do(p, "PUT", item, rule, apitest.IfMatch(1)).Refused(t, 403, "authz.denied")
		h.Do(foreign, "PUT", item, rule, apitest.IfMatch(1)).Refused(t, 404, "scheduling.not_found")
		h.Do(w.operator, "PUT", item, rule, apitest.IfMatch(1)).Want(t, 200)
		h.Do(w.operator, "PUT", item, rule, apitest.IfMatch(1)).Refused(t, 412, "scheduling.stale")
		rule["recurrence"] = "FREQ=HOURLY"
		h.Do(w.operator, "PUT", item, rule, apitest.IfMatch(2)).Refused(t, 422, "scheduling.rota_invalid")
		rule["recurrence"] = "FREQ=WEEKLY;BYDAY=FR"
		w.due()
		drops := h.Do(w.operator, "POST", "/rotas/preview", map[string]any{"id": r.Map(t)["id"], "rule": rule}).Want(t, 200).Map(t)
		if first := drops["drops"].([]any)[0].(map[string]any); first["date"] != "2026-03-04" || first["visits"] != 0.0 || drops["drop_kept"] != 0.0 || drops["drop_count"].(float64) < 4 {
			t.Errorf("%v", drops)
		}
		if w.on("2026-03-04").Fee != 3000 {
			t.Error("the schedules follow")
		}
	})
}

func TestRulesRoutes(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		h := apitest.New(t, w.m.Routes)
		p, _ := w.person()
		h.Do(p, "GET", "/booking-rules", nil).Refused(t, 403, "authz.denied")
		r := h.Do(w.operator, "GET", "/booking-rules", nil).Want(t, 200).Map(t)
		if r["version"] != float64(0) || len(r["presets"].([]any)) != len(bookingrules.Presets) {
			t.Fatalf("%v", r)
		}
		h.Do(p, "PUT", "/booking-rules", map[string]any{"preset": "early"}, apitest.IfMatch(0)).Refused(t, 403, "authz.denied")
		h.Do(w.operator, "PUT", "/booking-rules", map[string]any{"preset": "none"}, apitest.IfMatch(0)).Refused(t, 422, "scheduling.rules_invalid")
		r = h.Do(w.operator, "PUT", "/booking-rules", map[string]any{"preset": "early"}, apitest.IfMatch(0)).Want(t, 200).Map(t)
		values := r["values"].(map[string]any)
		if values["last_day"] != float64(14) || r["version"] != float64(1) {
			t.Fatalf("%v", r)
		}
		h.Do(w.operator, "PUT", "/booking-rules", map[string]any{"preset": "early"}, apitest.IfMatch(0)).Refused(t, 412, "scheduling.stale")
		values["hold_minutes"] = 99
		h.Do(w.operator, "PUT", "/booking-rules", map[string]any{"preset": "early", "values": values}, apitest.IfMatch(1)).Refused(t, 422, "scheduling.rules_invalid")
		values["hold_minutes"] = 10
		h.Do(w.operator, "PUT", "/booking-rules", map[string]any{"preset": "early", "values": values}, apitest.IfMatch(1)).Want(t, 200)
		if r = h.Do(apitest.Staff(apitest.Other, auth.Operator), "GET", "/booking-rules", nil).Want(t, 200).Map(t); r["version"] != float64(0) {
			t.Errorf("another tenant's rules are its own: %v", r["version"])
		}
	})
}

// stream reads the frames of a live connection.
type stream struct {
	t      *testing.T
	frames chan map[string]any
	status int
}

func listen(t *testing.T, w *world, h *apitest.Harness, ids string, headers ...string) *stream {
	t.Helper()
	srv := h.Serve()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	r, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/api/v1/schedules/live?ids="+ids, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = apitest.Host(w.tenant)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		resp.Body.Close()
	})
	s := &stream{t: t, frames: make(chan map[string]any, 100), status: resp.StatusCode}
	go func() {
		defer close(s.frames)
		in := bufio.NewScanner(resp.Body)
		for in.Scan() {
			if data, ok := strings.CutPrefix(in.Text(), "data: "); ok {
				var v map[string]any
				if json.Unmarshal([]byte(data), &v) == nil {
					s.frames <- v
				}
			}
		}
	}()
	return s
}

// until waits for a frame with this many remaining seats.
func (s *stream) until(remaining int) map[string]any {
	s.t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		select {
		case v, ok := <-s.frames:
			if !ok {
				s.t.Fatal("the stream ended")
			}
			if v["remaining"] == float64(remaining) {
				return v
			}
		case <-deadline:
			s.t.Fatalf("no frame with %d", remaining)
		}
	}
}

// TestLive: a snapshot, then what changes in this process, and what another process
// wrote without a signal; an end with the process.
func TestLive(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(0, 10, 30)
		stop, err := w.m.Start()
		if err != nil {
			t.Fatal(err)
		}
		sch := w.on("2026-03-04")
		h := apitest.New(t, w.m.Routes)
		s := listen(t, w, h, sch.ID.String())
		if s.status != 200 {
			t.Fatal(s.status)
		}
		first := s.until(10)
		if len(first["slots"].(map[string]any)) != 8 || first["schedule_id"] != sch.ID.String() {
			t.Fatalf("%v", first)
		}
		p, v := w.person()
		a := w.hold(p, w.ask(v, sch.ID))
		if f := s.until(9); f["slots"].(map[string]any)[a.Slot.String()] != float64(1) {
			t.Errorf("%v", f)
		}
		// Another process of the same database, whose signals do not reach this one.
		far, _ := New(w.base, fakeTenants{}, w.dir, w.patients, w.payments, cal)
		far.base.Signals = nil
		q, other := w.person()
		if _, _, err := far.Hold(w.as(q), w.ask(other, sch.ID)); err != nil {
			t.Fatal(err)
		}
		s.until(8)
		if again := listen(t, w, h, sch.ID.String(), "Last-Event-ID", "1"); again.until(8) == nil {
			t.Error("a reconnect begins with everything")
		}
		h.Do(apitest.Nobody(w.tenant), "GET", "/schedules/live?ids=", nil).Refused(t, 422, "scheduling.input")
		h.Do(apitest.Nobody(w.tenant), "GET", "/schedules/live?ids=x", nil).Refused(t, 422, "scheduling.input")
		many := strings.TrimSuffix(strings.Repeat(id.Random[scheduling.Schedule]().String()+",", 51), ",")
		h.Do(apitest.Nobody(w.tenant), "GET", "/schedules/live?ids="+many, nil).Refused(t, 422, "scheduling.input")
		h.Do(apitest.Nobody(apitest.Other), "GET", "/schedules/live?ids="+sch.ID.String(), nil).Refused(t, 404, "scheduling.not_found")
		for full := false; !full; { // streams that never begin
			_, err := w.s.live.Watch(w.tenant, []fanout.Item{fanout.Item(sch.ID)})
			if full = err != nil; full && !errors.Is(err, fanout.ErrBusy) {
				t.Fatal(err)
			}
		}
		if r := h.Do(apitest.Nobody(w.tenant), "GET", "/schedules/live?ids="+sch.ID.String(), nil).Refused(t, 503, "scheduling.live_busy"); r.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		stop()
		for range s.frames { // ends with the process
		}
	})
}

// TestPaymentDown: the payment context does not hear of the hold in time: the seat is kept
// all the same, and who looks at the appointment opens the payment.
func TestPaymentDown(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 10, 30)
		h := apitest.New(t, w.m.Routes)
		p, v := w.person()
		w.payments.setDown(true)
		a := w.hold(p, w.ask(v, w.on("2026-03-04").ID))
		w.clock.Add(3 * time.Second)
		w.due()
		if h.Do(p, "GET", "/appointments/"+a.ID.String(), nil); len(w.payments.known) != 0 || w.get(p, a.ID).State != scheduling.Pending {
			t.Fatal("held without a payment")
		}
		w.payments.setDown(false)
		h.Do(p, "GET", "/appointments/"+a.ID.String(), nil)
		if q := w.payments.get(a.Payment); q.Amount != 2500 || !q.Deadline.Equal(a.HoldExpiresAt) {
			t.Errorf("%+v", q)
		}
		w.sound()
	})
}

// TestQuickHold: a body in its plain form, and the same with a charset, which the typed way reads, have the same answer.
func TestQuickHold(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 10, 30)
		h := apitest.New(t, w.m.Routes)
		sch := w.on("2026-03-04").ID.String()
		p, v := w.person()
		_, other := w.person()
		k := key(w.clock.Now())
		h.Do(p, "POST", "/appointments", body(v, sch), apitest.Key(k)).Want(t, 201)
		for name, ask := range map[string]map[string]any{
			"repeat":      body(v, sch),
			"reused":      body(v, w.on("2026-03-05").ID.String()),
			"not yours":   body(other, sch),
			"no target":   {"patient_id": v.String()},
			"no person":   {"schedule_id": sch, "any": true},
			"not an id":   {"patient_id": "x", "schedule_id": sch, "any": true},
			"a text any":  {"patient_id": v.String(), "schedule_id": sch, "any": "true"},
			"other name":  {"patient_id": v.String(), "schedule": sch},
			"slot or any": {"patient_id": v.String(), "slot_id": sch, "schedule_id": sch, "any": true},
		} {
			quick := h.Do(p, "POST", "/appointments", ask, apitest.Key(k), apitest.H("Content-Type", "application/json"))
			typed := h.Do(p, "POST", "/appointments", ask, apitest.Key(k), apitest.H("Content-Type", "application/json; charset=utf-8"))
			if a, b := told(t, quick), told(t, typed); a != b {
				t.Errorf("%s:\n%s\n%s", name, a, b)
			}
		}
	})
}

// told is an answer without what differs each time.
func told(t *testing.T, r apitest.Response) string {
	m, head := r.Map(t), r.Header.Clone()
	delete(m, "server_time")
	delete(m, "trace_id")
	head.Del("X-Trace-Id")
	head.Del("Date")
	return fmt.Sprint(r.Status, head, m)
}
