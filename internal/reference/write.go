package reference

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Write puts the files below dir and takes away what is no longer generated.
func Write(dir string, files map[string][]byte) error {
	for _, name := range sortedKeys(files) {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if old, err := os.ReadFile(to); err == nil && bytes.Equal(old, files[name]) {
			continue // keeps its time: make does not build again
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return fmt.Errorf("reference: %w", err)
		}
		if err := os.WriteFile(to, files[name], 0o644); err != nil {
			return fmt.Errorf("reference: %w", err)
		}
	}
	old, err := stale(os.DirFS(dir), files)
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			return fmt.Errorf("reference: %w", err)
		}
	}
	return nil
}

// Check compares the files with those below dir and says, a line each, what differs:
// with the first line that does. Nothing is written.
func Check(dir string, files map[string][]byte) ([]string, error) {
	var diffs []string
	root := os.DirFS(dir)
	for _, name := range sortedKeys(files) {
		have, err := fs.ReadFile(root, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			diffs = append(diffs, name+": missing")
		case err != nil:
			return nil, fmt.Errorf("reference: %w", err)
		default:
			if d := differ(have, files[name]); d != "" {
				diffs = append(diffs, name+d)
			}
		}
	}
	old, err := stale(root, files)
	for _, name := range old {
		diffs = append(diffs, name+": no longer generated")
	}
	return diffs, err
}

// differ tells the first line in which two texts differ.
func differ(have, want []byte) string {
	if bytes.Equal(have, want) {
		return ""
	}
	h, w := strings.Split(string(have), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(h), len(w)) {
		switch {
		case i >= len(h):
			return fmt.Sprintf(":%d: missing: %s", i+1, clip(w[i]))
		case i >= len(w):
			return fmt.Sprintf(":%d: too much: %s", i+1, clip(h[i]))
		case h[i] != w[i]:
			return fmt.Sprintf(":%d: is: %s; generated: %s", i+1, clip(h[i]), clip(w[i]))
		}
	}
	return ""
}

func clip(s string) string {
	if r := []rune(s); len(r) > 100 {
		return string(r[:100]) + "…"
	}
	return s
}

// stale are the files of docs/reference that are not generated.
func stale(root fs.FS, files map[string][]byte) (out []string, err error) {
	err = fs.WalkDir(root, strings.TrimSuffix(folder, "/"), func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		if _, ok := files[name]; !ok {
			out = append(out, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	slices.Sort(out)
	return out, nil
}
