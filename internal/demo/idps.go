package demo

import (
	"context"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/secret"
)

// linked are the demo's staff whom the group's provider knows, by their subject there.
var linked = map[string]string{"linzhixia": "g-1001", "zhouhushi": "g-1002"}

// providers make the simulated identity providers known, where they are since this start, and link two of the staff.
func (h Hospital) providers(ctx context.Context) error {
	for _, spec := range h.IDPs {
		p, err := h.Logins.EnsureIDP(ctx, spec)
		if err != nil {
			return err
		}
		if spec.Accounts != identity.StaffAccounts {
			continue
		}
		for username, subject := range linked {
			a, err := h.Identity.EnsureStaff(ctx, identity.StaffSpec{Username: username, Name: username, Password: secret.New(Password)}) // it is there
			if err != nil {
				return err
			}
			if err := h.Logins.EnsureLink(ctx, p, a.ID, subject); err != nil {
				return err
			}
		}
	}
	return nil
}
