package app

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProgress: a file shows no bar, a screen does, and what is read is the same.
func TestProgress(t *testing.T) {
	name := filepath.Join(t.TempDir(), "rota.csv")
	if err := os.WriteFile(name, []byte("1234567890"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p := newProgress(out, name)
	if p != nil {
		t.Error("a bar in a file")
	}
	if b, err := io.ReadAll(p.read("rota.csv", strings.NewReader("123"))); string(b) != "123" || err != nil {
		t.Error(b, err)
	}
	p.end()

	var screen strings.Builder
	p = &progress{out: &screen, total: 10}
	if b, err := io.ReadAll(p.read("rota.csv", strings.NewReader("12345"))); string(b) != "12345" || err != nil {
		t.Error(b, err)
	}
	p.end()
	if got := screen.String(); !strings.Contains(got, "[###############---------------]  50%") || !strings.HasSuffix(got, "\r\033[K") {
		t.Errorf("%q", got)
	}
}
