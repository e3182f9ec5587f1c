package crypt

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"xinglin/internal/kernel/id"
)

type question struct {
	Op        string `json:"op"`
	Key       string `json:"key"`
	Sealed    string `json:"sealed,omitempty"`
	Tenant    string `json:"tenant,omitempty"`
	Table     string `json:"table,omitempty"`
	Column    string `json:"column,omitempty"`
	Row       string `json:"row,omitempty"`
	Algorithm int    `json:"algorithm,omitempty"`
	Purpose   string `json:"purpose,omitempty"`
	Value     string `json:"value,omitempty"`
}

type answer struct {
	OK    *string `json:"ok"`
	Error string  `json:"error"`
}

// ask runs the foreign implementation. It is part of the proof: without it the test fails.
func ask(t *testing.T, questions []question) []answer {
	t.Helper()
	web := must(filepath.Abs(filepath.Join("..", "..", "..", "web")))(t)
	modules := os.Getenv("XINGLIN_NODE_MODULES")
	if modules == "" {
		modules = filepath.Join(web, "node_modules")
	}
	if _, err := os.Stat(filepath.Join(modules, "sm-crypto-v2")); err != nil {
		t.Fatal("npm sm-crypto-v2 is missing: type `cd web && npm ci`, or name a node_modules folder in XINGLIN_NODE_MODULES")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("node is missing: type `apt-get install nodejs`")
	}
	cmd := exec.CommandContext(t.Context(), node, filepath.Join(web, "e2e", "crypt-peer", "open.mjs"))
	cmd.Env = append(os.Environ(), "XINGLIN_NODE_MODULES="+modules)
	cmd.Stdin = bytes.NewReader(must(json.Marshal(questions))(t))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, stderr.String())
	}
	var answers []answer
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(questions) {
		t.Fatalf("%d answers to %d questions: %v", len(answers), len(questions), err)
	}
	return answers
}

// TestForeignPeerOpens is Proof 8: what stands in the database opens with the exported
// key in implementations that share nothing with this one.
func TestForeignPeerOpens(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		var questions []question
		var want []string // "" is a refusal
		for _, alg := range algorithms {
			r := b.ring(t, alg)
			for _, person := range []id.ID[id.Any]{newPerson(), {}} {
				f := field(newTenant(), person)
				for _, plain := range []string{"张三丰", "110101199003070000", "exactly 16 bytes"} {
					sealed := must(r.Seal(t.Context(), f, []byte(plain)))(t)
					keys := must(r.Export(t.Context(), f.Tenant, person))(t)
					q := question{
						Op: "open", Key: keys[0].Key.Reveal(), Sealed: hex.EncodeToString(sealed),
						Tenant: f.Tenant.String(), Table: f.Table, Column: f.Column, Row: f.Row,
					}
					moved, changed := q, q
					moved.Row = "row-2"
					sealed[len(sealed)-1] ^= 1
					changed.Sealed = hex.EncodeToString(sealed)
					questions = append(questions, q, moved, changed)
					want = append(want, hex.EncodeToString([]byte(plain)), "", "")
				}
				index := must(r.tenant(t.Context(), f.Tenant))(t)[kindIndex].current()
				questions = append(questions, question{
					Op: "index", Algorithm: int(index.alg), Key: hex.EncodeToString(index.raw), Purpose: "patient.phone", Value: "13800138000",
				})
				want = append(want, hex.EncodeToString(must(r.Blind(t.Context(), f.Tenant, "patient.phone", "13800138000", 1))(t)))
			}
		}
		for i, a := range ask(t, questions) {
			switch {
			case want[i] == "" && a.Error == "":
				t.Errorf("question %d: the peer opened what was changed or moved", i)
			case want[i] != "" && (a.OK == nil || *a.OK != want[i]):
				t.Errorf("question %d (%s): %s", i, questions[i].Op, a.Error)
			}
		}
	})
}
