package auditsvc

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"xinglin/internal/audit"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/page"
	"xinglin/internal/platform/httpx"
)

type headBody struct {
	Number      int64      `json:"number" doc:"From 1, without a gap"`
	Size        uint64     `json:"size" doc:"Entries under it"`
	At          time.Time  `json:"at"`
	SHA256      []byte     `json:"sha256" doc:"Root, base64"`
	SM3         []byte     `json:"sm3" doc:"Root, base64"`
	Note        string     `json:"note" doc:"The text with its signatures: what counts"`
	WitnessedAt *time.Time `json:"witnessed_at,omitempty" doc:"When the witness cosigned it"`
	AnchoredAt  *time.Time `json:"anchored_at,omitempty" doc:"When it was written down outside of the database"`
	SignedBy    []string   `json:"signed_by" nullable:"false" doc:"Fingerprints of the log's keys that signed it"`
}

func headOf(h audit.Head) headBody {
	b := headBody{Number: h.Number, Size: h.Size, At: h.At, SHA256: h.SHA256, SM3: h.SM3, Note: h.Note, SignedBy: append([]string{}, h.Fingerprints...)}
	if !h.WitnessedAt.IsZero() {
		b.WitnessedAt = &h.WitnessedAt
	}
	if !h.AnchoredAt.IsZero() {
		b.AnchoredAt = &h.AnchoredAt
	}
	return b
}

func headIf(h *audit.Head) *headBody {
	if h == nil {
		return nil
	}
	b := headOf(*h)
	return &b
}

type logOut struct {
	Body struct {
		Origin     string          `json:"origin" doc:"The name of the tenant's log in its heads"`
		Size       uint64          `json:"size"`
		Unsigned   uint64          `json:"unsigned" doc:"Entries behind the last head: under the next one in a few minutes"`
		Head       *headBody       `json:"head,omitempty"`
		Witnessed  *headBody       `json:"witnessed,omitempty" doc:"The last head that a witness cosigned"`
		Anchored   *headBody       `json:"anchored,omitempty" doc:"The last head that was written down outside of the database"`
		Keys       string          `json:"keys" doc:"Public keys, PEM, of all generations; compare them with those that were handed over"`
		WitnessKey string          `json:"witness_key,omitempty" doc:"Of the configured witness, hexadecimal; compare it with what the witness says itself"`
		Generation int             `json:"generation" doc:"Of the keys that sign now, from 1"`
		KeyChanges []keyChangeBody `json:"key_changes" nullable:"false" doc:"Each is an entry of the log, signed by the keys before"`
		Beginning  int             `json:"beginning" doc:"From 1; more when the database was set back and the log began anew"`
		Beginnings []beginningBody `json:"beginnings" nullable:"false"`
		Segments   int64           `json:"segments" doc:"Closed stretches"`
		Sealed     uint64          `json:"sealed" doc:"Entries in them"`
		Disposed   uint64          `json:"disposed" doc:"Entries whose text is past its time and deleted; their hashes stay"`
	}
}

type keyChangeBody struct {
	Generation int       `json:"generation"`
	At         time.Time `json:"at"`
	FromHead   int64     `json:"from_head" doc:"The first head under the new keys"`
	Position   uint64    `json:"position"`
}

type beginningBody struct {
	Number   int       `json:"number"`
	At       time.Time `json:"at"`
	Position uint64    `json:"position" doc:"Of the entry that says so"`
	Kept     uint64    `json:"kept" doc:"Entries that stayed"`
	LostHead int64     `json:"lost_head" doc:"Number of the last known head of the log before"`
	LostSize uint64    `json:"lost_size" doc:"Entries under it: from kept on they are lost"`
}

type consistencyIn struct {
	Earlier int64 `query:"earlier" minimum:"1" required:"true" doc:"Number of a head"`
	Later   int64 `query:"later" minimum:"1" required:"true" doc:"Number of another head"`
}

type consistencyBody audit.Consistency

type consistencyOut struct {
	Disposition string `header:"Content-Disposition"`
	Body        consistencyBody
}

type headsIn struct {
	Cursor string `query:"cursor" maxLength:"1024"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

type headsOut struct {
	Body struct {
		Items []headBody `json:"items"`
		Next  string     `json:"next"`
	}
}

type headOut struct{ Body headBody }

type proofIn struct {
	ID string `path:"id" format:"uuid" doc:"Of an audit event, or the reference of another entry"`
}

type proofBody audit.Proof

type proofOut struct {
	Disposition string `header:"Content-Disposition"`
	Body        proofBody
}

func (s *Service) logRoutes(a *httpx.API) {
	op := httpx.Op{ID: "audit.read_log", Method: http.MethodGet, Path: "/audit/log", Summary: "The chain: how long it is, its last head, keys and retention"}
	httpx.Register(a, op, func(ctx context.Context, _ *struct{}) (*logOut, error) {
		v, err := s.Log(ctx)
		if err != nil {
			return nil, err
		}
		out := &logOut{}
		b := &out.Body
		b.Origin, b.Size, b.Unsigned, b.Keys, b.Segments, b.Sealed, b.Disposed = v.Origin, v.Size, v.Unsigned, v.Keys, v.Segments, v.Sealed, v.Disposed
		b.WitnessKey, b.Generation, b.Beginning = v.WitnessKey, v.Generation, v.Beginning
		b.Head, b.Witnessed, b.Anchored = headIf(v.Head), headIf(v.Witnessed), headIf(v.Anchored)
		b.KeyChanges, b.Beginnings = []keyChangeBody{}, []beginningBody{}
		for _, k := range v.KeyChanges {
			b.KeyChanges = append(b.KeyChanges, keyChangeBody(k))
		}
		for _, n := range v.Beginnings {
			b.Beginnings = append(b.Beginnings, beginningBody(n))
		}
		return out, nil
	})
	op = httpx.Op{ID: "audit.list_heads", Method: http.MethodGet, Path: "/audit/heads", Summary: "Signed heads of the log, newest first"}
	httpx.Register(a, op, func(ctx context.Context, in *headsIn) (*headsOut, error) {
		cursor, err := a.Unseal(ctx, in.Cursor)
		if err != nil {
			return nil, err
		}
		found, err := s.Heads(ctx, page.Request{Cursor: cursor, Limit: in.Limit})
		if err != nil {
			return nil, err
		}
		out := &headsOut{}
		out.Body.Items, out.Body.Next = []headBody{}, a.Seal(ctx, found.Next)
		for _, h := range found.Items {
			out.Body.Items = append(out.Body.Items, headOf(h))
		}
		return out, nil
	})
	op = httpx.Op{ID: "audit.sign_head", Method: http.MethodPost, Path: "/audit/heads", Summary: "Sign the log as it is now; the last head again when nothing came since"}
	httpx.Register(a, op, func(ctx context.Context, _ *struct{}) (*headOut, error) {
		h, err := s.SignHead(ctx)
		if err != nil {
			return nil, err
		}
		return &headOut{Body: headOf(h)}, nil
	})
	s.paperRoutes(a)
}

// paperRoutes give files that hold without a database.
func (s *Service) paperRoutes(a *httpx.API) {
	op := httpx.Op{ID: "audit.read_proof", Method: http.MethodGet, Path: "/audit/events/{id}/proof", Summary: "A proof file: the entry stands in the log under a signed head"}
	httpx.Register(a, op, func(ctx context.Context, in *proofIn) (*proofOut, error) {
		ref, err := httpx.ID[id.Any](in.ID)
		if err != nil {
			return nil, err
		}
		p, err := s.Proof(ctx, ref)
		if err != nil {
			return nil, err
		}
		return &proofOut{Disposition: `attachment; filename="proof-` + ref.String() + `.json"`, Body: proofBody(p)}, nil
	})
	op = httpx.Op{ID: "audit.read_consistency", Method: http.MethodGet, Path: "/audit/consistency", Summary: "A consistency file: the later of two heads begins with all that the earlier one signed"}
	httpx.Register(a, op, func(ctx context.Context, in *consistencyIn) (*consistencyOut, error) {
		c, err := s.Consistency(ctx, in.Earlier, in.Later)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf(`attachment; filename="consistency-%d-%d.json"`, min(in.Earlier, in.Later), max(in.Earlier, in.Later))
		return &consistencyOut{Disposition: name, Body: consistencyBody(c)}, nil
	})
	httpx.Handle(a, httpx.Op{
		ID: "audit.export_bundle", Method: http.MethodGet, Path: "/audit/bundle", Stream: true,
		Summary: "Entries with their proofs and heads as a file for xinglin audit verify-offline (?from=&to=; at most 20,000 entries, to=0 up to the last head)",
	}, s.getBundle)
}

// getBundle streams. Once something is out, a failure cuts the connection: the file is
// not whole then, and says so when it is checked.
func (s *Service) getBundle(w http.ResponseWriter, r *http.Request) error {
	var ends [2]uint64
	for i, name := range []string{"from", "to"} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 62)
		if err != nil {
			return audit.ErrRange.At(name, "want the number of an entry")
		}
		ends[i] = n
	}
	out := &file{w: w, name: fmt.Sprintf("audit-%d-%d.jsonl", ends[0], ends[1])}
	err := s.Hand(r.Context(), ends[0], ends[1], out)
	if err != nil && out.begun {
		panic(http.ErrAbortHandler)
	}
	return err
}

// file is an answer whose header goes out with its first byte.
type file struct {
	w     http.ResponseWriter
	name  string
	begun bool
}

func (f *file) Write(b []byte) (int, error) {
	if !f.begun {
		f.begun = true
		f.w.Header().Set("Content-Type", "application/x-ndjson")
		f.w.Header().Set("Content-Disposition", `attachment; filename="`+f.name+`"`)
	}
	return f.w.Write(b)
}
