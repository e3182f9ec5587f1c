package idem_test

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/idem"
	"xinglin/internal/testkit/dbtest"
)

var (
	tenant = id.Must[auth.Tenant]("0190aaaa-0000-7000-8000-00000000000a")
	other  = id.Must[auth.Tenant]("0190bbbb-0000-7000-8000-00000000000b")
	start  = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	sets   = []db.Set{{Name: "shelf", FS: db.NoMigrations}}
)

func shelf(t *testing.T, srv *db.Server) (*db.DB, context.Context) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	d, err := srv.Context(ctx, "shelf")
	if err != nil {
		t.Fatal(err)
	}
	return d, ctx
}

func TestClaim(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		d, ctx := shelf(t, srv)
		key := func(op, actor, k string, input any) idem.Key {
			return idem.Key{Op: op, Actor: actor, Key: k, Hash: idem.HashOf(input)}
		}
		claim := func(who id.ID[auth.Tenant], k idem.Key, finish bool, end error) (h idem.Hit, hit bool, err error) {
			err = d.Write(ctx, who, func(ctx context.Context, tx db.Tx) (err error) {
				h, hit, err = idem.Claim(ctx, tx, k, start)
				if err == nil && !hit && finish {
					err = idem.Done(ctx, tx, k, 201, "res-1")
				}
				return errors.Join(err, end)
			})
			return h, hit, err
		}
		k := key("shelf.put", "patient:1", "k1", map[string]any{"a": 1})
		if _, hit, err := claim(tenant, k, true, errors.New("rolled back")); hit || err == nil {
			t.Errorf("rolled back: %v %v", hit, err)
		}
		if _, hit, err := claim(tenant, k, true, nil); hit || err != nil {
			t.Errorf("first: %v %v", hit, err)
		}
		if h, hit, err := claim(tenant, k, true, nil); !hit || err != nil || h != (idem.Hit{Status: 201, Resource: "res-1"}) {
			t.Errorf("repeat: %+v %v %v", h, hit, err)
		}
		if _, _, err := claim(tenant, key("shelf.put", "patient:1", "k1", map[string]any{"a": 2}), true, nil); !errors.Is(err, idem.ErrReused) {
			t.Errorf("other input: %v", err)
		}
		for name, k := range map[string]idem.Key{
			"other op": key("shelf.get", "patient:1", "k1", 1), "other actor": key("shelf.put", "patient:2", "k1", 1), "other key": key("shelf.put", "patient:1", "k2", 1),
		} {
			if _, hit, err := claim(tenant, k, true, nil); hit || err != nil {
				t.Errorf("%s: %v %v", name, hit, err)
			}
		}
		if _, hit, err := claim(other, k, true, nil); hit || err != nil {
			t.Errorf("other tenant: %v %v", hit, err)
		}
		open := key("shelf.put", "patient:1", "open", 1)
		if _, _, err := claim(tenant, open, false, nil); err != nil {
			t.Fatal(err)
		}
		if _, _, err := claim(tenant, open, false, nil); !errors.Is(err, idem.ErrFlight) || fault.KindOf(err) != fault.Conflict {
			t.Errorf("in flight: %v", err)
		}
		for _, bad := range []string{"", strings.Repeat("k", 129)} {
			if _, _, err := claim(tenant, key("shelf.put", "patient:1", bad, 1), true, nil); !errors.Is(err, idem.ErrKey) {
				t.Errorf("key of %d bytes: %v", len(bad), err)
			}
		}
		err := d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
			return idem.Done(ctx, tx, key("shelf.put", "patient:1", "never", 1), 200, "")
		})
		if err == nil {
			t.Error("done without claim")
		}
	})
}

// Many repeats at the same moment: one takes effect, the others see its answer.
func TestRace(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		d, ctx := shelf(t, srv)
		k := idem.Key{Op: "shelf.put", Actor: "patient:1", Key: "race", Hash: idem.HashOf(1)}
		var mu sync.Mutex
		effects, hits := 0, 0
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				hit := false
				err := d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) (err error) {
					_, hit, err = idem.Claim(ctx, tx, k, start)
					if err == nil && !hit {
						err = idem.Done(ctx, tx, k, 201, "r")
					}
					return err
				})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					t.Error(err)
				case hit:
					hits++
				default:
					effects++
				}
			})
		}
		wg.Wait()
		if effects != 1 || hits != 15 {
			t.Errorf("%d effects, %d hits", effects, hits)
		}
	})
}

func TestSweep(t *testing.T) {
	dbtest.Each(t, sets, func(t *testing.T, srv *db.Server) {
		d, ctx := shelf(t, srv)
		for i, at := range []time.Time{start.Add(-idem.Keep - time.Second), start.Add(-idem.Keep), start} {
			err := d.Write(ctx, tenant, func(ctx context.Context, tx db.Tx) error {
				_, _, err := idem.Claim(ctx, tx, idem.Key{Op: "o", Actor: "a", Key: string(rune('a' + i)), Hash: []byte{1}}, at)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []int64{1, 0} {
			if n, err := idem.Sweep(ctx, d, start); n != want || err != nil {
				t.Errorf("swept %d, %v, want %d", n, err, want)
			}
		}
	})
}

func TestHashOf(t *testing.T) {
	type in struct {
		B int            `json:"b"`
		A string         `json:"a"`
		M map[string]any `json:"m,omitempty"`
	}
	a := idem.HashOf(in{B: 1, A: "x"})
	if len(a) != 32 || string(a) != string(idem.HashOf(map[string]any{"a": "x", "b": 1})) {
		t.Error("the order of fields changes the hash")
	}
	for _, v := range []any{in{B: 2, A: "x"}, in{B: 1, A: "y"}, in{B: 1, A: "x", M: map[string]any{"k": nil}}, nil} {
		if string(a) == string(idem.HashOf(v)) {
			t.Errorf("%v has the same hash", v)
		}
	}
	got := hex.EncodeToString(idem.HashOf(map[string]any{"b": int64(9007199254740993), "a": "x"}))
	if got == hex.EncodeToString(idem.HashOf(map[string]any{"b": int64(9007199254740992), "a": "x"})) {
		t.Error("large numbers lose digits")
	}
}
