package sbom

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// permissive are the licences that code in the binary may have; MPL-2.0 would have to be unmodified and named in docs/adr/0013.
var permissive = []string{"MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "0BSD", "blessing", "CC0-1.0"}

// built is what the compiler would note in the binary.
func built(t *testing.T) *debug.BuildInfo {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", `{{with .Module}}{{if not .Main}}{{with .Replace}}{{.Path}} {{.Version}}{{else}}{{.Path}} {{.Version}}{{end}}{{end}}{{end}}`, "xinglin/cmd/xinglin")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(out))
	info := &debug.BuildInfo{GoVersion: "go1.26.0"}
	seen := map[string]bool{}
	for i := 0; i+1 < len(lines); i += 2 {
		if !seen[lines[i]] {
			seen[lines[i]] = true
			info.Deps = append(info.Deps, &debug.Module{Path: lines[i], Version: lines[i+1], Sum: "h1:x"})
		}
	}
	if len(info.Deps) < 50 {
		t.Fatalf("only %d modules: go list has another form", len(info.Deps))
	}
	return info
}

// Every part of the binary has a licence, each of them permissive, and the table has no line too many.
func TestLicences(t *testing.T) {
	t.Parallel()
	info := built(t)
	parts, err := Parts(info)
	if err != nil {
		t.Fatal(err)
	}
	word := regexp.MustCompile(`[A-Za-z0-9.-]+`)
	used := map[string]bool{}
	for _, p := range parts {
		if p.Licence == "" {
			t.Errorf("%s %s has no licence in licences.json", p.Kind, p.Name)
		}
		for _, w := range word.FindAllString(p.Licence, -1) {
			if w != "AND" && w != "OR" && !slices.Contains(permissive, w) {
				t.Errorf("%s %s has the licence %s", p.Kind, p.Name, w)
			}
		}
		if p.Kind == "golang" {
			used[p.Name] = true
		}
	}
	var table map[string]string
	if err := json.Unmarshal(licences, &table); err != nil {
		t.Fatal(err)
	}
	for name := range table {
		if !used[name] {
			t.Errorf("licences.json has %s, which is not in the binary", name)
		}
	}
}

// web.json is what package-lock.json says, and has what the pages import themselves.
func TestWebIsWhole(t *testing.T) {
	t.Parallel()
	lock, err := os.ReadFile("../../../web/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	want, err := Web(lock)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, web) {
		t.Error("web.json is not what web/package-lock.json says; type: bin/xinglin docs")
	}
	var parts []Part
	if err := json.Unmarshal(web, &parts); err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, p := range parts {
		have[p.Name] = true
		if p.sha512() == "" || p.Version == "" {
			t.Errorf("%s has no checksum or version", p.Name)
		}
	}
	for _, name := range []string{"vue", "vue-router", "pinia", "vue-i18n", "@tanstack/vue-query", "element-plus", "reka-ui", "openapi-fetch", "@noble/hashes"} {
		if !have[name] {
			t.Errorf("%s is in the pages and not in web.json", name)
		}
	}
	for _, name := range []string{"vite", "vitest", "eslint", "playwright-core", "axe-core"} {
		if have[name] {
			t.Errorf("%s is a tool and no part of the pages", name)
		}
	}
	if _, err := Web([]byte(`{"lockfileVersion":2}`)); err == nil {
		t.Error("another form of the lock file was read")
	}
}

// Both forms say the same again for the same binary, name each part once, and have what their standards require.
func TestForms(t *testing.T) {
	t.Parallel()
	info := built(t)
	parts, err := Parts(info)
	if err != nil {
		t.Fatal(err)
	}
	a, err := CycloneDX("1.0", info)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := CycloneDX("1.0", info); !bytes.Equal(a, b) {
		t.Error("another document for the same binary")
	}
	var c struct {
		Format       string `json:"bomFormat"`
		Spec         string `json:"specVersion"`
		Serial       string `json:"serialNumber"`
		Components   []struct{ Type, Name, Version, Purl, Ref string }
		Dependencies []struct{ DependsOn []string }
	}
	if err := json.Unmarshal(a, &c); err != nil {
		t.Fatal(err)
	}
	if c.Format != "CycloneDX" || c.Spec != "1.5" || !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(c.Serial) ||
		len(c.Components) != len(parts) || len(c.Dependencies[0].DependsOn) != len(parts) {
		t.Errorf("%s %s %s: %d components of %d parts", c.Format, c.Spec, c.Serial, len(c.Components), len(parts))
	}
	seen := map[string]bool{}
	for _, x := range c.Components {
		if seen[x.Purl] || x.Type != "library" || x.Name == "" || x.Version == "" || !strings.HasPrefix(x.Purl, "pkg:") {
			t.Errorf("%+v", x)
		}
		seen[x.Purl] = true
	}
	if !seen["pkg:npm/%40noble/hashes@1.8.0"] {
		t.Error("a scoped package has another purl")
	}
	var s struct {
		Version       string `json:"spdxVersion"`
		Packages      []struct{ SPDXID, Name, LicenseDeclared string }
		Relationships []struct{ RelationshipType string }
	}
	b, err := SPDX("1.0", "2026-01-01T00:00:00Z", info)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil || s.Version != "SPDX-2.3" || len(s.Packages) != len(parts)+1 || len(s.Relationships) != len(parts)+1 {
		t.Errorf("%s: %d packages, %v", s.Version, len(s.Packages), err)
	}
}
