package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
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

// papers are what lies outside of the database, by the log's origin.
type papers struct {
	keys  map[string]tlog.Keys
	of    map[string]string // where the keys come from
	heads map[string][]auditsvc.Pinned
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
	for _, f := range r.Findings {
		fmt.Fprintf(out, "        broken     %s\n", f)
	}
}

// papers reads key and anchor files.
func (h *House) papers(ctx context.Context, c AuditCheck, where config.Where, list []tenant.Tenant) (*papers, error) {
	p := &papers{keys: map[string]tlog.Keys{}, of: map[string]string{}, heads: map[string][]auditsvc.Pinned{}, bad: map[string][]string{}}
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

// read takes an anchor file. Its keys count unless others were given.
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
		if a.Keys != "" && (p.of[h.Origin] == "" || p.of[h.Origin] == file) {
			ks, err := tlog.ParseKeys([]byte(a.Keys))
			if err != nil {
				return err
			}
			p.of[h.Origin] = file
			p.keys[h.Origin] = p.keys[h.Origin].And(ks...)
		}
		if _, _, err := p.keys[h.Origin].Open(a.Head); err != nil {
			p.bad[h.Origin] = append(p.bad[h.Origin], fmt.Sprintf("%s line %d: a head that the log's keys did not sign", file, a.Line))
			return nil
		}
		p.heads[h.Origin] = append(p.heads[h.Origin], auditsvc.Pinned{Number: h.Number, Size: h.Size, Root: h.Root, Source: file, Line: a.Line})
		return nil
	})
}

// askWitness adds what the witness saw last of a tenant's log.
func (h *House) askWitness(ctx context.Context, c AuditCheck, t tenant.Tenant, p *papers) error {
	if c.Witness == "" {
		return nil
	}
	w, err := witness.NewClient(c.Witness, c.WitnessKey)
	if err != nil {
		return ErrFlags.At("witness", "want an http(s) URL and a key of 64 hexadecimal digits")
	}
	name := logName + t.ID.String()
	ks, err := h.trails.PublicKeys(ctx, t.ID)
	if err != nil {
		return err
	}
	if len(ks) == 0 && len(p.keys[name]) == 0 {
		return nil // no head was ever signed
	}
	if len(ks) == 0 {
		ks = p.keys[name]
	}
	a, err := w.Known(ctx, name, ks)
	if errors.Is(err, witness.ErrUnknown) {
		p.bad[name] = append(p.bad[name], "the witness has seen no head of this log under its keys")
		return nil
	}
	if err != nil {
		return err
	}
	trust := p.keys[name]
	if len(trust) == 0 {
		trust = ks
	}
	head, _, err := trust.Open(a.Head)
	if err != nil {
		p.bad[name] = append(p.bad[name], "the witness has a head that the log's keys did not sign")
		return nil
	}
	p.heads[name] = append(p.heads[name], auditsvc.Pinned{Number: head.Number, Size: head.Size, Root: head.Root, Source: "the witness"})
	if a.Refused != "" {
		p.bad[name] = append(p.bad[name], "the witness refused a head: the log was rewritten or set back")
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
	ks, err := h.trails.PublicKeys(ctx, who.Tenant)
	if err != nil {
		return err
	}
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
	if where.DB == "" {
		if _, err := os.Stat(filepath.Join(where.Data, "db")); err != nil {
			return ErrFlags.At("data", "there is no database in the folder")
		}
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
	if !tlog.IsBundle(head) {
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
