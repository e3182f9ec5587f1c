package admission

import (
	"context"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/testkit/apitest"
)

func TestPoints(t *testing.T) {
	for _, tc := range []struct {
		s    Signals
		want Verdict
	}{
		{Signals{}, Verdict{Decision: Allow}},
		{Signals{SameDevice: 4, Early: 7, Burst: 11, Skew: time.Minute}, Verdict{Decision: Allow}}, // a family that cannot wait
		{Signals{Skew: time.Hour}, Verdict{Allow, []string{"key_clock"}}},
		{Signals{SameDevice: 5}, Verdict{Slow, []string{"accounts_on_device"}}},
		{Signals{Burst: 12, Early: 8}, Verdict{Slow, []string{"asks_before_release", "burst"}}},
		{Signals{SameDevice: 12}, Verdict{Challenge, []string{"many_accounts_on_device"}}},
		{Signals{Burst: 25, Early: 40}, Verdict{Challenge, []string{"asks_before_release_often", "burst_large"}}},
		{Signals{SameDevice: 16, Burst: 30, Early: 8}, Verdict{Refuse, []string{"many_accounts_on_device", "asks_before_release", "burst_large"}}},
	} {
		if got := (Points{}).Judge(tc.s); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%+v: %+v, want %+v", tc.s, got, tc.want)
		}
	}
}

// risky asks for a challenge always.
type risky struct{ Decision }

func (r risky) Judge(Signals) Verdict { return Verdict{r.Decision, []string{"test"}} }

// phone is a Codes with one code.
type phone struct{ asked int }

func (p *phone) SendCode(context.Context, auth.Principal) (string, error) {
	p.asked++
	return "01900000-0000-7000-8000-0000000000f1", nil
}

func (p *phone) CheckCode(_ context.Context, _ auth.Principal, _, code string) error {
	if code != "123456" {
		return ErrAnswer.New()
	}
	return nil
}

func solve(nonce string, bits int) string {
	for i := 0; ; i++ {
		if s := strconv.Itoa(i); leadingZeros(nonce+s) >= bits {
			return s
		}
	}
}

func TestChallenge(t *testing.T) {
	codes := &phone{}
	h := newHouse(t, "", func(o *Options) { o.Risk, o.Enforce, o.Codes = risky{Challenge}, true, codes })
	who, other := apitest.Patient(apitest.Main), apitest.Patient(apitest.Main)
	h.hold(who, depA, "").Refused(t, 403, "admission.challenge_needed")
	var c struct {
		Nonce string
		Bits  int
		Code  bool `json:"code_available"`
	}
	h.Do(who, "POST", "/queue/challenge", nil).Want(t, 200).JSON(t, &c)
	if c.Bits != 8 || !c.Code {
		t.Errorf("%+v", c)
	}
	good := solve(c.Nonce, c.Bits)
	bad := 0
	for leadingZeros(c.Nonce+strconv.Itoa(bad)) >= c.Bits {
		bad++
	}
	answer := func(p auth.Principal, nonce, suffix string) apitest.Response {
		return h.Do(p, "POST", "/queue/challenge/answer", map[string]string{"nonce": nonce, "suffix": suffix})
	}
	answer(who, c.Nonce, strconv.Itoa(bad)).Refused(t, 422, "admission.challenge_wrong")
	answer(other, c.Nonce, good).Refused(t, 422, "admission.challenge_wrong")
	answer(who, "", "").Refused(t, 422, "admission.challenge_wrong")
	h.hold(who, depA, "").Refused(t, 403, "admission.challenge_needed")
	answer(who, c.Nonce, good).Want(t, 204)
	h.hold(who, depA, "").Want(t, 204)
	h.hold(other, depA, "").Refused(t, 403, "admission.challenge_needed")
	h.mono = h.mono.Add(clearedFor)
	h.hold(who, depA, "").Refused(t, 403, "admission.challenge_needed")
	h.clk.Add(workTime)
	answer(who, c.Nonce, good).Refused(t, 422, "admission.challenge_wrong")

	// who cannot compute gets a code by phone
	var sent struct {
		ID string `json:"challenge_id"`
	}
	h.Do(other, "POST", "/queue/challenge/code", nil).Want(t, 200).JSON(t, &sent)
	h.Do(other, "POST", "/queue/challenge/answer", map[string]string{"challenge_id": sent.ID, "code": "000000"}).Refused(t, 422, "admission.challenge_wrong")
	h.Do(other, "POST", "/queue/challenge/answer", map[string]string{"challenge_id": sent.ID, "code": "123456"}).Want(t, 204)
	h.hold(other, depA, "").Want(t, 204)
	if codes.asked != 1 {
		t.Errorf("%d codes", codes.asked)
	}
}

func TestVerdictsAreCountedAndEnforcedByFlag(t *testing.T) {
	for _, tc := range []struct {
		d    Decision
		code string
	}{{Slow, "admission.slow_down"}, {Refuse, "admission.refused"}, {Challenge, "admission.challenge_needed"}, {Allow, ""}} {
		for _, enforce := range []bool{false, true} {
			reg := prometheus.NewRegistry()
			h := newHouse(t, "", func(o *Options) { o.Risk, o.Enforce, o.Metrics = risky{tc.d}, enforce, reg })
			r := h.hold(apitest.Patient(apitest.Main), depA, "")
			if enforce && r.Code != tc.code || !enforce && r.Status != 204 {
				t.Errorf("%s, enforced %t: %d %s", tc.d, enforce, r.Status, r.Body)
			}
			if n := testutil.ToFloat64(h.desk.met.verdicts.WithLabelValues(string(tc.d))); n != 1 {
				t.Errorf("%s: counted %v", tc.d, n)
			}
		}
	}
}

// What is remembered of accounts and devices has a bound and fades.
func TestBehaviour(t *testing.T) {
	h := newHouse(t, "")
	b, now := newBehaviour(), clock.Mono()
	ask := func(p auth.Principal, device string) Signals {
		r := h.Request(p, "POST", "/hold", "{}", apitest.H(DeviceHeader, device), apitest.Key(id.New[id.Any](eight.Add(-time.Hour))))
		return b.request(r, p, eight, now)
	}
	who := apitest.Patient(apitest.Main)
	for i := 1; i <= 3; i++ {
		if s := ask(who, "phone"); s.SameDevice != 1 || s.Burst != i || s.Skew != time.Hour {
			t.Errorf("%+v", s)
		}
	}
	if s := ask(apitest.Patient(apitest.Main), "phone"); s.SameDevice != 2 || s.Burst != 1 {
		t.Errorf("a second account: %+v", s)
	}
	if s := ask(who, ""); s.SameDevice != 0 {
		t.Errorf("no device id: %+v", s)
	}
	now = now.Add(burstTime + time.Second)
	if s := ask(who, "phone"); s.Burst != 1 {
		t.Errorf("after a rest: %+v", s)
	}
	for i := range 4 * maxKnown {
		b.devices.put(uint64(i), nil)
	}
	if n := len(b.devices.young) + len(b.devices.old); n > 2*maxKnown {
		t.Errorf("%d devices", n)
	}
	for range 3 {
		now = now.Add(knownFor + time.Second)
		ask(who, "")
	}
	if s := ask(who, "phone"); s.SameDevice != 1 {
		t.Errorf("hours later: %+v", s)
	}
}
