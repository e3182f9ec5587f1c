package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/job"
	"xinglin/internal/platform/process"
	"xinglin/internal/platform/rekey"
	"xinglin/internal/platform/trail"
	"xinglin/internal/tenant"
)

// ErrPrepare: other machines could not read the new root key.
var ErrPrepare = fault.Register(fault.Conflict, "app.root_unprepared", "其他机器尚未获得新的根密钥",
	"Processes on other machines serve the database: --prepare first, hand the file to them, then repeat")

const (
	rotateAct  = "rotate" // the last part of the door's path
	rotateTime = 2 * time.Minute
	// rekeyEach is how often a context looks for a rotation.
	rekeyEach = 5 * time.Second
	// pollEach is how often a command looks how far one has come.
	pollEach = time.Second
)

// KeyRotation is what `xinglin keys rotate` is asked for.
type KeyRotation struct {
	Tenant              string // code
	Root, Prepare, Wait bool
}

// rotated is what it came to.
type rotated struct {
	Parts int
	Root  bool
}

// rekey gives each context with keys its machine, as a job, and its checks.
func (h *House) rekey(m Machines) error {
	metrics, err := rekey.NewMetrics(m.Metrics)
	if err != nil {
		return err
	}
	for _, d := range Descriptions() {
		if len(d.Keys.Sealed)+len(d.Keys.Blind) == 0 {
			continue
		}
		machine := rekey.New(rekey.Options{
			Unit: h.keyed(d.Name, d.Keys), Ring: m.Crypt, Clock: m.Clock, Log: m.Log.With("context", d.Name), Metrics: metrics,
		})
		for _, mod := range h.Modules {
			if mod.Name == d.Name {
				mod.Checks = append(mod.Checks, rekey.Checks(d.Name, d.Keys.Blind)...)
				mod.Jobs = append(mod.Jobs, job.Every(d.Name+".rekey", job.Cron{Every: rekeyEach}, machine.Run))
			}
		}
	}
	return nil
}

func (h *House) keyed(name string, c rekey.Columns) rekey.Unit {
	return rekey.Unit{Context: name, DB: h.DBs[name], Columns: c}
}

// Rekeyers are the machines of all contexts with these options, for commands and the bench.
func (h *House) Rekeyers(o rekey.Options) (out []*rekey.Machine) {
	for _, d := range Descriptions() {
		if len(d.Keys.Sealed)+len(d.Keys.Blind) > 0 {
			o.Unit, o.Ring, o.Clock = h.keyed(d.Name, d.Keys), h.ring, h.clock
			out = append(out, rekey.New(o))
		}
	}
	return out
}

// KeyParts are those of a rotation of the whole product.
func KeyParts() (out []crypt.Part) {
	for _, d := range Descriptions() {
		out = append(out, rekey.Parts(d.Name, d.Keys)...)
	}
	return out
}

// RotateKeys is `xinglin keys rotate`: in the folder or database, or through the process that serves the folder. Codes: crypt.rotating,
// app.root_unprepared, those of the root key.
func RotateKeys(ctx context.Context, where config.Where, c KeyRotation, out io.Writer) error {
	r := importing[rotated]{
		kind: rotateAct, within: rotateTime, answer: maxImport, tenant: c.Tenant,
		more: url.Values{"root": {fmt.Sprint(c.Root)}, "prepare": {fmt.Sprint(c.Prepare)}},
		do:   func(ctx context.Context, h *House) (rotated, error) { return h.rotateKeys(ctx, c) },
		body: func() (io.ReadCloser, string) { return io.NopCloser(strings.NewReader("")), "" },
	}
	done, err := r.into(ctx, where)
	if c.Wait && errors.Is(err, crypt.ErrRotating) {
		fmt.Fprintln(out, "one is going on already")
		return follow(ctx, where, c, out)
	}
	if err != nil {
		return err
	}
	switch {
	case c.Root && c.Prepare:
		fmt.Fprintln(out, "the file has two keys now: hand it to every machine, then rotate without --prepare")
	case c.Root:
		fmt.Fprintln(out, "the root key is another one; back it up apart from the data")
	default:
		fmt.Fprintf(out, "new generations are in force; %d tables and indexes to go\n", done.Parts)
	}
	if c.Root {
		return nil
	}
	return follow(ctx, where, c, out)
}

func (p *Process) rotateDoor(ctx context.Context, _ http.ResponseWriter, r *http.Request, _ bool) (rotated, error) {
	q := r.URL.Query()
	return p.house.rotateKeys(ctx, KeyRotation{Root: q.Get("root") == "true", Prepare: q.Get("prepare") == "true"})
}

// rotateKeys begins it, as the operator of ctx. The act is recorded first.
func (h *House) rotateKeys(ctx context.Context, c KeyRotation) (rotated, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return rotated{}, err
	}
	if c.Root {
		return rotated{Root: true}, h.rotateRoot(ctx, c)
	}
	if err := h.recordRotation(ctx, who.Tenant, "keys.rotate"); err != nil {
		return rotated{}, err
	}
	parts := KeyParts()
	_, err = h.ring.Rotate(ctx, who.Tenant, parts)
	return rotated{Parts: len(parts)}, err
}

// rotateRoot replaces the key over all tenants' keys; each tenant's log has the act.
func (h *House) rotateRoot(ctx context.Context, c KeyRotation) error {
	if !c.Prepare {
		if err := h.prepared(ctx); err != nil {
			return err
		}
	}
	all, err := h.Tenants.List(ctx)
	if err != nil {
		return err
	}
	for _, t := range all {
		if err := h.recordRotation(ctx, t.ID, "keys.rotate_root"); err != nil {
			return err
		}
	}
	return h.ring.RotateRoot(ctx, crypt.RootRotation{Prepare: c.Prepare})
}

// prepared refuses while a process on another machine may not have the next root key.
func (h *House) prepared(ctx context.Context) error {
	n, err := h.ring.RootKeys()
	if err != nil || n > 1 || h.processes == nil {
		return err
	}
	living, err := process.List(ctx, h.processes)
	if err != nil {
		return err
	}
	here, _ := os.Hostname()
	for _, p := range living {
		if p.Host != here {
			return ErrPrepare.Because("a process on %s", p.Host)
		}
	}
	return nil
}

func (h *House) recordRotation(ctx context.Context, t id.ID[auth.Tenant], action string) error {
	return h.DBs["patient"].Write(ctx, t, func(ctx context.Context, tx db.Tx) error {
		_, err := trail.Record(ctx, tx, trail.Entry{Action: action, Noun: "Tenant", ID: t.String(), Policy: "patient.command_line"})
		return err
	})
}

// follow waits for the end of a rotation: of a folder that nobody serves it does the work itself, else it looks on when asked to.
func follow(ctx context.Context, where config.Where, c KeyRotation, out io.Writer) error {
	if where.DB == "" {
		h, closeAll, err := Offline(ctx, where, false)
		if err == nil {
			defer closeAll()
			return h.rekeyHere(ctx, c.Tenant, out)
		}
		if !errors.Is(err, process.ErrDirTaken) {
			return err
		}
	}
	if !c.Wait {
		fmt.Fprintln(out, "the serving processes bring the rows over; xinglin keys list shows how far they are")
		return nil
	}
	v, err := openKeys(ctx, where, c.Tenant)
	if err != nil {
		return err
	}
	defer v.close()
	for {
		r, err := v.ring.LastRotation(ctx, v.tenant)
		if err != nil {
			return err
		}
		if !r.Ended.IsZero() {
			tellEnd(out, r)
			return nil
		}
		if err := wait(ctx, pollEach); err != nil {
			return err
		}
	}
}

// rekeyHere brings the rows over in a folder that nobody else can open meanwhile: no process seals under the keys before.
func (h *House) rekeyHere(ctx context.Context, code string, out io.Writer) error {
	as, err := h.asOperator(ctx, code, OSUser())
	if err != nil {
		return err
	}
	who, err := auth.From(as)
	if err != nil {
		return err
	}
	if err := h.ring.Adopt(ctx, who.Tenant); err != nil {
		return err
	}
	machines := h.Rekeyers(rekey.Options{Share: 100, Settle: time.Nanosecond})
	for {
		for _, m := range machines {
			if err := m.Run(ctx); err != nil {
				return err
			}
		}
		r, err := h.ring.LastRotation(ctx, who.Tenant)
		if err != nil {
			return err
		}
		if !r.Ended.IsZero() {
			tellEnd(out, r)
			return nil
		}
		if err := wait(ctx, pollEach/10); err != nil { // a part that a served process has paused
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func tellEnd(out io.Writer, r crypt.Rotation) {
	var changed, skipped int64
	for _, p := range r.Parts {
		changed, skipped = changed+p.Changed, skipped+p.Skipped
	}
	fmt.Fprintf(out, "done in %s: %d rows brought over", r.Ended.Sub(r.Started).Round(time.Millisecond), changed)
	if skipped > 0 {
		fmt.Fprintf(out, ", %d do not open and stay as they are", skipped)
	}
	fmt.Fprintln(out)
}

// keyView is what a command looks at keys with, beside whoever serves.
type keyView struct {
	srv    *db.Server
	ring   *crypt.Ring
	tenant id.ID[auth.Tenant]
}

func (v *keyView) close() { _ = v.srv.Close() }

func openKeys(ctx context.Context, where config.Where, code string) (v *keyView, err error) {
	if where.Data == "" && where.DB == "" {
		return nil, ErrFlags.At("data", "give --data DIR or --db DSN")
	}
	h, closeHouse, err := Offline(ctx, where, true)
	if err != nil {
		return nil, err
	}
	defer closeHouse()
	all, err := h.Tenants.List(auth.With(ctx, auth.Principal{Kind: auth.CLI, Name: OSUser()}))
	if err != nil {
		return nil, err
	}
	t, ok := byCode(all, code)
	if !ok {
		return nil, ErrFlags.At("tenant", "there is no tenant "+code)
	}
	keys := where.Keys
	if keys == "" {
		if where.DB != "" {
			return nil, ErrNeedsKeys.New()
		}
		keys = KeysOf(where.Data)
	}
	v = &keyView{tenant: t.ID}
	if v.srv, err = db.Open(ctx, db.Options{Dir: where.Data, DSN: where.DB, MaxConns: 4, Readers: 1}); err != nil {
		return nil, err
	}
	if v.ring, err = ringOf(ctx, v.srv, keys, false); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

func byCode(all []tenant.Tenant, code string) (tenant.Tenant, bool) {
	for _, t := range all {
		if t.Code == code {
			return t, true
		}
	}
	return tenant.Tenant{}, false
}

// ListKeys is `xinglin keys list`: generations, the present or latest rotation, and how many values lie under each generation.
func ListKeys(ctx context.Context, where config.Where, code string, out io.Writer) error {
	v, err := openKeys(ctx, where, code)
	if err != nil {
		return err
	}
	defer v.close()
	all, err := v.ring.Generations(ctx, v.tenant)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	number := map[string]int{}
	fmt.Fprintln(w, "KEY\tGENERATION\tALGORITHM\tMADE\tUSES\tROOT\tOVER PERSONS' KEYS")
	for _, g := range all {
		uses, over := "", ""
		switch g.Kind {
		case "seal":
			number[g.ID] = g.Number
			uses = fmt.Sprint(g.Uses)
		case "wrap":
			uses, over = fmt.Sprint(g.Uses), fmt.Sprint(g.PersonKeys)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%.8s\t%s\n", g.Kind, g.Number, g.Algorithm, g.Made.UTC().Format(time.RFC3339), uses, g.Wrapped, over)
	}
	r, err := v.ring.LastRotation(ctx, v.tenant)
	if err != nil {
		return err
	}
	listRotation(w, r)
	fmt.Fprintln(w, "\nSEALED\tUNDER\tGENERATION\tVALUES")
	for _, d := range Descriptions() {
		own, err := v.srv.Context(ctx, d.Name)
		if err != nil {
			return err
		}
		standing, err := rekey.Stand(ctx, v.ring, rekey.Unit{Context: d.Name, DB: own, Columns: d.Keys}, v.tenant)
		if err != nil {
			return err
		}
		for _, s := range standing {
			under, generation := "person", s.Generation
			if s.Key != "" {
				under, generation = "tenant", number[s.Key]
			}
			name := fmt.Sprint(generation)
			if generation == 0 {
				name = "unknown"
			}
			fmt.Fprintf(w, "%s.%s.%s\t%s\t%s\t%d\n", d.Name, s.Table, s.Column, under, name, s.Rows)
		}
	}
	return w.Flush()
}

func listRotation(w io.Writer, r crypt.Rotation) {
	if r.ID.IsZero() {
		return
	}
	state := "going on"
	if !r.Ended.IsZero() {
		state = "ended " + r.Ended.UTC().Format(time.RFC3339)
	}
	fmt.Fprintf(w, "\nROTATION\tstarted %s, %s\nPART\tPHASE\tPASS\tSEEN\tCHANGED\tDO NOT OPEN\n", r.Started.UTC().Format(time.RFC3339), state)
	for _, p := range r.Parts {
		fmt.Fprintf(w, "%s.%s\t%s\t%d\t%d\t%d\t%d\n", p.Context, p.Name, p.Phase, p.Pass, p.Seen, p.Changed, p.Skipped)
	}
}
