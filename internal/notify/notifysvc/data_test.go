package notifysvc

import (
	"encoding/json"
	"strings"
	"testing"

	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/mask"
)

// A notice of a copy names no doctor and no address, and says the same otherwise.
func TestMaskFacts(t *testing.T) {
	got, err := maskFacts(&mask.Copy{}, secret.New(`{"doctor":"林知夏 副主任医师","doctor_en":"林知夏","mail":"l***@example.com","code":"123456","date":"2026-03-02","amount":"25.00"}`))
	if err != nil {
		t.Fatal(err)
	}
	p := map[string]string{}
	if err := json.Unmarshal([]byte(got.Reveal()), &p); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(p["doctor"], " 副主任医师") || !strings.Contains(p["doctor"], "某") || strings.Split(p["doctor"], " ")[0] != p["doctor_en"] {
		t.Errorf("doctor: %q and %q", p["doctor"], p["doctor_en"])
	}
	if p["mail"] != "p***@masked.invalid" || p["code"] != "000000" || p["date"] != "2026-03-02" || p["amount"] != "25.00" {
		t.Errorf("%v", p)
	}
	if _, err := maskFacts(&mask.Copy{}, secret.New("林知夏")); err == nil || strings.Contains(err.Error(), "林") {
		t.Errorf("no JSON: %v", err)
	}
	for kind, out := range map[string]bool{smsKind: true, mailKind: true, pushKind: true, composeKind: false, remindKind: false} {
		r := mask.NewRow("job", map[string]any{"kind": kind})
		if err := dropSending(t.Context(), nil, r); err != nil || r.Out() != out {
			t.Errorf("%s: %v %v", kind, r.Out(), err)
		}
	}
}
