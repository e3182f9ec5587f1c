package identitysvc

import (
	"testing"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

// TestClose: an erased person's account has no session and no phone, for ever; the phone makes another one. Only the job may, and
// not on staff.
func TestClose(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		cookie := b.login(t, phone)
		me := b.do("GET", "/auth/me", nil, cookie).Want(t, 200).Map(t)
		a := id.Must[auth.Account](me["account_id"].(string))
		job := testkit.AsSystem(t.Context(), apitest.Main, "job:privacy.erase")
		if err := b.Close(testkit.AsCLI(t.Context(), apitest.Main), a); err == nil {
			t.Error("the command line closed an account")
		}
		if err := b.Close(testkit.As(t.Context(), auth.Principal{Kind: auth.Patient, Tenant: apitest.Main, Account: a}), a); err == nil {
			t.Error("a person closed it without the decision")
		}
		for range 2 { // repeating is no error
			if err := b.Close(job, a); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Close(testkit.AsSystem(t.Context(), apitest.Other, "job"), a); err == nil {
			t.Error("another tenant closed it")
		}
		if err := b.Close(job, b.employ(t, "li.si", auth.Doctor).ID); err == nil {
			t.Error("an account of staff was closed")
		}
		b.do("GET", "/auth/me", nil, cookie).Refused(t, 401, "identity.session_ended")
		if _, err := b.Phone(t.Context(), apitest.Main, a); err == nil {
			t.Error("it has a phone")
		}
		again, err := b.EnsurePatient(testkit.AsCLI(t.Context(), apitest.Main), secret.New(phone))
		if err != nil || again == a {
			t.Errorf("the phone: %v %v", again, err)
		}
		if n := b.count(t, `SELECT COUNT(*) FROM account WHERE tenant_id IS NOT NULL AND state = 'closed' AND phone_index IS NULL AND phone_sealed IS NULL`); n != 1 {
			t.Errorf("%d closed accounts", n)
		}
	})
}
