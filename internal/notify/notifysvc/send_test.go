package notifysvc

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/notify"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/sms"
	"xinglin/internal/smssim/simserver"
	"xinglin/internal/testkit/apitest"
)

func TestSendOncePerMessageAndChannel(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		m := h.code()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := h.s.Send(context.Background(), m); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		m.Account = h.who.Account
		m.Channels = []notify.Channel{notify.SMS, notify.InApp} // the channel that is new only
		h.send(m)
		if got := h.states(); got != "sms queued, in_app sent" {
			t.Errorf("%s", got)
		}
		if n := h.run(); n != 1 {
			t.Errorf("%d jobs", n)
		}
		got := h.sim.Messages(0)
		if len(got) != 1 || got[0].Phone != phone || got[0].Template != "identity.code" || got[0].Params["code"] != "774411" || got[0].Text != "您的验证码是 774411，5分钟内有效。请勿告诉任何人。" {
			t.Errorf("%+v", got)
		}
		h.send(m)
		if n := h.run(); n != 0 || len(h.sim.Messages(0)) != 1 {
			t.Errorf("after it was sent: %d jobs, %d messages", n, len(h.sim.Messages(0)))
		}
		if br := h.broken(); len(br) != 0 {
			t.Errorf("verify: %v", br)
		}
	})
}

// The tables hold neither phones nor codes as they are.
func TestSealed(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		if err := h.s.SetContact(t.Context(), apitest.Main, h.who.Account, secret.New(phone)); err != nil {
			t.Fatal(err)
		}
		h.sim.Fault(simserver.Fault{Kind: simserver.Down})
		h.send(h.code())
		h.run()
		all := h.bytesOf()
		for _, plain := range []string{phone, phone[3:], "774411"} {
			if bytes.Contains(all, []byte(plain)) {
				t.Errorf("%s is readable in the tables", plain)
			}
		}
		if len(all) < 200 {
			t.Errorf("only %d bytes were looked at", len(all))
		}
	})
}

func TestContacts(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		m := h.code()
		m.Phone, m.Account = secret.Text{}, h.who.Account
		if err := h.s.Send(t.Context(), m); !errors.Is(err, notify.ErrRecipient) {
			t.Errorf("no phone: %v", err)
		}
		both := m
		both.Channels = []notify.Channel{notify.SMS, notify.InApp}
		h.send(both) // in the app at least
		if got := h.states(); got != "in_app sent" {
			t.Errorf("%s", got)
		}
		for _, p := range []string{"13900000000", phone} { // the newer one counts
			if err := h.s.SetContact(t.Context(), apitest.Main, m.Account, secret.New(p)); err != nil {
				t.Fatal(err)
			}
		}
		m.ID = id.New[id.Any](h.clk.Now())
		h.send(m)
		h.run()
		if got := h.sim.Messages(0); len(got) != 1 || got[0].Phone != phone {
			t.Errorf("%+v", got)
		}
		theirs := m
		theirs.Tenant, theirs.ID = apitest.Other, id.New[id.Any](h.clk.Now())
		if err := h.s.Send(t.Context(), theirs); !errors.Is(err, notify.ErrRecipient) {
			t.Errorf("the contact of another tenant: %v", err)
		}
	})
}

func TestSendRefuses(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for name, tc := range map[string]struct {
			change func(*notify.Message)
			want   error
		}{
			"unknown template":  {func(m *notify.Message) { m.Template = "identity.poem" }, notify.ErrTemplate},
			"missing parameter": {func(m *notify.Message) { m.Params = map[string]secret.Text{"kode": secret.New("1")} }, notify.ErrTemplate},
			"no channel":        {func(m *notify.Message) { m.Channels = nil }, notify.ErrRecipient},
			"nobody":            {func(m *notify.Message) { m.Phone = secret.Text{} }, notify.ErrRecipient},
			"in-app to nobody":  {func(m *notify.Message) { m.Channels = []notify.Channel{notify.InApp} }, notify.ErrRecipient},
		} {
			m := h.code()
			tc.change(&m)
			if err := h.s.Send(t.Context(), m); !errors.Is(err, tc.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := h.states(); got != "" {
			t.Errorf("refusals wrote %s", got)
		}
	})
}

// What the gateway does and what becomes of the delivery.
func TestGateway(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for _, tc := range []struct {
			name     string
			fault    simserver.Fault
			first    string // after the first attempt
			last     string // after the repeats
			messages int
		}{
			{"good", simserver.Fault{}, "sms sent", "sms sent", 1},
			{"refused for good", simserver.Fault{Kind: simserver.Refuse}, "sms failed refused", "sms failed refused", 0},
			{"down, then up", simserver.Fault{Kind: simserver.Down, Times: 3}, "sms queued", "sms sent", 1},
			{"limited", simserver.Fault{Kind: simserver.Limit}, "sms queued", "sms sent", 1},
			{"broken off before", simserver.Fault{Kind: simserver.Drop}, "sms queued", "sms sent", 1},
			{"broken off after", simserver.Fault{Kind: simserver.Lost}, "sms queued", "sms sent", 1},
			{"an answer that is not signed", simserver.Fault{Kind: simserver.Unsigned}, "sms queued", "sms sent", 1},
		} {
			if tc.fault.Kind != "" && !h.sim.Fault(tc.fault) {
				t.Fatal(tc.name)
			}
			before, seen := h.states(), len(h.sim.Messages(0))
			m := h.code()
			m.Expires = h.clk.Now().AddDate(0, 1, 0)
			h.send(m)
			h.run()
			tail := func() string { return strings.TrimPrefix(strings.TrimPrefix(h.states(), before), ", ") }
			if got := tail(); got != tc.first {
				t.Errorf("%s: %q, want %q", tc.name, got, tc.first)
			}
			for range 12 {
				h.clk.Add(time.Hour)
				h.run()
			}
			if got, n := tail(), len(h.sim.Messages(0))-seen; got != tc.last || n != tc.messages {
				t.Errorf("%s in the end: %q and %d messages, want %q and %d", tc.name, got, n, tc.last, tc.messages)
			}
			if br := h.broken(); len(br) != 0 {
				t.Errorf("%s: verify: %v", tc.name, br)
			}
		}
	})
}

// dying loses the gateway's answer: the process dies before it marks the delivery.
type dying struct{ Gateway }

var errDied = errors.New("died")

func (d dying) Send(ctx context.Context, m sms.Message) (string, error) {
	if _, err := d.Gateway.Send(ctx, m); err != nil {
		return "", err
	}
	return "", errDied
}

func TestCrashBetweenAnswerAndMark(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.send(h.code())
		real := h.s.ways.SMS
		h.s.ways.SMS = dying{real}
		h.run()
		if got := h.states(); got != "sms queued" || len(h.sim.Messages(0)) != 1 {
			t.Fatalf("%s, %d messages", got, len(h.sim.Messages(0)))
		}
		h.s.ways.SMS = real
		h.clk.Add(time.Minute)
		h.run()
		if got := h.states(); got != "sms sent" || len(h.sim.Messages(0)) != 1 {
			t.Errorf("%s, %d messages: the gateway drops the repeat", got, len(h.sim.Messages(0)))
		}
	})
}

func TestExpiredIsNeverSent(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.sim.Fault(simserver.Fault{Kind: simserver.Down})
		h.send(h.code())
		h.run()
		h.clk.Add(5*time.Minute + time.Second)
		h.run()
		if got := h.states(); got != "sms failed expired" || len(h.sim.Messages(0)) != 0 {
			t.Errorf("%s, %d messages", got, len(h.sim.Messages(0)))
		}
	})
}

// Without a gateway a message is tried as often as any other, and then an operator sees it.
func TestWithoutGateway(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.s.ways.SMS = nil
		m := h.code()
		m.Expires = time.Time{}
		h.send(m)
		h.run()
		if got := h.states(); got != "sms queued" {
			t.Errorf("%s", got)
		}
		if br := h.broken(); len(br) != 0 { // it waits for its job
			t.Errorf("verify: %v", br)
		}
		for range tries {
			h.clk.Add(11 * time.Minute)
			h.run()
		}
		if got := h.states(); got != "sms failed no_gateway" {
			t.Errorf("%s", got)
		}
	})
}

func TestVerifyFindsAMessageWithoutAJob(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.send(h.code())
		err := h.base.DB.Write(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
			_, err := tx.Exec(ctx, `DELETE FROM job WHERE tenant_id = $1`, apitest.Main)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := h.broken(); len(got) != 1 || got["notify: no message waits without a job"] != 1 {
			t.Errorf("%v", got)
		}
	})
}

func TestVerifyFindsStatesWithoutReason(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.send(h.code())
		err := h.base.DB.Write(t.Context(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE delivery SET state = 'failed' WHERE tenant_id = $1`, apitest.Main)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := h.broken(); len(got) != 1 || got["notify: what is sent says when, and what failed says why"] != 1 {
			t.Errorf("%v", got)
		}
	})
}
