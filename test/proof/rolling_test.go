package proof

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
	"xinglin/test/rig"
)

const (
	crowd      = 200
	crowdPause = 400 * time.Millisecond // between two requests of one person
	rollingMx  = 4 * time.Minute
	// Each person waits a second at most for an answer, says the design; a machine that is busy with other tests gets this much.
	rollingSlack = 5 * time.Second
	revocations  = 20
)

// TestRollingRestart: two processes are restarted one after the other, gently, while 200 people and one of the staff are logged in, the
// tenant's keys, the root key and the keys that sign ID tokens rotate. Nobody is logged out, no request is refused; a session that is
// ended at one process is refused at the other at once (issue 5, proof 2). The log tells the longest waits: go test -v.
func TestRollingRestart(t *testing.T) {
	w := rig.NewWorld(t, rig.Postgres)
	r := &rolling{w: w, procs: []*rig.Process{w.Serve(t), w.Serve(t)}}
	r.urls = []string{r.procs[0].URL, r.procs[1].URL}
	r.people = w.People(t, r.procs[0], "", 0, crowd, 1)
	admin := w.Staff(t, r.procs[0], "main", "", "sec.admin", "security_admin")

	ctx, cancel := context.WithTimeout(context.Background(), rollingMx)
	defer cancel()
	crowdCtx, leave := context.WithCancel(ctx)
	var gone sync.WaitGroup
	for i, b := range r.people {
		gone.Go(func() { r.visit(crowdCtx, i, b.Client, "/patients") })
	}
	gone.Go(func() { r.visit(crowdCtx, crowd, admin, "/auth/me") })
	r.more(ctx, t, 2*crowd)

	if _, err := admin.At(r.urls[1]).Do(ctx, http.MethodPost, "/signing-keys", map[string]any{}, nil); err != nil {
		t.Errorf("the keys that sign ID tokens: %v", err)
	}
	r.rotate(t, "tenant")
	for i := range r.procs {
		r.procs[i].Stop(t)
		r.more(ctx, t, crowd)
		r.procs[i] = rig.Again(t, r.procs[i])
		r.more(ctx, t, crowd)
		if i == 0 {
			r.rotate(t, "root")
		}
	}
	leave()
	gone.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for code, n := range r.refused {
		t.Errorf("%d answers %s", n, code)
	}
	if r.waited > rollingSlack {
		t.Errorf("somebody waited %s for an answer", r.waited)
	}
	t.Logf("%d answers to %d people, the slowest after %s; %d tries met a process that was going", r.answers.Load(), crowd+1, r.waited.Round(time.Millisecond), r.turned.Load())
	r.revoke(ctx, t)
	w.Verify(t)
}

// rolling is a crowd at two processes behind a balancer: who gets no answer at one goes to the other.
type rolling struct {
	w      *rig.World
	procs  []*rig.Process
	urls   []string
	people []rig.Booker

	answers, turned atomic.Int64

	mu      sync.Mutex
	waited  time.Duration
	refused map[string]int
}

// visit asks again and again until ctx ends.
func (r *rolling) visit(ctx context.Context, i int, c *client.Client, path string) {
	at := []*client.Client{c.At(r.urls[0]), c.At(r.urls[1])}
	for turn := i; ; turn++ {
		begin := clock.Mono()
		for try := turn; ; try++ {
			a, err := at[try%2].Raw(ctx, http.MethodGet, path, nil)
			if ctx.Err() != nil {
				return
			}
			// A process that goes away closes its door; while it starts it says that it is not ready. A balancer goes to the other one.
			if err != nil || a.Status == http.StatusServiceUnavailable || a.Status == http.StatusBadGateway {
				r.turned.Add(1)
				pause(ctx, 10*time.Millisecond)
				continue
			}
			r.note(a, clock.Mono().Sub(begin))
			break
		}
		pause(ctx, crowdPause)
		if ctx.Err() != nil {
			return
		}
	}
}

func (r *rolling) note(a client.Answer, waited time.Duration) {
	r.answers.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waited = max(r.waited, waited)
	if a.Status != http.StatusOK {
		if r.refused == nil {
			r.refused = map[string]int{}
		}
		r.refused[a.Code]++
	}
}

// more waits for so many more answers.
func (r *rolling) more(ctx context.Context, t *testing.T, n int64) {
	t.Helper()
	want := r.answers.Load() + n
	err := client.Until(ctx, "more answers", func(context.Context) (bool, error) { return r.answers.Load() >= want, nil })
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rolling) rotate(t *testing.T, what string) {
	t.Helper()
	if got := r.w.Command(t, "keys", "rotate", "--what", what); got.Code != 0 {
		t.Fatalf("keys rotate --what %s: exit %d\n%s%s", what, got.Code, got.Stdout, got.Stderr)
	}
}

// revoke ends sessions at one process and looks at the other until it knows.
func (r *rolling) revoke(ctx context.Context, t *testing.T) {
	var took []time.Duration
	for _, b := range r.people[:revocations] {
		here, there := b.At(r.urls[0]), b.At(r.urls[1])
		if _, err := there.Do(ctx, http.MethodGet, "/auth/me", nil, nil); err != nil { // it knows the session
			t.Fatal(err)
		}
		begin := clock.Mono()
		if _, err := here.Do(ctx, http.MethodDelete, "/auth/sessions/current", nil, nil); err != nil {
			t.Fatal(err)
		}
		err := client.Until(ctx, "the end of a session", func(ctx context.Context) (bool, error) {
			a, err := there.Raw(ctx, http.MethodGet, "/auth/me", nil)
			return err == nil && a.Status == http.StatusUnauthorized, err
		})
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, clock.Mono().Sub(begin))
	}
	slices.Sort(took)
	if last := took[len(took)-1]; last > rollingSlack {
		t.Errorf("a session that was ended lived on for %s", last)
	}
	t.Logf("%d sessions ended at the other process after %s (median), %s (slowest)", revocations, took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
}
