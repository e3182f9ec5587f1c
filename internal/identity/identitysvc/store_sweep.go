package identitysvc

import (
	"context"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/identity/identitysvc/external"
)

// sweep deletes what nobody needs any more: codes a day after their end, budgets after
// two days of rest, tokens a day after their end, sessions thirty days after theirs, questions to authenticators at their
// end, refused logins after thirty days.
func (s store) sweep(ctx context.Context, t identity.TenantID, now time.Time) error {
	day := 24 * time.Hour
	for _, x := range []struct {
		text   string
		before time.Time
	}{
		{`DELETE FROM challenge WHERE tenant_id = $1 AND id IN (
			SELECT id FROM challenge WHERE tenant_id = $1 AND expires_at < $2 ORDER BY expires_at LIMIT $3)`, now.Add(-day)},
		{`DELETE FROM budget WHERE tenant_id = $1 AND (kind, subject) IN (
			SELECT kind, subject FROM budget WHERE tenant_id = $1 AND last_at < $2 ORDER BY last_at LIMIT $3) AND last_at < $2`, now.Add(-2 * day)},
		{`DELETE FROM ceremony WHERE tenant_id = $1 AND hash IN (
			SELECT hash FROM ceremony WHERE tenant_id = $1 AND expires_at < $2 ORDER BY expires_at LIMIT $3)`, now},
		{external.Sweep, now},
		{`DELETE FROM refused_login WHERE tenant_id = $1 AND id IN (
			SELECT id FROM refused_login WHERE tenant_id = $1 AND at < $2 ORDER BY at LIMIT $3)`, now.Add(-30 * day)},
		{`DELETE FROM token WHERE tenant_id = $1 AND hash IN (
			SELECT hash FROM token WHERE tenant_id = $1 AND expires_at < $2 ORDER BY expires_at LIMIT $3)`, now.Add(-day)},
		{`DELETE FROM session WHERE tenant_id = $1 AND id IN (
			SELECT id FROM session WHERE tenant_id = $1 AND expires_at < $2
				AND NOT EXISTS (SELECT 1 FROM token k WHERE k.tenant_id = $1 AND k.session_id = session.id)
			ORDER BY expires_at LIMIT $3)`, now.Add(-30 * day)},
	} {
		if err := s.db.Sweep(ctx, t, x.text, x.before); err != nil {
			return err
		}
	}
	return nil
}
