package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/audit/auditsvc"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/tlog"
	"xinglin/internal/platform/trail"
	"xinglin/internal/platform/witness"
	"xinglin/internal/tenant"
)

// AuditCheck is what an inspection of the audit logs is told.
type AuditCheck struct {
	Tenant     string   // code; empty: every tenant
	Anchors    []string // files; empty: that of the folder, when there is one
	Key        string   // file of public keys
	Witness    string   // URL
	WitnessKey string
}

const logName = "xinglin/audit/"

// maxAnchors bounds the heads of anchor files that are held in memory (about 120 bytes each).
const maxAnchors = 2_000_000

// papers are what lies outside of the database, by the log's first name (tlog.Family).
type papers struct {
	keys  map[string]tlog.Keys    // that are trusted
	of    map[string]string       // where they come from
	lives map[string]tlog.Lineage // by whole name: the keys as the papers tell them
	heads map[string][]auditsvc.Pinned
	last  map[string]auditsvc.Known // by whole name: the head with the most entries
	bad   map[string][]string
	count int
}

// VerifyAudit is `xinglin audit verify`.
func VerifyAudit(ctx context.Context, where config.Where, c AuditCheck, out io.Writer) error {
	if c.Key != "" && c.Tenant == "" {
		return ErrFlags.At("key", "the keys are of one log: give --tenant too")
	}
	if (c.Witness == "") != (c.WitnessKey == "") {
		return ErrFlags.At("witness", "give --witness and --witness-key together")
	}
	h, closeAll, err := Offline(ctx, where, true)
	if err != nil {
		return err
	}
	defer closeAll()
	clean, err := h.inspect(ctx, c, where, out)
	if err == nil && !clean {
		err = audit.ErrTampered.New()
	}
	return err
}

// inspect looks at the logs of the tenants and prints a line for each, with what was
// found below it. Papers are read before the database, which may grow meanwhile.
func (h *House) inspect(ctx context.Context, c AuditCheck, where config.Where, out io.Writer) (clean bool, err error) {
	list, err := h.Tenants.List(auth.With(ctx, auth.Principal{Kind: auth.System, Name: "verify"}))
	if err != nil {
		return false, err
	}
	p, err := h.papers(ctx, c, where, list)
	if err != nil {
		return false, err
	}
	clean = true
	seen := false
	known := map[string]bool{}
	for _, t := range list {
		name := logName + t.ID.String()
		known[name] = true
		if c.Tenant != "" && t.Code != c.Tenant {
			continue
		}
		seen = true
		if err := h.askWitness(ctx, c, t, p); err != nil {
			return false, err
		}
		rep, err := h.trails.Inspect(ctx, t.ID, auditsvc.Pins{Keys: p.keys[name], KeysOf: p.of[name], Heads: p.heads[name], Bad: p.bad[name]})
		if err != nil {
			return false, err
		}
		printLog(out, t.Code, rep)
		clean = clean && rep.Clean()
	}
	if c.Tenant != "" {
		if !seen {
			return false, ErrFlags.At("tenant", "there is no tenant "+c.Tenant)
		}
		return clean, nil
	}
	for name := range p.heads {
		if !known[name] {
			clean = false
			fmt.Fprintf(out, "FAIL  audit log %s: anchored heads name it, and the database has no such tenant\n", name)
		}
	}
	return clean, nil
}

func printLog(out io.Writer, code string, r auditsvc.Inspection) {
	word := "ok  "
	if !r.Clean() {
		word = "FAIL"
	}
	keys := r.KeysOf
	fmt.Fprintf(out, "%s  audit log of %s: %d entries, %d compared, %d past their time; %d heads and %d from outside fit; %d entries under no head yet; keys: %s\n",
		word, code, r.Size, r.Entries, r.Gone, r.Heads, r.Outside, r.Unsigned, keys)
	for _, t := range r.Told {
		fmt.Fprintf(out, "        told       %s\n", t)
	}
	if r.Lost > 0 {
		fmt.Fprintf(out, "        told       %d heads from outside are of entries that were lost then\n", r.Lost)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(out, "        broken     %s\n", f)
	}
}

// papers reads key and anchor files.
func (h *House) papers(ctx context.Context, c AuditCheck, where config.Where, list []tenant.Tenant) (*papers, error) {
	p := &papers{
		keys: map[string]tlog.Keys{}, of: map[string]string{}, lives: map[string]tlog.Lineage{}, heads: map[string][]auditsvc.Pinned{},
		last: map[string]auditsvc.Known{}, bad: map[string][]string{},
	}
	if c.Key != "" {
		ks, err := tlog.ReadKeys(c.Key)
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			if t.Code == c.Tenant {
				p.keys[logName+t.ID.String()], p.of[logName+t.ID.String()] = ks, "the given file"
			}
		}
	}
	files := c.Anchors
	if len(files) == 0 {
		if own := anchorOf(where.Data, ""); own != "" {
			if _, err := os.Stat(own); err == nil {
				files = []string{own}
			} else if !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
		}
	}
	for _, f := range files {
		if err := p.read(ctx, f); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// read takes an anchor file. The keys of a log's first line count unless others were
// given; what the lines behind it say must follow from them.
func (p *papers) read(ctx context.Context, file string) error {
	return tlog.ReadAnchors(file, func(a tlog.Anchored) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if p.count++; p.count > maxAnchors {
			return tlog.ErrPaper.Because("more than %d anchored heads", maxAnchors)
		}
		h, _, err := tlog.Parse(a.Head)
		if err != nil {
			return tlog.ErrPaper.At("line", fmt.Sprintf("line %d of %s holds no head", a.Line, file))
		}
		name := tlog.Family(h.Origin)
		if a.Keys != "" {
			life, err := lifeOf(h.Origin, a.Keys, a.Rotations)
			if err != nil {
				p.bad[name] = append(p.bad[name], fmt.Sprintf("%s line %d: the keys there do not follow from each other", file, a.Line))
				return nil
			}
			p.lives[h.Origin] = life
			if p.of[name] == "" {
				p.of[name], p.keys[name] = file, life.First()
			}
		}
		p.pin(a.Head, fmt.Sprintf("%s line %d: a head that the log's keys did not sign", file, a.Line), file, a.Line)
		return nil
	})
}

// pin takes a head from outside when the trusted keys signed it.
func (p *papers) pin(note, untrue, source string, line int) {
	h, _, err := tlog.Parse(note)
	if err != nil {
		return // the caller has parsed it
	}
	name, life := tlog.Family(h.Origin), p.lives[h.Origin]
	if _, err := (tlog.Trust{Keys: p.keys[name]}).Open(life, note); err != nil {
		p.bad[name] = append(p.bad[name], untrue)
		return
	}
	p.heads[name] = append(p.heads[name], auditsvc.Pinned{Origin: h.Origin, Number: h.Number, Size: h.Size, Root: h.Root, Source: source, Line: line})
	if last, _, err := tlog.Parse(p.last[h.Origin].Note); err != nil || last.Size < h.Size {
		p.last[h.Origin] = auditsvc.Known{Note: note, Life: life}
	}
}

func lifeOf(origin, keys string, rotations []string) (tlog.Lineage, error) {
	ks, err := tlog.ParseKeys([]byte(keys))
	if err != nil {
		return tlog.Lineage{}, err
	}
	return tlog.LineageOf(origin, ks, rotations)
}

// askWitness adds what the witness saw last of a tenant's log, under each of its names.
func (h *House) askWitness(ctx context.Context, c AuditCheck, t tenant.Tenant, p *papers) error {
	if c.Witness == "" {
		return nil
	}
	w, err := witness.NewClient(c.Witness, c.WitnessKey)
	if err != nil {
		return ErrFlags.At("witness", "want an http(s) URL and a key of 64 hexadecimal digits")
	}
	name := logName + t.ID.String()
	life, names, err := h.trails.Life(ctx, t.ID)
	if err != nil {
		return err
	}
	first := life.First()
	if len(first) == 0 { // no head was ever signed, says the database
		first = p.lives[name].First()
	}
	if len(first) == 0 {
		return nil
	}
	if len(p.keys[name]) == 0 {
		p.keys[name], p.of[name] = life.All(), "the database's own word"
	}
	for i, origin := range names {
		a, err := w.Known(ctx, origin, first)
		if errors.Is(err, witness.ErrUnknown) {
			if i == len(names)-1 {
				p.bad[name] = append(p.bad[name], "the witness has seen no head of this log under its keys")
			}
			continue
		}
		if err != nil {
			return err
		}
		if p.lives[origin], err = lifeOf(origin, a.Keys, a.Rotations); err != nil {
			p.bad[name] = append(p.bad[name], "the witness has keys that do not follow from each other")
			continue
		}
		p.pin(a.Head, "the witness has a head that the log's keys did not sign", "the witness", 0)
		if a.Refused != "" && i == len(names)-1 { // of a name before, the log itself says that it was set back
			p.bad[name] = append(p.bad[name], "the witness refused a head: the log was rewritten or set back")
		}
	}
	return nil
}

// AuditKeys is `xinglin audit keys`.
func AuditKeys(ctx context.Context, where config.Where, code string, out io.Writer) error {
	h, closeAll, err := Offline(ctx, where, true)
	if err != nil {
		return err
	}
	defer closeAll()
	as, err := h.asOperator(ctx, code, OSUser())
	if err != nil {
		return err
	}
	who, err := auth.From(as)
	if err != nil {
		return err
	}
	life, _, err := h.trails.Life(ctx, who.Tenant)
	if err != nil {
		return err
	}
	ks := life.All()
	if len(ks) == 0 {
		return audit.ErrNoLog.New()
	}
	for _, k := range ks {
		fmt.Fprintf(out, "%s key %s\n", strings.ToUpper(k.Algorithm), k.Fingerprint())
	}
	_, err = io.WriteString(out, ks.PEM())
	return err
}

// AuditRange is what is exported: entries [From, To); To 0 is up to the last head.
type AuditRange struct {
	Tenant   string
	From, To uint64
}

// The act of exporting is recorded by whoever may write: the process that serves the
// folder, or the command itself.
const (
	exportAct     = "audit-export"
	exportActTime = time.Minute
)

func (h *House) recordExport(ctx context.Context) error {
	who, err := auth.From(ctx)
	if err != nil {
		return err
	}
	d, err := h.Authz.Check(ctx, authz.Request{Action: "audit.export_bundle", Noun: "AuditLog", ID: who.Tenant.String()})
	if err != nil {
		return err
	}
	return h.DBs["audit"].Write(ctx, who.Tenant, func(ctx context.Context, tx db.Tx) error {
		_, err := trail.Record(ctx, tx, trail.Entry{Action: "audit.export_bundle", Noun: "AuditLog", Policy: d.Policy})
		return err
	})
}

func (p *Process) exportActDoor(ctx context.Context, _ http.ResponseWriter, _ *http.Request, _ bool) (struct{}, error) {
	return struct{}{}, p.house.recordExport(ctx)
}

// ExportAudit is `xinglin audit bundle`: the act is recorded before anything is read.
func ExportAudit(ctx context.Context, where config.Where, r AuditRange, file string, out io.Writer) error {
	if err := hasDatabase(where); err != nil {
		return err
	}
	_, err := importing[struct{}]{
		kind: exportAct, within: exportActTime, answer: 1 << 16, tenant: r.Tenant,
		do:   func(ctx context.Context, h *House) (struct{}, error) { return struct{}{}, h.recordExport(ctx) },
		body: func() (io.ReadCloser, string) { return http.NoBody, "" },
	}.into(ctx, where)
	if err != nil {
		return err
	}
	h, closeAll, err := Offline(ctx, where, true)
	if err != nil {
		return err
	}
	defer closeAll()
	as, err := h.asOperator(ctx, r.Tenant, OSUser())
	if err != nil {
		return err
	}
	who, err := auth.From(as)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(file + ".part") // nothing is there once it has its name
	n, err := h.trails.Export(ctx, who.Tenant, r.From, r.To, f)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(file+".part", file); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d entries in %s; check it with: xinglin audit verify-offline %s --key KEYFILE\n", n, file, file)
	return nil
}

// AuditFile is what `xinglin audit verify-offline` takes.
type AuditFile struct {
	File       string
	Key        string // file of public keys
	WitnessKey string // hexadecimal; empty asks for no witness
	Show       bool
}

// VerifyAuditFile checks a bundle or a proof without a database.
func VerifyAuditFile(c AuditFile, out io.Writer) error {
	var trust tlog.Trust
	var err error
	if trust.Keys, err = tlog.ReadKeys(c.Key); err != nil {
		return err
	}
	if c.WitnessKey != "" {
		if trust.Witness, err = witness.ParseKey(c.WitnessKey); err != nil {
			return err
		}
	}
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	head, _ := in.Peek(100) // a shorter file is a shorter beginning
	switch {
	case tlog.IsConsistency(head):
		return verifyConsistency(in, trust, out)
	case !tlog.IsBundle(head):
		return verifyProof(in, trust, out)
	}
	var show func(uint64, tlog.Leaf) error
	if c.Show {
		show = func(n uint64, l tlog.Leaf) error {
			_, err := fmt.Fprintf(out, "%d %s %s\n", n, l.Kind, l.Data)
			return err
		}
	}
	rep, err := tlog.VerifyBundle(in, trust, show)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "the bundle holds: entries %d to %d as they were logged, %d of them past their time (hash only), %d earlier heads fit\n  %s\n",
		rep.From, max(rep.To, rep.From+1)-1, rep.Gone, rep.Earlier, rep.Seen)
	return nil
}

func verifyProof(in io.Reader, trust tlog.Trust, out io.Writer) error {
	p, err := tlog.ReadProof(in)
	if err != nil {
		return err
	}
	seen, err := p.Verify(trust)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "the proof holds: entry %d, %s\n  %s\n  %s\n", p.Position, p.Kind, p.Data, seen)
	return nil
}

func verifyConsistency(in io.Reader, trust tlog.Trust, out io.Writer) error {
	p, err := tlog.ReadConsistency(in)
	if err != nil {
		return err
	}
	earlier, later, err := p.Verify(trust)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "the heads belong together: all %d entries of the earlier one stand unchanged in the later one\n  %s\n  %s\n", earlier.Size, earlier, later)
	return nil
}
