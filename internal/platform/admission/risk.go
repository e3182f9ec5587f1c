package admission

import (
	"hash/maphash"
	"net/http"
	"slices"
	"sync"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
)

// DeviceHeader is an id that the client made for its device. It is remembered as a hash
// of this process only; who sends none is judged by the rest.
const DeviceHeader = "Device-Id"

// Decision is what a verdict asks for, from mild to hard.
type Decision string

// The decisions.
const (
	Allow     Decision = "allow"
	Slow      Decision = "slow"      // come again in some seconds
	Challenge Decision = "challenge" // a proof of work, or a code to the account's phone
	Refuse    Decision = "refuse"    // book at the desk
)

// Signals are what is known of an account's way to ask, without personal data.
type Signals struct {
	SameDevice int           // accounts that asked from this device within the hour or two; 0: no device id
	Early      int           // holds refused because nothing is released yet, within the hour or two
	Burst      int           // holds of the last ten seconds, this one included
	Skew       time.Duration // the key's clock against ours, either way
}

// Verdict is a decision with its reasons, as codes.
type Verdict struct {
	Decision Decision
	Reasons  []string
}

// Risk judges. It must be quick: it is asked at each hold.
type Risk interface{ Judge(Signals) Verdict }

// Points is the default: each finding has points, their sum decides. A family on one
// phone, an impatient finger and a wrong clock alone change nothing.
type Points struct{}

// Judge implements Risk.
func (Points) Judge(s Signals) Verdict {
	v := Verdict{Decision: Allow}
	sum := 0
	find := func(points int, reason string) {
		sum += points
		v.Reasons = append(v.Reasons, reason)
	}
	switch {
	case s.SameDevice >= 12:
		find(4, "many_accounts_on_device")
	case s.SameDevice >= 5:
		find(2, "accounts_on_device")
	}
	switch {
	case s.Early >= 40:
		find(3, "asks_before_release_often")
	case s.Early >= 8:
		find(1, "asks_before_release")
	}
	switch {
	case s.Burst >= 25:
		find(3, "burst_large")
	case s.Burst >= 12:
		find(2, "burst")
	}
	if s.Skew >= 10*time.Minute {
		find(1, "key_clock")
	}
	switch {
	case sum >= 8:
		v.Decision = Refuse
	case sum >= 4:
		v.Decision = Challenge
	case sum >= 2:
		v.Decision = Slow
	}
	return v
}

const (
	maxKnown    = 50_000 // accounts, and devices, of one half of the memory
	knownFor    = time.Hour
	burstTime   = 10 * time.Second
	maxOnDevice = 16
)

// behaviour remembers how accounts ask. Its memory is bounded and forgets: the older
// half goes when the younger is full or an hour old.
type behaviour struct{ *behaviourState }

type behaviourState struct {
	seed     maphash.Seed
	mu       sync.Mutex
	turned   time.Time
	accounts halves[AccountID, habits]
	devices  halves[uint64, []AccountID]
}

type habits struct {
	early   int
	burst   int
	window  time.Time // of the burst
	cleared time.Time // until when an answered challenge counts
}

type halves[K comparable, V any] struct{ young, old map[K]V }

func (h *halves[K, V]) get(k K) V {
	v, ok := h.young[k]
	if !ok {
		v = h.old[k]
	}
	return v
}

func (h *halves[K, V]) put(k K, v V) {
	if _, ok := h.young[k]; !ok && len(h.young) >= maxKnown {
		h.turn()
	}
	if h.young == nil {
		h.young = map[K]V{}
	}
	h.young[k] = v
}

func (h *halves[K, V]) turn() { h.old, h.young = h.young, map[K]V{} }

func newBehaviour() behaviour { return behaviour{&behaviourState{seed: maphash.MakeSeed()}} }

// request notes a hold and tells what is known.
func (b behaviour) request(r *http.Request, who auth.Principal, wall, now time.Time) (s Signals) {
	if k, err := id.Parse[id.Any](r.Header.Get("Idempotency-Key")); err == nil && !k.Time().IsZero() {
		s.Skew = k.Time().Sub(wall).Abs()
	}
	device := r.Header.Get(DeviceHeader)
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.turned) > knownFor {
		b.accounts.turn()
		b.devices.turn()
		b.turned = now
	}
	if device != "" && len(device) <= 128 {
		k := maphash.String(b.seed, device)
		on := b.devices.get(k)
		if !slices.Contains(on, who.Account) && len(on) < maxOnDevice {
			on = append(slices.Clip(on), who.Account)
			b.devices.put(k, on)
		}
		s.SameDevice = len(on)
	}
	h := b.accounts.get(who.Account)
	if now.Sub(h.window) > burstTime {
		h.window, h.burst = now, 0
	}
	h.burst++
	b.accounts.put(who.Account, h)
	s.Early, s.Burst = h.early, h.burst
	return s
}

// outcome notes how a hold ended: who asks before the release is told so by the context.
func (b behaviour) outcome(a AccountID, err error, _ time.Time) {
	f := fault.Of(err)
	if f == nil || f.Code.Name != "scheduling.not_released" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.accounts.get(a)
	h.early++
	b.accounts.put(a, h)
}

const clearedFor = 10 * time.Minute

func (b behaviour) clear(a AccountID, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.accounts.get(a)
	h.cleared = now.Add(clearedFor)
	b.accounts.put(a, h)
}

func (b behaviour) cleared(a AccountID, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Before(b.accounts.get(a).cleared)
}
