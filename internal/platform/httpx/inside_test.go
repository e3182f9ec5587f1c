package httpx

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
)

// However many addresses come, the memory of them is bounded, and a busy one is not forgotten at the turn.
func TestBudgetIsBounded(t *testing.T) {
	now := clock.Mono()
	b := NewBudget[string](0.0001, 1, now)
	if b.Take("busy", now) != 0 || b.Take("busy", now) == 0 {
		t.Fatal("burst of one")
	}
	for i := range 3 * maxAddresses {
		b.Take(strconv.Itoa(i), now)
		if i%(maxAddresses/8) == 0 && b.Take("busy", now) == 0 {
			t.Fatalf("forgotten after %d", i)
		}
	}
	if n := b.size(); n > maxAddresses+budgetShards {
		t.Fatalf("%d addresses", n)
	}
}

// A key has its burst at once, then its rate, and nobody else pays for it.
func TestBudget(t *testing.T) {
	now := clock.Mono()
	b := NewBudget[int](2, 5, now)
	for i := range 5 {
		if w := b.Take(1, now); w != 0 {
			t.Fatalf("%d of the burst: %s", i, w)
		}
	}
	if w := b.Take(1, now); w != 500*time.Millisecond {
		t.Errorf("beyond the burst: %s", w)
	}
	if w := b.Take(2, now); w != 0 {
		t.Errorf("another: %s", w)
	}
	allowed := 0
	for i := range 1000 { // a hundred times more often for ten seconds
		if b.Take(1, now.Add(time.Duration(i)*10*time.Millisecond)) == 0 {
			allowed++
		}
	}
	if allowed < 18 || allowed > 20 {
		t.Errorf("%d in ten seconds", allowed)
	}
	if w := b.Take(1, now.Add(time.Hour)); w != 0 {
		t.Errorf("after a rest: %s", w)
	}
}

func TestCursors(t *testing.T) {
	var one, two id.ID[auth.Tenant]
	one[0], two[0] = 1, 2
	key := make([]byte, 32)
	a, err1 := New(Options{CursorKey: key})
	b, err2 := New(Options{CursorKey: key}) // another process
	c, err3 := New(Options{})
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	ctx, other := WithTenant(context.Background(), one), WithTenant(context.Background(), two)
	sealed := a.Seal(ctx, "raw cursor")
	if strings.Contains(sealed, "raw") || sealed == a.Seal(ctx, "raw cursor") {
		t.Errorf("sealed: %s", sealed)
	}
	if got, err := b.Unseal(ctx, sealed); err != nil || got != "raw cursor" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := a.Unseal(ctx, ""); err != nil || got != "" || a.Seal(ctx, "") != "" {
		t.Errorf("empty: %q, %v", got, err)
	}
	flipped := []byte(sealed)
	flipped[len(flipped)/2] ^= 1
	for name, f := range map[string]func() (string, error){
		"other tenant": func() (string, error) { return a.Unseal(other, sealed) },
		"other key":    func() (string, error) { return c.Unseal(ctx, sealed) },
		"flipped":      func() (string, error) { return a.Unseal(ctx, string(flipped)) },
		"cut":          func() (string, error) { return a.Unseal(ctx, sealed[:10]) },
		"plain":        func() (string, error) { return a.Unseal(ctx, "raw cursor") },
		"long":         func() (string, error) { return a.Unseal(ctx, strings.Repeat("A", 5000)) },
	} {
		if got, err := f(); err == nil || got != "" || !errors.Is(err, ErrCursor) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := New(Options{CursorKey: []byte("short")}); err == nil {
		t.Error("a short key was taken")
	}
}

func TestHelpers(t *testing.T) {
	if ETag(7) != `"7"` {
		t.Error(ETag(7))
	}
	if _, err := ID[id.Any]("x"); problemOf(context.Background(), err).Status != 404 {
		t.Errorf("an id that cannot be: %v", err)
	}
	if FHIRIssue("") != "exception" {
		t.Error("FHIR")
	}
}
