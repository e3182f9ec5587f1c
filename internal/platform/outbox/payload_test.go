package outbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/event"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/money"
	"xinglin/internal/platform/packed"
)

// seat is an event as large as a booking's.
type seat struct {
	Appointment  id.ID[seat] `json:"appointment"`
	Account      id.ID[seat] `json:"account"`
	Patient      id.ID[seat] `json:"patient"`
	Schedule     id.ID[seat] `json:"schedule"`
	Slot         id.ID[seat] `json:"slot"`
	Campus       id.ID[seat] `json:"campus"`
	Department   id.ID[seat] `json:"department"`
	Practitioner id.ID[seat] `json:"practitioner"`
	Date         clock.Date  `json:"date"`
	Session      string      `json:"session"`
	StartsAt     time.Time   `json:"starts_at"`
	Class        string      `json:"class"`
	Fee          money.Fen   `json:"fee_fen"`
	ExpiresAt    time.Time   `json:"expires_at"`
}

func (seat) EventName() string { return "clinic.seat.held.v1" }

// rush are n events of other people in 500 sessions.
func rush(n int) []event.Event {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	var shared [500][4]id.ID[seat]
	for i := range shared {
		for k := range shared[i] {
			shared[i][k] = id.Random[seat]()
		}
	}
	out := make([]event.Event, n)
	for i := range out {
		s := shared[(i*7919)%len(shared)]
		out[i] = seat{
			Appointment: id.New[seat](at), Account: id.Random[seat](), Patient: id.Random[seat](), Schedule: s[0], Slot: s[1], Practitioner: s[2],
			Campus: shared[0][3], Department: shared[i%40][3], Date: clock.NewDate(2026, 3, 3), Session: "am", StartsAt: at, Class: "expert", Fee: 2500, ExpiresAt: at,
		}
	}
	return out
}

func TestPack(t *testing.T) {
	for _, n := range []int{1, 2, 50, 512, 1000} {
		text, err := json.Marshal(rush(n))
		if err != nil {
			t.Fatal(err)
		}
		frame := pack(text)
		got, err := Unpack(frame)
		if err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%d events: %v", n, err)
		}
		switch {
		case n == 1 && !bytes.Equal(frame, text):
			t.Error("one event was packed")
		case n >= 50 && len(frame) > len(text)/3:
			t.Errorf("%d events: %d of %d bytes", n, len(frame), len(text))
		}
	}
	var all sync.WaitGroup
	for i := range 8 { // the coders are shared
		all.Go(func() {
			text := []byte(strings.Repeat(string(rune('a'+i)), 5000+i))
			if got, err := Unpack(pack(text)); err != nil || !bytes.Equal(got, text) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	all.Wait()
	noise := make([]byte, 2000)
	for i := range noise {
		noise[i] = byte(id.Random[seat]()[i%6])
	}
	if !bytes.Equal(pack(noise), noise) {
		t.Error("what does not get shorter was packed")
	}
}

// A frame tells how much it holds, and may lie: never more than MaxBytes come out.
func TestUnpackBounds(t *testing.T) {
	enc := func(n int, o ...zstd.EOption) []byte {
		e, err := zstd.NewWriter(nil, o...)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		return e.EncodeAll(bytes.Repeat([]byte("x"), n), nil)
	}
	if got, err := Unpack(enc(MaxBytes, zstd.WithSingleSegment(true))); err != nil || len(got) != MaxBytes {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	good := enc(5000)
	two := append(enc(MaxBytes-1), enc(MaxBytes-1)...)
	broken := append([]byte(nil), good...)
	broken[len(broken)-1] ^= 1 // the checksum
	for name, b := range map[string][]byte{
		"a bomb": enc(1 << 28), "one byte too many": enc(MaxBytes + 1), "two frames": two,
		"half a frame": good[:len(good)/2], "magic alone": {0x28, 0xb5, 0x2f, 0xfd}, "a wrong checksum": broken,
	} {
		if got, err := Unpack(b); !errors.Is(err, packed.ErrPayload) || got != nil {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	for _, s := range []string{"", "[]", "not JSON at all", "(\xb5"} { // no frame: the reader of JSON decides
		if got, err := Unpack([]byte(s)); err != nil || string(got) != s {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
}

// BenchmarkPayload says what one event costs in JSON, packing and unpacking, and its bytes before and after.
func BenchmarkPayload(b *testing.B) {
	for _, n := range []int{50, 512} {
		events := rush(n)
		text, err := json.Marshal(events)
		if err != nil {
			b.Fatal(err)
		}
		frame := pack(text)
		for name, f := range map[string]func() error{
			"json":   func() error { _, err := json.Marshal(events); return err },
			"pack":   func() error { pack(text); return nil },
			"unpack": func() error { _, err := Unpack(frame); return err },
		} {
			b.Run(name+"-"+string(rune('0'+n/100))+"00", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
				b.ReportMetric(float64(len(text))/float64(n), "json-bytes/event")
				b.ReportMetric(float64(len(frame))/float64(n), "packed-bytes/event")
			})
		}
	}
}
