// Package sbom says what the binary is made of: the Go modules that the compiler noted in
// it, and the npm packages of the pages, with versions, checksums and licences.
package sbom

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // the lists
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
)

// licences are those of the Go modules as SPDX expressions, read from the modules' own
// files; a test keeps them complete and permissive.
//
//go:embed licences.json
var licences []byte

// web are the npm packages that the pages need, written from web/package-lock.json by `xinglin docs`.
//
//go:embed web.json
var web []byte

// Part is one foreign thing in the binary.
type Part struct {
	Kind     string `json:"-"` // golang or npm
	Name     string `json:"name"`
	Version  string `json:"version"`
	Licence  string `json:"licence"`  // an SPDX expression; empty when nobody entered it
	Checksum string `json:"checksum"` // h1:... of go.sum, sha512-... of npm
}

// purl is the part's package URL.
func (p Part) purl() string {
	segments := strings.Split(p.Name, "/")
	for i, s := range segments {
		segments[i] = strings.ReplaceAll(url.PathEscape(s), "@", "%40")
	}
	return "pkg:" + p.Kind + "/" + strings.Join(segments, "/") + "@" + strings.ReplaceAll(url.PathEscape(p.Version), "+", "%2B")
}

// Parts of a binary, by kind and name.
func Parts(info *debug.BuildInfo) ([]Part, error) {
	var of map[string]string
	if err := json.Unmarshal(licences, &of); err != nil {
		return nil, err
	}
	out := []Part{{Kind: "golang", Name: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go"), Licence: "BSD-3-Clause"}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		out = append(out, Part{Kind: "golang", Name: m.Path, Version: m.Version, Licence: of[m.Path], Checksum: m.Sum})
	}
	var npm []Part
	if err := json.Unmarshal(web, &npm); err != nil {
		return nil, err
	}
	for _, p := range npm {
		p.Kind = "npm"
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Part) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return slices.CompactFunc(out, func(a, b Part) bool { return a.Kind == b.Kind && a.Name == b.Name && a.Version == b.Version }), nil
}

// Web reads the packages that the pages need out of a package-lock.json: what is not for
// building and testing only. Some of it the build leaves out of the pages again.
func Web(lock []byte) ([]byte, error) {
	var in struct {
		Version  int `json:"lockfileVersion"`
		Packages map[string]struct {
			Version, License, Integrity      string
			Dev, Optional, DevOptional, Link bool
		} `json:"packages"`
	}
	if err := json.Unmarshal(lock, &in); err != nil {
		return nil, err
	}
	if in.Version != 3 {
		return nil, errors.New("sbom: package-lock.json has another version than 3")
	}
	var out []Part
	for path, p := range in.Packages {
		i := strings.LastIndex(path, "node_modules/")
		if i < 0 || p.Dev || p.Optional || p.DevOptional || p.Link {
			continue
		}
		out = append(out, Part{Name: path[i+len("node_modules/"):], Version: p.Version, Licence: p.License, Checksum: p.Integrity})
	}
	slices.SortFunc(out, func(a, b Part) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version)) })
	b, err := json.MarshalIndent(slices.Compact(out), "", "  ")
	return append(b, '\n'), err
}

// sha512 is the checksum in hexadecimal, "" when it is another.
func (p Part) sha512() string {
	text, ok := strings.CutPrefix(p.Checksum, "sha512-")
	b, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil {
		return ""
	}
	return hex.EncodeToString(b)
}

type object map[string]any

// licence is how CycloneDX names it: one by its id, several as an expression.
func (p Part) licence() []object {
	switch {
	case p.Licence == "":
		return []object{}
	case strings.ContainsAny(p.Licence, " ("):
		return []object{{"expression": p.Licence}}
	}
	return []object{{"license": object{"id": p.Licence}}}
}

// CycloneDX writes a bill of materials in CycloneDX 1.5 JSON, the same for the same binary.
func CycloneDX(version string, info *debug.BuildInfo) ([]byte, error) {
	parts, err := Parts(info)
	if err != nil {
		return nil, err
	}
	root := "pkg:generic/xinglin@" + url.PathEscape(version)
	components, refs := []object{}, []string{}
	for _, p := range parts {
		c := object{"type": "library", "bom-ref": p.purl(), "name": p.Name, "version": p.Version, "purl": p.purl(), "licenses": p.licence()}
		if sum := p.sha512(); sum != "" {
			c["hashes"] = []object{{"alg": "SHA-512", "content": sum}}
		} else if p.Checksum != "" { // of a tree of files, which CycloneDX has no name for
			c["properties"] = []object{{"name": "go:sum", "value": p.Checksum}}
		}
		components, refs = append(components, c), append(refs, p.purl())
	}
	doc := object{
		"$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
		"metadata": object{
			"component": object{"type": "application", "bom-ref": root, "name": "xinglin", "version": version, "purl": root, "licenses": []object{{"license": object{"id": "Apache-2.0"}}}},
			"tools":     object{"components": []object{{"type": "application", "name": "xinglin sbom", "version": version}}},
		},
		"components": components, "dependencies": []object{{"ref": root, "dependsOn": refs}},
	}
	first, err := indented(doc)
	if err != nil {
		return nil, err
	}
	doc["serialNumber"] = "urn:uuid:" + nameOf(first)
	return indented(doc)
}

// SPDX writes it in SPDX 2.3 JSON. created is the instant of the commit that was built.
func SPDX(version, created string, info *debug.BuildInfo) ([]byte, error) {
	parts, err := Parts(info)
	if err != nil {
		return nil, err
	}
	packages := []object{{
		"SPDXID": "SPDXRef-xinglin", "name": "xinglin", "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": false,
		"licenseConcluded": "Apache-2.0", "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION",
	}}
	relations := []object{{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-xinglin"}}
	for i, p := range parts {
		id := fmt.Sprintf("SPDXRef-%d", i+1)
		one := object{
			"SPDXID": id, "name": p.Name, "versionInfo": p.Version, "downloadLocation": "NOASSERTION", "filesAnalyzed": false, "copyrightText": "NOASSERTION",
			"licenseConcluded": "NOASSERTION", "licenseDeclared": cmp.Or(p.Licence, "NOASSERTION"),
			"externalRefs": []object{{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": p.purl()}},
		}
		if sum := p.sha512(); sum != "" {
			one["checksums"] = []object{{"algorithm": "SHA512", "checksumValue": sum}}
		}
		packages = append(packages, one)
		relations = append(relations, object{"spdxElementId": "SPDXRef-xinglin", "relationshipType": "CONTAINS", "relatedSpdxElement": id})
	}
	doc := object{
		"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "xinglin-" + version,
		"creationInfo": object{"created": created, "creators": []string{"Tool: xinglin-sbom-" + version}}, "packages": packages, "relationships": relations,
	}
	first, err := indented(doc)
	if err != nil {
		return nil, err
	}
	doc["documentNamespace"] = "urn:uuid:" + nameOf(first)
	return indented(doc)
}

// nameOf is a UUID of the content (RFC 9562, version 8).
func nameOf(b []byte) string {
	h := sha256.Sum256(b)
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

func indented(doc object) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(doc)
	return b.Bytes(), err
}
