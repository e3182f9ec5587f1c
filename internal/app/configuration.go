package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/settings"
	"xinglin/internal/tenant/tenantsvc"
)

const (
	configTime = 2 * time.Minute
	configSize = 8 << 20 // of a report
	carryTries = 100
	carryPause = 200 * time.Millisecond
)

// ErrHalted is of a bundle of which a section was refused after others were put.
var ErrHalted = fault.Register(fault.Conflict, "app.bundle_halted", "配置包应用到一半被拒绝，请继续或回滚",
	"A section was refused after others were put: apply again to go on, or roll back")

// ConfigAct is what `xinglin config` is asked for.
type ConfigAct struct {
	Act      string // export, check, sign, stage, apply, rollback, discard, log, trust, distrust, keys
	Bundle   string // id
	Why      string
	Alone    bool
	Sections []string
	Title    string
	Body     []byte // a bundle or a public key
}

// ConfigReport is what it came to.
type ConfigReport struct {
	File     json.RawMessage `json:",omitempty"` // absent, not null: a null would be a file
	Diff     []settings.Change
	Stale    bool
	Problems []fault.Detail
	Bundles  []ConfigBundle
	Keys     []ConfigKey
}

// ConfigBundle is a line of the history.
type ConfigBundle struct {
	ID, State, Digest, StagedBy, AppliedBy, Why, HaltedAt, HaltedBy string
	StagedAt, AppliedAt                                             time.Time
	Alone, Undoes                                                   bool
	Sections                                                        []string
	Done                                                            int
}

// ConfigKey is a key whose bundles the tenant takes; its own has no title.
type ConfigKey struct{ Name, Algorithm, Title string }

// Configure is `xinglin config`: in the folder or database, or through the process that serves the folder.
func Configure(ctx context.Context, where config.Where, tenantCode string, c ConfigAct) (ConfigReport, error) {
	return importing[ConfigReport]{
		kind: "config", within: configTime, answer: configSize, tenant: tenantCode,
		more: url.Values{"act": {c.Act}, "bundle": {c.Bundle}, "why": {c.Why}, "alone": {fmt.Sprint(c.Alone)}, "section": c.Sections, "title": {c.Title}},
		do:   func(ctx context.Context, h *House) (ConfigReport, error) { return h.configure(ctx, c) },
		body: func() (io.ReadCloser, string) { return io.NopCloser(strings.NewReader(string(c.Body))), "" },
	}.into(ctx, where)
}

func (p *Process) configDoor(ctx context.Context, w http.ResponseWriter, r *http.Request, _ bool) (ConfigReport, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, settings.MaxBundle))
	if err != nil {
		return ConfigReport{}, settings.ErrTooLarge.New()
	}
	q := r.URL.Query()
	return p.house.configure(ctx, ConfigAct{
		Act: q.Get("act"), Bundle: q.Get("bundle"), Why: q.Get("why"), Alone: q.Get("alone") == "true", Sections: q["section"], Title: q.Get("title"), Body: body,
	})
}

// configure does the act as the operator of ctx. What a refusal is about is in the report too, since a door hands on no details.
func (h *House) configure(ctx context.Context, c ConfigAct) (rep ConfigReport, err error) {
	switch c.Act {
	case "export", "sign", "check", "trust", "distrust", "keys":
		rep, err = h.prepare(ctx, c)
	default:
		rep, err = h.change(ctx, c)
	}
	if f := fault.Of(err); f != nil {
		rep.Problems = f.Details
	}
	return rep, err
}

// prepare are the acts that change no section.
func (h *House) prepare(ctx context.Context, c ConfigAct) (rep ConfigReport, err error) {
	var f settings.File
	switch c.Act {
	case "export":
		f, err = h.Configuration.Export(ctx, c.Sections...)
	case "sign":
		f, err = h.Configuration.Sign(ctx, c.Body)
	case "check":
		checked, err := h.Configuration.Check(ctx, c.Body)
		return ConfigReport{Diff: checked.Diff, Stale: checked.Stale}, err
	case "trust":
		_, err = h.Configuration.Trust(ctx, c.Title, c.Body)
	case "distrust":
		err = h.Configuration.Distrust(ctx, c.Title)
	}
	if err != nil {
		return rep, err
	}
	if c.Act == "export" || c.Act == "sign" {
		rep.File, err = settings.Encode(f)
		return rep, err
	}
	keys, err := h.Configuration.Trusted(ctx)
	for _, k := range keys {
		rep.Keys = append(rep.Keys, ConfigKey{k.Name, k.Algorithm, k.Title})
	}
	return rep, err
}

// change are the acts on bundles that are kept.
func (h *House) change(ctx context.Context, c ConfigAct) (rep ConfigReport, err error) {
	if c.Act == "stage" {
		b, diff, err := h.Configuration.Stage(ctx, c.Body)
		rep.Diff = diff
		if err == nil {
			rep.Bundles = []ConfigBundle{bundleLine(b)}
		}
		return rep, err
	}
	if c.Act == "log" {
		all, err := h.Configuration.Bundles(ctx)
		for _, b := range all {
			rep.Bundles = append(rep.Bundles, bundleLine(b))
		}
		return rep, err
	}
	of, err := id.Parse[tenantsvc.Bundle](c.Bundle)
	if err != nil {
		return rep, ErrFlags.At("bundle", "want the id that config log shows")
	}
	var b tenantsvc.Bundle
	switch c.Act {
	case "apply":
		b, err = h.Configuration.Apply(ctx, of, tenantsvc.Decision{Why: c.Why, Alone: c.Alone})
	case "rollback":
		b, err = h.Configuration.RollBack(ctx, of, tenantsvc.Decision{Why: c.Why})
	case "discard":
		return rep, h.Configuration.Discard(ctx, of)
	default:
		return rep, ErrFlags.At("act", c.Act)
	}
	if err != nil {
		return rep, err
	}
	if b, rep.Diff, err = h.carry(ctx, b.ID); err != nil {
		return rep, err
	}
	rep.Bundles = []ConfigBundle{bundleLine(b)}
	if b.State == tenantsvc.Halted {
		return rep, ErrHalted.At(b.HaltedAt, b.HaltedBy)
	}
	return rep, nil
}

// carry puts a bundle's sections here, or waits for the process whose job does it: either may come first at each of them.
func (h *House) carry(ctx context.Context, of id.ID[tenantsvc.Bundle]) (tenantsvc.Bundle, []settings.Change, error) {
	for range carryTries {
		err := h.Configuration.Carry(ctx, of)
		b, diff, errRead := h.Configuration.Bundle(ctx, of)
		if errRead != nil {
			return b, nil, errRead
		}
		if err == nil || b.State != tenantsvc.Applying {
			return b, diff, nil
		}
		if k := fault.KindOf(err); k != fault.Stale && k != fault.Conflict && k != fault.Unavailable {
			return b, diff, err
		}
		select {
		case <-ctx.Done():
			return b, diff, ctx.Err()
		case <-time.After(carryPause):
		}
	}
	return tenantsvc.Bundle{}, nil, errors.New("the bundle is still being applied: see xinglin config log")
}

func bundleLine(b tenantsvc.Bundle) ConfigBundle {
	return ConfigBundle{
		ID: b.ID.String(), State: string(b.State), Digest: b.Digest, StagedBy: b.StagedBy, AppliedBy: b.AppliedBy, Why: b.Why, HaltedAt: b.HaltedAt,
		HaltedBy: b.HaltedBy, StagedAt: b.StagedAt, AppliedAt: b.AppliedAt, Alone: b.Alone, Undoes: !b.Undoes.IsZero(), Sections: b.File.Bundle.Sections.Names(),
		Done: b.Done,
	}
}

// SignBundle puts the signature of a key outside of the product under a bundle, without a database.
func SignBundle(raw []byte, keyRef string) ([]byte, error) {
	f, err := settings.Read(raw)
	if err != nil {
		return nil, err
	}
	pem, err := config.Secret(keyRef)
	if err != nil {
		return nil, err
	}
	k, err := settings.ParsePrivateKey(pem)
	if err != nil {
		return nil, err
	}
	if f, err = f.Bundle.Signed(k); err != nil {
		return nil, err
	}
	return f.Text()
}

// DiffBundles compares two bundles without a database.
func DiffBundles(from, to []byte) ([]settings.Change, error) {
	a, err := settings.Read(from)
	if err != nil {
		return nil, err
	}
	b, err := settings.Read(to)
	if err != nil {
		return nil, err
	}
	return settings.Diff(a.Bundle.Sections, b.Bundle.Sections)
}

// Print is the report for people.
func (r ConfigReport) Print(out io.Writer) error {
	if len(r.File) > 0 {
		f, err := settings.Read(r.File)
		if err != nil {
			return err
		}
		text, err := f.Text()
		if err != nil {
			return err
		}
		_, err = out.Write(text)
		return err
	}
	for _, p := range r.Problems {
		fmt.Fprintf(os.Stderr, "  %s: %s\n", p.Path, p.Message)
	}
	PrintDiff(out, r.Diff)
	if r.Stale {
		fmt.Fprintln(out, "stale: what lives was changed after the bundle was made")
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, b := range r.Bundles {
		by := b.AppliedBy
		if b.Alone {
			by += " (alone)"
		}
		if b.Undoes {
			by += " (rollback)"
		}
		at := b.AppliedAt
		if at.IsZero() {
			at = b.StagedAt
		}
		state := b.State
		if b.HaltedAt != "" {
			state += " at " + b.HaltedAt + ": " + b.HaltedBy
		}
		fmt.Fprintf(w, "%s\t%s\t%s\tstaged %s\tapplied %s\t%s\n", b.ID, state, at.In(clock.Shanghai).Format(time.DateTime), b.StagedBy, by, b.Why)
	}
	for _, k := range r.Keys {
		fmt.Fprintf(w, "%s\t%s\t%s\n", k.Name, k.Algorithm, k.Title)
	}
	return w.Flush()
}

// PrintDiff writes one line a change.
func PrintDiff(out io.Writer, diff []settings.Change) {
	for _, c := range diff {
		switch {
		case c.From == "":
			fmt.Fprintf(out, "+ %s: %s\n", c.Path, c.To)
		case c.To == "":
			fmt.Fprintf(out, "- %s: %s\n", c.Path, c.From)
		default:
			fmt.Fprintf(out, "~ %s: %s -> %s\n", c.Path, c.From, c.To)
		}
	}
}
