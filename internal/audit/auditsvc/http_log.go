package auditsvc

import (
	"context"
	"net/http"
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
}

func headOf(h audit.Head) headBody {
	b := headBody{Number: h.Number, Size: h.Size, At: h.At, SHA256: h.SHA256, SM3: h.SM3, Note: h.Note}
	if !h.WitnessedAt.IsZero() {
		b.WitnessedAt = &h.WitnessedAt
	}
	return b
}

type logOut struct {
	Body struct {
		Origin    string    `json:"origin" doc:"The name of the tenant's log in its heads"`
		Size      uint64    `json:"size"`
		Unsigned  uint64    `json:"unsigned" doc:"Entries behind the last head: under the next one in a few minutes"`
		Head      *headBody `json:"head,omitempty"`
		Witnessed *headBody `json:"witnessed,omitempty" doc:"The last head that a witness cosigned"`
		Keys      string    `json:"keys" doc:"Public keys, PEM; compare them with those that were handed over"`
		Segments  int64     `json:"segments" doc:"Closed stretches"`
		Sealed    uint64    `json:"sealed" doc:"Entries in them"`
		Disposed  uint64    `json:"disposed" doc:"Entries whose text is past its time and deleted; their hashes stay"`
	}
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
		if v.Head != nil {
			h := headOf(*v.Head)
			b.Head = &h
		}
		if v.Witnessed != nil {
			h := headOf(*v.Witnessed)
			b.Witnessed = &h
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
	op = httpx.Op{ID: "audit.read_proof", Method: http.MethodGet, Path: "/audit/events/{id}/proof", Summary: "A proof file: the entry stands in the log under a signed head"}
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
}
