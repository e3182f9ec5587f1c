package schedulingsvc

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/scheduling/lottery"
	"xinglin/internal/testkit/apitest"
)

// TestLotteryRoutes: success, denied, another tenant, malformed, repeat, and the files
// that the command reads.
func TestLotteryRoutes(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.rota(2500, 8, 30)
		w.s.UseWitness(newWitness(w.clock))
		h := apitest.New(t, w.m.Routes)
		sch := w.on("2026-03-20")
		body := map[string]any{"schedule_ids": []string{sch.ID.String()}, "window_seconds": 60}
		nobody, p := apitest.Nobody(w.tenant), apitest.Patient(w.tenant)
		h.Do(nobody, "POST", "/lotteries", body).Refused(t, 401, "auth.required")
		h.Do(p, "POST", "/lotteries", body).Refused(t, 403, "authz.denied")
		h.Do(apitest.Staff(w.tenant, auth.Doctor), "POST", "/lotteries", body).Refused(t, 403, "authz.denied")
		h.Do(apitest.Staff(apitest.Other, auth.Operator), "POST", "/lotteries", body).Refused(t, 404, "scheduling.not_found")
		h.Do(w.operator, "POST", "/lotteries", map[string]any{"schedule_ids": []string{"x"}, "window_seconds": 60}).Refused(t, 422, "scheduling.input")
		h.Do(w.operator, "POST", "/lotteries", map[string]any{"schedule_ids": []string{sch.ID.String()}, "window_seconds": 5}).Want(t, 422)
		var first map[string]any
		for range 2 {
			made := h.Do(w.operator, "POST", "/lotteries", body).Want(t, 201).Items(t)
			if len(made) != 1 || made[0]["state"] != "announced" || made[0]["per"] != "person" || first != nil && made[0]["commitment"] != first["commitment"] {
				t.Fatalf("%v", made)
			}
			first = made[0]
		}
		path := "/lotteries/" + sch.ID.String()
		seen := h.Do(nobody, "GET", path, nil).Want(t, 200).Map(t)
		if seen["commitment"] != first["commitment"] || seen["seed"] != nil || seen["entries"] != nil || len(seen["witness_key"].(string)) != 64 || !strings.Contains(seen["note_en"].(string), "independent") {
			t.Fatalf("%v", seen)
		}
		h.Do(apitest.Nobody(apitest.Other), "GET", path, nil).Refused(t, 404, "scheduling.not_found")
		h.Do(nobody, "GET", "/lotteries/x", nil).Want(t, 422)
		w.enterOverHTTP(h, path)

		l := w.stored(lottery.Draw{Seal: lottery.Seal{Lottery: sch.ID}})
		h.Do(nobody, "GET", path+"/proof", nil).Refused(t, 409, "scheduling.lottery_not_drawn")
		w.clock.Set(l.ClosesAt)
		h.Do(p, "POST", path+"/entries", map[string]any{"patient_id": w.adult(p).String()}, apitest.Key(key(w.clock.Now()))).Refused(t, 409, "scheduling.lottery_closed")
		w.due()
		seen = h.Do(nobody, "GET", path, nil).Want(t, 200).Map(t)
		if seen["state"] != "done" || seen["witnessed"] != true || seen["entries"] != float64(1) || seen["seats"] != float64(8) || seen["winners"] != float64(1) || len(seen["seed"].(string)) != 64 {
			t.Fatalf("%v", seen)
		}
		r := h.Do(nobody, "GET", path+"/proof", nil).Want(t, 200)
		again := h.Do(nobody, "GET", path+"/proof", nil).Want(t, 200)
		proof, err := lottery.Read[lottery.Proof](bytes.NewReader(r.Body))
		if err != nil || !bytes.Equal(r.Body, again.Body) || !strings.HasPrefix(r.Header.Get("Content-Disposition"), "attachment") {
			t.Fatal(err)
		}
		if rep, err := proof.Verify(lottery.Trust{}); err != nil || !rep.Witnessed {
			t.Error(err)
		}
		h.Do(apitest.Nobody(apitest.Other), "GET", path+"/proof", nil).Refused(t, 404, "scheduling.not_found")
		h.Do(nobody, "GET", "/lotteries/x/proof", nil).Refused(t, 404, "http.not_found")
		if names := string(r.Body); strings.Contains(names, "patient") || strings.Contains(names, "account") {
			t.Error("the public file names whose entries these are")
		}
	})
}

// enterOverHTTP is the entrant's side of the routes, in the window.
func (w *world) enterOverHTTP(h *apitest.Harness, path string) {
	t := w.t
	p, v := w.person()
	q, _ := w.person()
	slot := w.slots(w.on("2026-03-20").ID)[2].ID.String()
	body := map[string]any{"patient_id": v.String(), "slot_ids": []string{slot}}
	k := key(w.clock.Now())
	if r := h.Do(p, "POST", path+"/entries", body, apitest.Key(k)).Refused(t, 409, "scheduling.not_released"); r.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	w.clock.Set(w.on("2026-03-20").ReleasedAt)
	k = key(w.clock.Now())
	schedule := w.on("2026-03-20").ID.String()
	hold := map[string]any{"patient_id": v.String(), "schedule_id": schedule, "any": true}
	if r := h.Do(p, "POST", "/appointments", hold, apitest.Key(key(w.clock.Now()))).Refused(t, 409, "scheduling.lottery_open"); r.Header.Get("Retry-After") != "60" {
		t.Errorf("Retry-After %s", r.Header.Get("Retry-After"))
	}
	h.Do(apitest.Nobody(w.tenant), "POST", path+"/entries", body, apitest.Key(k)).Refused(t, 401, "auth.required")
	h.Do(p, "POST", path+"/entries", body).Refused(t, 400, "http.key_required")
	h.Do(q, "POST", path+"/entries", body, apitest.Key(k)).Refused(t, 404, "scheduling.patient_not_yours")
	h.Do(w.operator, "POST", path+"/entries", body, apitest.Key(k)).Refused(t, 403, "authz.denied")
	stranger := apitest.Patient(apitest.Other)
	w.patients.link(stranger.Account, v)
	h.Do(stranger, "POST", path+"/entries", body, apitest.Key(k)).Refused(t, 404, "scheduling.not_found")
	h.Do(stranger, "GET", path+"/entries", nil).Refused(t, 404, "scheduling.not_found")
	h.Do(p, "POST", path+"/entries", map[string]any{"patient_id": v.String(), "slot_ids": []string{"x"}}, apitest.Key(k)).Refused(t, 422, "scheduling.input")
	var receipt any
	for i := range 3 { // anew, the same again, and the same person under another key
		key := k
		if i == 2 {
			key[15] ^= 1
		}
		r := h.Do(p, "POST", path+"/entries", body, apitest.Key(key)).Want(t, 201)
		m := r.Map(t)
		if m["id"] != k.String() || m["state"] != "waiting" || m["rank"] != nil || (r.Header.Get("Idempotency-Hit") == "true") != (i > 0) {
			t.Fatalf("%d: %v %v", i, m, r.Header)
		}
		receipt = m["receipt"]
	}
	file, err := json.Marshal(receipt)
	if err != nil {
		t.Fatal(err)
	}
	if x, err := lottery.Read[lottery.Receipt](bytes.NewReader(file)); err != nil || x.Entry != k || len(x.Wishes) != 1 {
		t.Errorf("%s: %v", file, err)
	}
	items := h.Do(p, "GET", path+"/entries", nil).Want(t, 200).Items(t)
	if len(items) != 1 || items[0]["id"] != k.String() || len(h.Do(q, "GET", path+"/entries", nil).Want(t, 200).Items(t)) != 0 {
		t.Errorf("%v", items)
	}
	h.Do(w.operator, "GET", path+"/entries", nil).Refused(t, 403, "authz.denied")
	w.clock.Add(time.Second)
}
