package identitysvc

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/identity/identitysvc/external"
	"xinglin/internal/identity/identitysvc/provider"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/verify"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
	"xinglin/internal/testkit/pgcluster"
)

// broken runs the checks and names those that see a violation.
func (b *bench) broken(t *testing.T) map[string]int {
	t.Helper()
	var text strings.Builder
	rep, err := verify.Run(t.Context(), []verify.Unit{{
		Context: "identity", DB: b.store.db, Checks: b.mod.Checks, Events: []string{"identity.session.revoked.v1"},
		Actions: b.actions(), Jobs: []string{contactKind, sweepKind, provider.LogoutKind, external.EndKind},
	}}, nil, &text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}
	out := map[string]int{}
	for _, l := range rep.Lines {
		if n := l.Violations + l.InFlight; n > 0 {
			out[l.Name] = n
		}
	}
	return out
}

// actions are the names that policies give.
func (b *bench) actions() (out []string) {
	for _, p := range b.authz.Permissions() {
		out = append(out, p.Action)
	}
	return out
}

func TestVerifyIsCleanAfterUse(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		sec := b.loginAs(t, "guard", b.employ(t, "guard", auth.SecurityAdmin))
		in := b.login(t, phone)
		b.do("POST", "/staff/accounts", map[string]any{"username": "li.si", "name": "李四", "initial_password": strong}, sec).Want(t, 201)
		ch, code := b.sendCode(t, "13900000000")
		b.clk.Add(-3 * time.Second) // another process with a clock behind
		first := b.do("POST", "/auth/tokens", map[string]any{"grant": "code", "challenge_id": ch, "code": code}).Want(t, 201).Map(t)
		b.do("POST", "/auth/tokens", map[string]any{"grant": "refresh", "refresh_token": first["refresh_token"]}).Want(t, 201)
		b.do("POST", "/auth/tokens", map[string]any{"grant": "refresh", "refresh_token": first["refresh_token"]}).Want(t, 401)
		b.do("DELETE", "/auth/sessions/current", nil, in).Want(t, 204)
		if got := b.broken(t); len(got) != 0 {
			t.Fatalf("%v", got)
		}
	})
}

// loosen takes the schema's own guards away, as a hand-edited database would be.
const loosen = `-- +goose Up
ALTER TABLE role_grant DROP CONSTRAINT role_grant_tenant_id_account_id_fkey;
ALTER TABLE session DROP CONSTRAINT session_tenant_id_account_id_fkey;
ALTER TABLE token DROP CONSTRAINT token_tenant_id_session_id_fkey;
ALTER TABLE demo_account DROP CONSTRAINT demo_account_tenant_id_account_id_fkey;
ALTER TABLE challenge DROP CONSTRAINT challenge_tries_check, DROP CONSTRAINT challenge_check;
ALTER TABLE passkey DROP CONSTRAINT passkey_tenant_id_account_id_fkey;
ALTER TABLE refused_login DROP CONSTRAINT refused_login_tenant_id_account_id_fkey;
ALTER TABLE client_grant DROP CONSTRAINT client_grant_tenant_id_client_id_fkey, DROP CONSTRAINT client_grant_tenant_id_account_id_fkey;
ALTER TABLE client_token DROP CONSTRAINT client_token_tenant_id_grant_id_fkey;
ALTER TABLE client_consent DROP CONSTRAINT client_consent_tenant_id_client_id_fkey, DROP CONSTRAINT client_consent_tenant_id_account_id_fkey;
DROP INDEX role_grant_one_administrator;
DROP INDEX account_phone;
`

func TestVerifyFinds(t *testing.T) {
	clk := testkit.Clock()
	d := dbtest.Make(t, db.Postgres, testkit.Sets(Describe()))
	b := newBench(t, d.Open(t, dbtest.WithClock(clk)), clk)
	a := b.employ(t, "zhang.san", auth.AuditAdmin)
	in := b.login(t, phone)
	r := b.relying(t, func(s *identity.ClientSpec) { s.FirstParty, s.Sector = true, "his" })
	r.tokens(t, in)
	files := fstest.MapFS{"0099_loosen.sql": &fstest.MapFile{Data: []byte(loosen)}}
	own, err := migrations.ReadFile("migrations/0001_init.sql")
	if err != nil {
		t.Fatal(err)
	}
	files["0001_init.sql"] = &fstest.MapFile{Data: own}
	if err := db.MigratePostgres(t.Context(), d.MigrateDSN, pgcluster.App, []db.Set{{Name: "identity", FS: files}}); err != nil {
		t.Fatal(err)
	}
	const here = "'01900000-0000-7000-8000-00000000a001'"
	const there = "'01900000-0000-7000-8000-00000000a002'" // another tenant's, planted by hand
	acc := "'" + a.ID.String() + "'"
	for i, c := range []struct {
		check, plant, heal string
		tenant             string
	}{
		{"each right belongs to an account of its tenant", `INSERT INTO role_grant VALUES (` + there + `, ` + acc + `, 'doctor', ` + acc + `, 1)`, `DELETE FROM role_grant`, there},
		{"each session belongs to an account of its tenant", `INSERT INTO session VALUES (` + there + `, ` + acc + `, ` + acc + `, 1, '', 1, 1, 1, 2, NULL, '')`, `DELETE FROM session`, there},
		{"each token belongs to a session of its tenant", `INSERT INTO token VALUES (` + there + `, '\x00', ` + acc + `, 'cookie', 1, 2, NULL)`, `DELETE FROM token`, there},
		{"each demo row belongs to an account of its tenant", `INSERT INTO demo_account VALUES (` + there + `, ` + acc + `, 1, '', '', NULL)`, `DELETE FROM demo_account`, there},
		{"each passkey belongs to an account of its tenant", `INSERT INTO passkey VALUES (` + there + `, ` + acc + `, ` + acc + `, '\x00', '\x00', 'h', '\x00', '[]', false, 0, 1, NULL, NULL)`, `DELETE FROM passkey`, there},
		{"each refused login belongs to an account of its tenant", `INSERT INTO refused_login VALUES (` + there + `, ` + acc + `, ` + acc + `, 'code', '', 1)`, `DELETE FROM refused_login`, there},
		{"no account has more than twenty passkeys", `INSERT INTO passkey SELECT tenant_id, gen_random_uuid(), id, decode(to_hex(g), 'escape'), '\x00', 'h', '\x00', '[]', false, 0, 1, NULL, NULL
			FROM account, generate_series(1, 21) g WHERE kind = 'patient'`, `DELETE FROM passkey`, here},
		{"no passkey was used after it was blocked", `INSERT INTO passkey SELECT tenant_id, id, id, '\x00', '\x00', 'h', '\x00', '[]', false, 0, 1, 70000000, 2 FROM account WHERE kind = 'patient'`, `DELETE FROM passkey`, here},
		{"no session was proved outside its life", `UPDATE session SET proved_at = expires_at + 1`, `UPDATE session SET proved_at = created_at`, here},
		{"no account is two administrators", `INSERT INTO role_grant VALUES (` + here + `, ` + acc + `, 'system_admin', ` + acc + `, 1)`, `DELETE FROM role_grant WHERE role = 'system_admin'`, here},
		{"no administrator has another role", `INSERT INTO role_grant VALUES (` + here + `, ` + acc + `, 'doctor', ` + acc + `, 1)`, `DELETE FROM role_grant WHERE role = 'doctor'`, here},
		{"only staff have rights", `INSERT INTO role_grant SELECT tenant_id, id, 'doctor', id, 1 FROM account WHERE kind = 'patient'`, `DELETE FROM role_grant WHERE role = 'doctor'`, here},
		{"no code was tried more than five times or used after its end", `UPDATE challenge SET tries = 6`, `UPDATE challenge SET tries = 1`, here},
		{"no code was tried more than five times or used after its end", `UPDATE challenge SET used_at = expires_at + 1`, `UPDATE challenge SET used_at = created_at`, here},
		{"a phone has one account", `INSERT INTO account (tenant_id, id, kind, state, phone_index, phone_sealed, version, created_at)
			SELECT tenant_id, ` + here + `, kind, state, phone_index, phone_sealed, 1, 1 FROM account WHERE kind = 'patient'`, `DELETE FROM account WHERE id = ` + here, here},
		{"no live session of a disabled or closed account", `UPDATE account SET state = 'disabled' WHERE kind = 'patient'`, `UPDATE account SET state = 'active'`, here},
		{"a refresh token that was used has a successor or its session ended", `INSERT INTO token SELECT tenant_id, '\x01', id, 'refresh', 1, 2, 3 FROM session`, `DELETE FROM token WHERE kind = 'refresh'`, here},
		{"each grant belongs to a client of its tenant", `INSERT INTO client_grant VALUES (` + there + `, ` + acc + `, ` + acc + `, NULL, NULL, '', '', '[]', '', '', '', false, '', 0, 1, 1, 2, NULL, '')`, `DELETE FROM client_grant`, there},
		{"each token of a client belongs to a grant of its tenant", `INSERT INTO client_token VALUES (` + there + `, '\x00', ` + acc + `, 'code', '[]', 1, 2, NULL)`, `DELETE FROM client_token`, there},
		{"each consent belongs to a client of its tenant", `INSERT INTO client_consent VALUES (` + there + `, ` + acc + `, ` + acc + `, '[]', 1)`, `DELETE FROM client_consent`, there},
		{"no live grant of a disabled client", `UPDATE client SET state = 'disabled'`, `UPDATE client SET state = 'active'`, here},
		{"no grant outlives its session without offline access", `UPDATE session SET ended_at = 1, end_reason = 'x'`, `UPDATE session SET ended_at = NULL, end_reason = ''`, here},
		{"no token of a client outlives its grant", `UPDATE client_token SET expires_at = expires_at + 9000000000000 WHERE kind = 'access'`, `UPDATE client_token SET expires_at = expires_at - 9000000000000 WHERE kind = 'access'`, here},
		{"a client's refresh token that was used has a successor or its grant ended", `UPDATE client_token SET used_at = created_at + 1 WHERE kind = 'refresh'`, `UPDATE client_token SET used_at = NULL WHERE kind = 'refresh'`, here},
		{"a signing key was published before it signed", `INSERT INTO signing_key VALUES (` + here + `, 2, 'k', '\x00', '\x00', 1, 2)`, `DELETE FROM signing_key WHERE number = 2`, here},
		{"a public client has no secret and acts for people only", `UPDATE client SET public = true`, `UPDATE client SET public = false`, here},
		{"no session outlives its limit", `UPDATE session SET expires_at = expires_at + 1`, `UPDATE session SET expires_at = expires_at - 1`, here},
	} {
		tenant := apitest.Main
		if c.tenant == there {
			tenant = apitest.Other
		}
		run := func(sql string) {
			t.Helper()
			err := b.store.db.Write(t.Context(), tenant, func(ctx context.Context, tx db.Tx) error {
				n, err := tx.Exec(ctx, sql)
				if err == nil && n == 0 {
					err = fmt.Errorf("nothing planted")
				}
				return err
			})
			if err != nil {
				t.Fatalf("%d %s: %v", i, c.check, err)
			}
		}
		run(c.plant)
		if got := b.broken(t); len(got) != 1 || got["identity: "+c.check] != 1 {
			t.Errorf("%d: %v, want only %q", i, got, c.check)
		}
		run(c.heal)
		if got := b.broken(t); len(got) != 0 {
			t.Fatalf("%d: not healed: %v", i, got)
		}
	}
}
