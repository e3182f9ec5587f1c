package identitysvc

import (
	"errors"
	"slices"
	"testing"

	"xinglin/internal/identity"
	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
)

func TestDemoAccounts(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := testkit.AsCLI(t.Context(), apitest.Main)
		staff := b.employ(t, "zhang.san", auth.Doctor)
		patient, err := b.EnsurePatient(ctx, secret.New(phone))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // every start shows them again
			for _, l := range []identity.DemoLogin{
				{Account: staff.ID, Position: 2, Label: "张医生", LabelEN: "Dr Zhang", Password: secret.New(strong)},
				{Account: patient, Position: 1, Label: "患者", LabelEN: "Patient"},
			} {
				if err := b.ShowDemo(ctx, l); err != nil {
					t.Fatal(err)
				}
			}
		}
		items := b.do("GET", "/demo/accounts", nil).Want(t, 200).Items(t)
		if len(items) != 2 || items[0]["phone"] != phone || items[0]["kind"] != "patient" || items[0]["password"] != nil ||
			items[1]["username"] != "zhang.san" || items[1]["label"] != "张医生" || items[1]["label_en"] != "Dr Zhang" {
			t.Fatalf("%v", items)
		}
		// What the page shows opens the door.
		me := b.do("POST", "/auth/staff/sessions", map[string]any{
			"username": items[1]["username"], "password": items[1]["password"], "totp": items[1]["totp"],
		}).Want(t, 201).Map(t)
		if me["demo"] != true {
			t.Fatalf("%v", me)
		}
		b.api.Do(apitest.Nobody(apitest.Other), "GET", "/demo/accounts", nil).Want(t, 200)
		if n := len(b.api.Do(apitest.Nobody(apitest.Other), "GET", "/demo/accounts", nil).Items(t)); n != 0 {
			t.Fatalf("the other tenant shows %d", n)
		}
		if err := b.ShowDemo(ctx, identity.DemoLogin{Account: id.Random[auth.Account]()}); !errors.Is(err, identity.ErrNotFound) {
			t.Fatalf("unknown account: %v", err)
		}
		if err := b.ShowDemo(testkit.As(t.Context(), apitest.Patient(apitest.Main)), identity.DemoLogin{Account: patient}); fault.KindOf(err) != fault.Forbidden {
			t.Fatalf("a patient: %v", err)
		}
		// In the demo a code is sent as ever and never shown in the answer.
		r := b.do("POST", "/auth/codes", map[string]any{"phone": phone}).Want(t, 202).Map(t)
		if len(r) != 2 {
			t.Fatalf("the answer shows more: %v", r)
		}
	}, testkit.Demo())
}

// Without --demo the route does not exist and nothing can be shown.
func TestNoDemo(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.do("GET", "/demo/accounts", nil).Refused(t, 404, "http.not_found")
		if slices.ContainsFunc(b.api.API.Ops(), func(o httpx.Op) bool { return o.ID == "identity.list_demo_accounts" }) {
			t.Fatal("the route is in the table")
		}
		if err := b.ShowDemo(testkit.AsCLI(t.Context(), apitest.Main), identity.DemoLogin{}); !errors.Is(err, identity.ErrNotFound) {
			t.Fatal(err)
		}
		if _, err := b.DemoAccounts(t.Context(), apitest.Main); !errors.Is(err, identity.ErrNotFound) {
			t.Fatal(err)
		}
	})
}
