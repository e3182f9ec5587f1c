package app

import (
	"context"

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
