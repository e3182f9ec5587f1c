package notifysvc

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"xinglin/internal/directory"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/mailsim"
	"xinglin/internal/notify"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/mail"
	"xinglin/internal/platform/module"
	"xinglin/internal/platform/sms"
	"xinglin/internal/platform/verify"
	"xinglin/internal/platform/webpush"
	"xinglin/internal/pushsim"
	"xinglin/internal/smssim"
	"xinglin/internal/smssim/simserver"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

const phone = "13812345678"

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// house is the context on one engine with the gateway's simulator on a socket.
type house struct {
	*apitest.Harness
	t    *testing.T
	s    *Service
	mod  *module.Module
	base module.Base
	srv  *db.Server
	clk  *clock.Manual
	sim  *smssim.Server
	post *mailsim.Server
	air  *pushsim.Server
	jobs *job.Runner
	who  auth.Principal
}

// labels is a directory of one doctor.
type labels struct {
	directory.Service
	all directory.Labels
}

func (l labels) Labels(context.Context, directory.TenantID, []directory.PractitionerID, []directory.DepartmentID, []directory.CampusID) (directory.Labels, error) {
	return l.all, nil
}

var (
	doctorID = id.Must[directory.Practitioner]("01900000-0000-7000-8000-0000000000d1")
	heartID  = id.Must[directory.Department]("01900000-0000-7000-8000-0000000000d2")
	eastID   = id.Must[directory.Campus]("01900000-0000-7000-8000-0000000000d3")
	dir      = labels{all: directory.Labels{
		Practitioners: map[directory.PractitionerID]directory.Label{doctorID: {Name: "林知夏", Title: "主任医师"}},
		Departments:   map[directory.DepartmentID]directory.Label{heartID: {Name: "心血管内科", NameEN: "Cardiology"}},
		Campuses:      map[directory.CampusID]directory.Label{eastID: {Name: "东院区"}},
	}}
)

func each(t *testing.T, f func(t *testing.T, h *house)) {
	t.Helper()
	clk := testkit.Clock()
	sets := testkit.Sets(Describe())
	for _, n := range []string{"clinic", "payment", "scheduling"} {
		sets = append(sets, db.Set{Name: n, FS: db.NoMigrations})
	}
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		clk.Set(testkit.Start)
		f(t, newHouse(t, srv, clk))
	}, dbtest.WithClock(clk))
}

func newHouse(t *testing.T, srv *db.Server, clk *clock.Manual, opts ...testkit.Option) *house {
	t.Helper()
	key := secret.New("a key of at least 16 bytes")
	sim, err := smssim.New(smssim.Options{Options: simserver.Options{Listen: "127.0.0.1:0", KeyID: "k", Key: key, Clock: clk, Log: quiet}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = sim.Serve(ctx)
	}()
	client, err := sms.New(sms.Options{URL: sim.URL(), KeyID: "k", Key: key, Clock: clk, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		cancel()
		<-done
		sim.Close()
	})
	base := testkit.Base(t, srv, Describe(), append(opts, testkit.WithClock(clk))...)
	h := &house{t: t, base: base, srv: srv, clk: clk, sim: sim, who: apitest.Patient(apitest.Main)}
	h.s, h.mod = New(base, dir, Ways{SMS: client, Mail: h.mailer(), Push: h.pusher(), PublicURL: "https://hospital.example"})
	h.Harness = apitest.New(t, h.mod.Routes)
	if h.jobs, err = job.NewRunner(job.Options{DB: base.DB, Handlers: h.mod.Jobs, Clock: clk, Log: quiet}); err != nil {
		t.Fatal(err)
	}
	return h
}

// mailer is a client of the mail server's simulator on a socket.
func (h *house) mailer() Mailer {
	h.t.Helper()
	password := secret.New("a password")
	var err error
	if h.post, err = mailsim.New(mailsim.Options{Listen: "127.0.0.1:0", Password: password, Clock: h.clk, Log: quiet}); err != nil {
		h.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.post.Serve(context.Background())
	}()
	h.t.Cleanup(func() {
		h.post.Close()
		<-done
	})
	c, err := mail.New(mail.Options{URL: h.post.URL(), Password: password, From: "no-reply@hospital.example", Clock: h.clk, TLS: h.post.TLS(), Timeout: 5 * time.Second})
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// pusher is a client of the push service's simulator on a socket.
func (h *house) pusher() Pusher {
	h.t.Helper()
	var err error
	if h.air, err = pushsim.New(pushsim.Options{Listen: "127.0.0.1:0", Clock: h.clk, Log: quiet}); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.air.Serve(ctx)
	}()
	c := webpush.New(webpush.Options{Subject: "https://hospital.example", Private: true, Timeout: 5 * time.Second})
	h.t.Cleanup(func() {
		c.Close()
		cancel()
		<-done
	})
	return c
}

// code is the message of a login code.
func (h *house) code() notify.Message {
	return notify.Message{
		ID: id.New[id.Any](h.clk.Now()), Tenant: apitest.Main, Phone: secret.New(phone), Template: "identity.code",
		Params: map[string]secret.Text{"code": secret.New("774411")}, Channels: []notify.Channel{notify.SMS}, Expires: h.clk.Now().Add(5 * time.Minute),
	}
}

func (h *house) send(m notify.Message) {
	h.t.Helper()
	if err := h.s.Send(context.Background(), m); err != nil {
		h.t.Fatal(err)
	}
}

// run does the jobs that are due.
func (h *house) run() (n int) {
	h.t.Helper()
	n, err := h.jobs.RunDue(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// states names the deliveries of the tenant: channel, state and why.
func (h *house) states() string {
	h.t.Helper()
	var out []string
	err := h.base.DB.Read(context.Background(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		rows, err := tx.Query(ctx, `SELECT channel, state, why, reference <> '', sent_at IS NOT NULL FROM delivery WHERE tenant_id = $1 ORDER BY id`, apitest.Main)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var channel, state, why string
			var ref, sent bool
			if err := rows.Scan(&channel, &state, &why, &ref, &sent); err != nil {
				return err
			}
			if ref != sent {
				h.t.Errorf("%s %s: reference %v, sent %v", channel, state, ref, sent)
			}
			out = append(out, strings.TrimSpace(channel+" "+state+" "+why))
		}
		return rows.Err()
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.Join(out, ", ")
}

// bytesOf are all bytes that the tables hold for the tenant.
func (h *house) bytesOf() []byte {
	h.t.Helper()
	var all bytes.Buffer
	err := h.base.DB.Read(context.Background(), apitest.Main, func(ctx context.Context, tx db.Tx) error {
		for _, q := range []string{
			`SELECT params, COALESCE(address, params), template, why FROM delivery WHERE tenant_id = $1`,
			`SELECT phone, phone, '', '' FROM contact WHERE tenant_id = $1`,
			`SELECT mail, mail, '', '' FROM mailbox WHERE tenant_id = $1`,
			`SELECT mail, code_hash, '', '' FROM mail_proof WHERE tenant_id = $1`,
			`SELECT sealed, sealed, '', '' FROM device WHERE tenant_id = $1`,
			`SELECT private, private, '', '' FROM push_key WHERE tenant_id = $1`,
			`SELECT subject, subject, kind, '' FROM mail_budget WHERE tenant_id = $1`,
			`SELECT CAST(changed AS TEXT), actor, action, why FROM trail WHERE tenant_id = $1`,
			`SELECT CAST(payload AS TEXT), key, kind, error FROM job WHERE tenant_id = $1`,
		} {
			rows, err := tx.Query(ctx, q, apitest.Main)
			if err != nil {
				return err
			}
			for rows.Next() {
				var a, b []byte
				var c, d string
				if err := rows.Scan(&a, &b, &c, &d); err != nil {
					rows.Close()
					return err
				}
				for _, x := range [][]byte{a, b, []byte(c), []byte(d)} {
					all.Write(x)
					all.WriteByte('\n')
				}
			}
			rows.Close()
			if err := rows.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all.Bytes()
}

func (h *house) broken() map[string]int {
	h.t.Helper()
	var text strings.Builder
	actions := []string{}
	for _, p := range h.base.Authz.Permissions() {
		actions = append(actions, p.Action)
	}
	rep, err := verify.Run(context.Background(), []verify.Unit{{
		Context: "notify", DB: h.base.DB, Checks: h.mod.Checks, Events: []string{}, Actions: actions, Jobs: []string{composeKind, smsKind, mailKind, pushKind, sweepKind, remindKind},
	}}, nil, &text)
	if err != nil {
		h.t.Fatalf("%v\n%s", err, text.String())
	}
	out := map[string]int{}
	for _, l := range rep.Lines {
		if n := l.Violations + l.InFlight; n > 0 {
			out[l.Name] = n
		}
	}
	return out
}
