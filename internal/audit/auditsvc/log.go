package auditsvc

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/authz"
	"xinglin/internal/platform/merkle"
	"xinglin/internal/platform/tlog"
	"xinglin/internal/platform/trail"
)

// Witness cosigns heads. platform/witness has a client of one.
type Witness interface {
	Key() ed25519.PublicKey
	// Cosign gives the witness's line below the head; prove shows that the log grew from
	// what the witness saw last.
	Cosign(ctx context.Context, note string, l tlog.Lineage, prove func(ctx context.Context, from uint64) ([]merkle.Node, error)) (line string, err error)
}

// Anchors takes heads outside of the database; tlog.Anchors is a file.
type Anchors interface {
	Write(note string, l tlog.Lineage) error
	// Last is the last head of a log that is known to be there; "" for none.
	Last(origin string) string
}

// UseOutside names where heads go when they are signed: either may be nil. Call it before
// jobs run.
func (s *Service) UseOutside(a Anchors, w Witness) { s.anchors, s.witness = a, w }

const maxLeaves = 500

// Append implements audit.Service.
func (s *Service) Append(ctx context.Context, tenant audit.TenantID, leaves ...audit.Leaf) ([]uint64, error) {
	if tenant.IsZero() || len(leaves) > maxLeaves {
		return nil, audit.ErrLeaf.New()
	}
	for _, l := range leaves {
		if !tlog.GoodKind(l.Kind) || l.Ref.IsZero() || !l.Class.Known() || len(l.Data) > tlog.MaxData || !utf8.ValidString(l.Data) || strings.ContainsRune(l.Data, 0) { // PostgreSQL keeps no NUL
			return nil, audit.ErrLeaf.New()
		}
		switch l.Kind {
		case audit.KindEvent, audit.KindSegment, audit.KindDisposal, audit.KindKeys, audit.KindBegin: // only the log itself says this
			return nil, audit.ErrLeaf.New()
		}
	}
	if len(leaves) == 0 {
		return nil, nil
	}
	return s.store.add(ctx, s.base.DB, tenant, leaves)
}

// may authorises an act of the auditor and gives its row for the trail.
func (s *Service) may(ctx context.Context, action, object string) (auth.Principal, trail.Entry, error) {
	who, err := auth.From(ctx)
	if err != nil {
		return who, trail.Entry{}, err
	}
	d, err := s.base.Authz.Check(ctx, authz.Request{Action: action, Noun: "AuditLog", ID: who.Tenant.String()})
	return who, trail.Entry{Action: action, Noun: "AuditLog", ID: object, Policy: d.Policy}, err
}

// Log implements audit.Service.
func (s *Service) Log(ctx context.Context) (audit.LogState, error) {
	who, act, err := s.may(ctx, "audit.read_log", "")
	if err != nil {
		return audit.LogState{}, err
	}
	v, err := s.store.view(ctx, s.base.DB, who.Tenant, act)
	if s.witness != nil {
		v.WitnessKey = hex.EncodeToString(s.witness.Key())
	}
	return v, err
}

// head is the row as the contract has it.
func (h signed) head() (*audit.Head, error) {
	p, _, err := tlog.Parse(h.note)
	if err != nil {
		return nil, audit.ErrBroken.Wrap(err)
	}
	return &audit.Head{
		Number: h.number, Size: h.size, At: h.at, SHA256: p.Root.SHA256(), SM3: p.Root.SM3(), Note: h.note, WitnessedAt: h.witnessed, AnchoredAt: h.anchored,
	}, nil
}

// by is the head with the names of the keys that signed it; none when the log's keys did
// not.
func (h signed) by(life tlog.Lineage) (*audit.Head, error) {
	out, err := h.head()
	if err != nil {
		return nil, err
	}
	if _, ks, err := life.Open(h.note); err == nil {
		for _, k := range ks {
			out.Fingerprints = append(out.Fingerprints, k.Fingerprint())
		}
	}
	return out, nil
}

// Heads implements audit.Service.
func (s *Service) Heads(ctx context.Context, p page.Request) (out page.Page[audit.Head], err error) {
	who, act, err := s.may(ctx, "audit.list_heads", "")
	if err != nil {
		return out, err
	}
	before := int64(math.MaxInt64)
	if p.Cursor != "" {
		if before, err = strconv.ParseInt(p.Cursor, 10, 64); err != nil {
			return out, audit.ErrNotFound.New()
		}
	}
	rows, life, err := s.store.listHeads(ctx, s.base.DB, who.Tenant, act, before, p.Size()+1)
	if err != nil {
		return out, err
	}
	if len(rows) > p.Size() {
		rows = rows[:p.Size()]
		out.Next = strconv.FormatInt(rows[len(rows)-1].number, 10)
	}
	for _, r := range rows {
		h, err := r.by(life)
		if err != nil {
			return out, err
		}
		out.Items = append(out.Items, *h)
	}
	return out, nil
}

// SignHead implements audit.Service.
func (s *Service) SignHead(ctx context.Context) (audit.Head, error) {
	who, act, err := s.may(ctx, "audit.sign_head", "")
	if err != nil {
		return audit.Head{}, err
	}
	return s.sign(ctx, who.Tenant, &act)
}

const signTries = 10

// signers are the tenant's keys of a generation.
func (s *Service) signers(ctx context.Context, tenant audit.TenantID, generation int) (out []tlog.Signer, ks tlog.Keys, err error) {
	keys, err := s.base.Crypt.Signers(ctx, tenant, generation)
	if err != nil {
		return nil, nil, err
	}
	var ders [][]byte
	for _, k := range keys {
		out, ders = append(out, k), append(ders, k.Public())
	}
	ks, err = tlog.KeysOf(ders...)
	return out, ks, err
}

// sign signs the log as it is now; the last head again when nothing came since. It never
// signs a tree that does not fit the heads before (audit.log_broken), nor one that is
// behind what left the house (audit.log_set_back).
func (s *Service) sign(ctx context.Context, tenant audit.TenantID, act *trail.Entry) (audit.Head, error) {
	for range signTries {
		c, err := s.store.chain(ctx, s.base.DB, tenant)
		if err != nil {
			return audit.Head{}, err
		}
		signers, ks, err := s.signers(ctx, tenant, c.generation)
		if err != nil {
			return audit.Head{}, err
		}
		if err := c.fits(tenant, ks); err != nil {
			return audit.Head{}, err
		}
		if err := s.ahead(ctx, tenant, c); err != nil {
			return audit.Head{}, err
		}
		if c.size == 0 {
			return audit.Head{}, audit.ErrNoLog.New()
		}
		if c.last != nil && c.last.size == c.size {
			h, err := c.last.head()
			if err != nil {
				return audit.Head{}, err
			}
			return *h, nil
		}
		at := s.base.Clock.Now().UTC().Truncate(time.Microsecond)
		row := signed{number: c.heads + 1, size: c.size, at: at}
		row.note, err = tlog.Sign(tlog.Head{Origin: c.name(tenant), Number: row.number, Size: row.size, Root: c.root, At: at}, signers)
		if err != nil {
			return audit.Head{}, err
		}
		ok, err := s.store.putHead(ctx, s.base.DB, tenant, row, c.state, ks, act)
		if err != nil {
			return audit.Head{}, err
		}
		if ok {
			h, err := row.head()
			if err != nil {
				return audit.Head{}, err
			}
			return *h, nil
		}
	}
	return audit.Head{}, audit.ErrBroken.Because("the number of heads is not the state's")
}

// fits says whether the log is what its last head signed, and more behind it, and whether
// these keys are the ones that sign it now.
func (c chain) fits(tenant audit.TenantID, ks tlog.Keys) error {
	if c.last == nil {
		if c.heads != 0 {
			return audit.ErrBroken.Because("%d heads were signed and none is there", c.heads)
		}
		return nil
	}
	if c.life.Generation() != c.generation || !c.life.Current().All(ks) {
		return audit.ErrBroken.Because("the tenant's keys are not those of the log")
	}
	h, _, err := c.life.Open(c.last.note)
	switch {
	case err != nil:
		return audit.ErrBroken.Wrap(err)
	case tlog.Family(h.Origin) != origin(tenant) || h.Number != c.heads || h.Number != c.last.number || h.Size != c.last.size || h.Size > c.size:
		return audit.ErrBroken.Because("head %d of %d entries is the last, the log has %d heads and %d entries", h.Number, h.Size, c.heads, c.size)
	case h.Root != c.was:
		return audit.ErrBroken.Because("the entries before %d are not those of head %d", h.Size, h.Number)
	}
	return nil
}

// ahead looks whether the last anchored head of this log is one of its own: a database
// that was set back must not go on under the same name.
func (s *Service) ahead(ctx context.Context, tenant audit.TenantID, c chain) error {
	if s.anchors == nil {
		return nil
	}
	note := s.anchors.Last(c.name(tenant))
	if note == "" {
		return nil
	}
	h, _, err := tlog.Parse(note)
	if err != nil {
		return err
	}
	same, err := s.begins(ctx, tenant, c, h)
	if err == nil && !same {
		err = audit.ErrSetBack.New()
	}
	return err
}

// begins says whether the log now begins with what a head signed.
func (s *Service) begins(ctx context.Context, tenant audit.TenantID, c chain, h tlog.Head) (bool, error) {
	if h.Size > c.size {
		return false, nil
	}
	root, err := s.store.rootAt(ctx, s.base.DB, tenant, h.Size)
	return root == h.Root, err
}

// Life is the keys that signed a tenant's heads, from the database, and the names that the
// log had, the present one last; no keys before the first head. They are public: whoever
// asks needs no right.
func (s *Service) Life(ctx context.Context, tenant audit.TenantID) (l tlog.Lineage, names []string, err error) {
	st, l, err := s.store.life(ctx, s.base.DB, tenant)
	for n := 1; n <= st.beginning; n++ {
		names = append(names, tlog.Beginning(origin(tenant), n))
	}
	return l, names, err
}

// Proof implements audit.Service.
func (s *Service) Proof(ctx context.Context, ref id.ID[id.Any]) (out audit.Proof, err error) {
	who, act, err := s.may(ctx, "audit.read_proof", ref.String())
	if err != nil {
		return out, err
	}
	p, err := s.store.proof(ctx, s.base.DB, who.Tenant, act, ref)
	if err != nil {
		return out, err
	}
	ks, err := tlog.ParseKeys([]byte(p.Keys))
	if err == nil {
		_, err = p.Verify(tlog.Trust{Keys: ks})
	}
	if err != nil { // a row that was changed has no proof
		return out, audit.ErrBroken.Wrap(err)
	}
	out = audit.Proof{Format: p.Format, Position: p.Position, Kind: p.Kind, Data: p.Data, Head: p.Head, Keys: p.Keys, Rotations: p.Rotations}
	out.Path, err = texts(p.Path)
	return out, err
}

// texts are nodes as they stand in papers.
func texts(nodes []merkle.Node) ([]string, error) {
	out := []string{}
	for _, n := range nodes {
		text, err := n.MarshalText()
		if err != nil {
			return out, err
		}
		out = append(out, string(text))
	}
	return out, nil
}

// Consistency implements audit.Service.
func (s *Service) Consistency(ctx context.Context, earlier, later int64) (out audit.Consistency, err error) {
	who, act, err := s.may(ctx, "audit.read_consistency", "")
	if err != nil {
		return out, err
	}
	p, err := s.store.consistent(ctx, s.base.DB, who.Tenant, act, min(earlier, later), max(earlier, later))
	if err != nil {
		return out, err
	}
	ks, err := tlog.ParseKeys([]byte(p.Keys))
	if err == nil {
		_, _, err = p.Verify(tlog.Trust{Keys: ks})
	}
	if err != nil {
		return out, audit.ErrBroken.Wrap(err)
	}
	out = audit.Consistency{Format: p.Format, Earlier: p.Earlier, Later: p.Later, Keys: p.Keys, Rotations: p.Rotations}
	out.Path, err = texts(p.Path)
	return out, err
}
