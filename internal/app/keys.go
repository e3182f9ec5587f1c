package app

import (
	"context"
	"fmt"
	"io"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/trail"
)

// exportKeys audits first: keys never leave without a row.
func (h *House) exportKeys(ctx context.Context, tenantCode string, person id.ID[id.Any]) ([]crypt.ExportedKey, error) {
	ts, err := h.Tenants.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range ts {
		if t.Code != tenantCode {
			continue
		}
		ctx = auth.With(ctx, auth.Principal{Kind: auth.CLI, Tenant: t.ID, Name: OSUser()})
		err := h.DBs["patient"].Write(ctx, t.ID, func(ctx context.Context, tx db.Tx) error {
			_, err := trail.Record(ctx, tx, trail.Entry{Action: "keys.export", Noun: "Patient", ID: person.String(), Policy: "patient.command_line"})
			return err
		})
		if err != nil {
			return nil, err
		}
		return h.ring.Export(ctx, t.ID, person)
	}
	return nil, ErrFlags.At("tenant", "there is no tenant "+tenantCode)
}

// WrapKeys is `xinglin keys wrap`.
func WrapKeys(ctx context.Context, source, out, from, installation string, say io.Writer) error {
	print, err := crypt.WrapRoot(ctx, crypt.Wrapping{Source: source, Out: out, From: from, Installation: installation})
	if err != nil {
		return err
	}
	fmt.Fprintf(say, "root key %s is wrapped; start with --keys wrapped:%s and back the file up apart from the data\n", print, out)
	return nil
}

// UnwrapKeys is `xinglin keys unwrap`.
func UnwrapKeys(ctx context.Context, ref, out string, say io.Writer) error {
	print, err := crypt.CheckRoot(ctx, ref, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(say, "root key %s opens\n", print)
	if out != "" {
		fmt.Fprintf(say, "%s holds it in the clear: whoever reads it reads everything\n", out)
	}
	return nil
}
