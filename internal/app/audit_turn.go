package app

import (
	"context"
	"encoding/json"
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
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/tlog"
)

// The turns of a log's life are done by whoever may write: the process that serves the
// folder, or the command itself.
const (
	auditRotateAct = "audit-rotate"
	auditBeginAct  = "audit-begin"
	turnActTime    = time.Minute
	turnActBytes   = 1 << 20
)

// turned is what a turn came to.
type turned struct {
	Head string   // the first head behind it
	Keys []string // names of the keys that sign now, with their algorithm
	PEM  string   // all keys of the log
}

func (h *House) turned(head audit.Head, life tlog.Lineage) turned {
	t := turned{Head: head.Note, PEM: life.All().PEM()}
	for _, k := range life.Current() {
		t.Keys = append(t.Keys, strings.ToUpper(k.Algorithm)+" key "+k.Fingerprint())
	}
	return t
}

func (h *House) rotateAuditKeys(ctx context.Context) (turned, error) {
	head, life, err := h.trails.RotateKeys(ctx)
	if err != nil {
		return turned{}, err
	}
	return h.turned(head, life), nil
}

func (p *Process) rotateAuditDoor(ctx context.Context, _ http.ResponseWriter, _ *http.Request, _ bool) (turned, error) {
	return p.house.rotateAuditKeys(ctx)
}

// RotateAuditKeys is `xinglin audit rotate-key`.
func RotateAuditKeys(ctx context.Context, where config.Where, code string, out io.Writer) error {
	if err := hasDatabase(where); err != nil {
		return err
	}
	t, err := importing[turned]{
		kind: auditRotateAct, within: turnActTime, answer: turnActBytes, tenant: code,
		do:   func(ctx context.Context, h *House) (turned, error) { return h.rotateAuditKeys(ctx) },
		body: func() (io.ReadCloser, string) { return http.NoBody, "" },
	}.into(ctx, where)
	if err != nil {
		return err
	}
	return t.print(out, "the log has new keys; hand them over to whoever checks, the old ones stay good for their heads")
}

func (t turned) print(out io.Writer, words string) error {
	h, _, err := tlog.Parse(t.Head)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\nhead %d of %s: %d entries\n", words, h.Number, h.Origin, h.Size)
	for _, k := range t.Keys {
		fmt.Fprintln(out, k)
	}
	_, err = io.WriteString(out, t.PEM)
	return err
}

func hasDatabase(where config.Where) error {
	if where.DB != "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(where.Data, "db")); err != nil {
		return ErrFlags.At("data", "there is no database in the folder")
	}
	return nil
}

// lastKnown is what goes through the door: the last known head of the log, with its keys.
type lastKnown struct {
	Head      string
	Keys      string
	Rotations []string
}

func (k lastKnown) known() (auditsvc.Known, error) {
	h, _, err := tlog.Parse(k.Head)
	if err != nil {
		return auditsvc.Known{}, err
	}
	life, err := lifeOf(h.Origin, k.Keys, k.Rotations)
	return auditsvc.Known{Note: k.Head, Life: life}, err
}

func (h *House) beginAudit(ctx context.Context, last lastKnown) (turned, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return turned{}, err
	}
	known, err := last.known()
	if err != nil {
		return turned{}, err
	}
	head, err := h.trails.BeginAnew(ctx, known)
	if err != nil {
		return turned{}, err
	}
	life, _, err := h.trails.Life(ctx, who.Tenant)
	return h.turned(head, life), err
}

func (p *Process) beginAuditDoor(ctx context.Context, w http.ResponseWriter, r *http.Request, _ bool) (turned, error) {
	var last lastKnown
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, turnActBytes))
	d.DisallowUnknownFields()
	if err := d.Decode(&last); err != nil {
		return turned{}, tlog.ErrPaper.Wrap(err)
	}
	return p.house.beginAudit(ctx, last)
}

// BeginAuditLog is `xinglin audit begin-new-log`: the last known head is looked for in the
// anchor files and at the witness.
func BeginAuditLog(ctx context.Context, where config.Where, c AuditCheck, out io.Writer) error {
	if (c.Witness == "") != (c.WitnessKey == "") {
		return ErrFlags.At("witness", "give --witness and --witness-key together")
	}
	if err := hasDatabase(where); err != nil {
		return err
	}
	last, err := lastKnownHead(ctx, where, c)
	if err != nil {
		return err
	}
	body, err := json.Marshal(last)
	if err != nil {
		return err
	}
	t, err := importing[turned]{
		kind: auditBeginAct, within: turnActTime, answer: turnActBytes, tenant: c.Tenant,
		do: func(ctx context.Context, h *House) (turned, error) { return h.beginAudit(ctx, last) },
		body: func() (io.ReadCloser, string) {
			return io.NopCloser(strings.NewReader(string(body))), "application/json"
		},
	}.into(ctx, where)
	if err != nil {
		return err
	}
	h, _, err := tlog.Parse(last.Head)
	if err != nil {
		return err
	}
	return t.print(out, fmt.Sprintf("the log begins anew; of the one before, head %d of %d entries was the last known", h.Number, h.Size))
}

// lastKnownHead reads the papers and asks the witness, beside a living system too.
func lastKnownHead(ctx context.Context, where config.Where, c AuditCheck) (out lastKnown, err error) {
	h, closeAll, err := Offline(ctx, where, true)
	if err != nil {
		return out, err
	}
	defer closeAll()
	list, err := h.Tenants.List(auth.With(ctx, auth.Principal{Kind: auth.System, Name: "verify"}))
	if err != nil {
		return out, err
	}
	p, err := h.papers(ctx, c, where, list)
	if err != nil {
		return out, err
	}
	for _, t := range list {
		if t.Code != c.Tenant {
			continue
		}
		if err := h.askWitness(ctx, c, t, p); err != nil {
			return out, err
		}
		_, names, err := h.trails.Life(ctx, t.ID)
		if err != nil {
			return out, err
		}
		known, ok := p.last[names[len(names)-1]]
		if !ok {
			return out, audit.ErrNoHead.New()
		}
		return lastKnown{Head: known.Note, Keys: known.Life.First().PEM(), Rotations: known.Life.Rotations()}, nil
	}
	return out, ErrFlags.At("tenant", "there is no tenant "+c.Tenant)
}
