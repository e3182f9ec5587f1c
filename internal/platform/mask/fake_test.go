package mask

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/db"
	"xinglin/internal/testkit/dbtest"
)

// faker is one with a scratch database of its own.
func faker(t *testing.T, key string) *Faker {
	t.Helper()
	d, err := dbtest.Make(t, db.SQLite, []db.Set{Scratch()}).Open(t).Context(t.Context(), "mask")
	if err != nil {
		t.Fatal(err)
	}
	k := bytes.Repeat([]byte(key), 32)
	return &Faker{key: k, scratch: scratch{d}, known: NewKnown(k)}
}

func text(t *testing.T) func(secret.Text, error) string {
	return func(v secret.Text, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v.Reveal()
	}
}

func TestStandInsAreTheSameAgainAndNobody(t *testing.T) {
	a, b, other := faker(t, "a"), faker(t, "a"), faker(t, "b")
	ctx, of := t.Context(), text(t)
	birth := clock.NewDate(1985, 3, 7)
	for what, f := range map[string]func(f *Faker) string{
		"name":     func(f *Faker) string { return f.Name(secret.New("张小三"), "x").Reveal() },
		"latin":    func(f *Faker) string { return f.Name(secret.New("Maria Garcia"), "").Reveal() },
		"phone":    func(f *Faker) string { return of(f.Phone(ctx, secret.New("13800138000"))) },
		"landline": func(f *Faker) string { return of(f.Phone(ctx, secret.New("010-65120000"))) },
		"passport": func(f *Faker) string { return of(f.Number(ctx, "passport", secret.New("E12345678"))) },
		"resident": func(f *Faker) string { return of(f.Resident(ctx, secret.New("11010119850307123X"), birth, true)) },
		"mail":     func(f *Faker) string { return of(f.Mail(ctx, secret.New("li@example.com"))) },
		"opaque":   func(f *Faker) string { return f.Opaque("x", "4200001234202603021234567890") },
	} {
		one := f(a)
		if two := f(a); two != one {
			t.Errorf("%s: %s, then %s", what, one, two)
		}
		if two := f(b); two != one {
			t.Errorf("%s: %s, with the same key elsewhere %s", what, one, two)
		}
		if two := f(other); two == one {
			t.Errorf("%s: %s with another key too", what, one)
		}
		if !find(one, a.known, true).none() {
			t.Errorf("%s: %s looks real", what, one)
		}
	}
	if x, y := a.Name(secret.New("张小三"), "x"), a.Name(secret.New("张小三"), "y"); x == y {
		t.Log("two of one name may meet in one stand-in; these did") // one in some thousands
	}
}

func TestResidentNumbersOfTheCopyAreValidAndNobodys(t *testing.T) {
	f, of := faker(t, "k"), text(t)
	seen := map[string]bool{}
	for i := range 300 {
		birth, male := clock.NewDate(1950+i%70, time.Month(1+i%12), 1+i%28), i%2 == 0
		raw := withCheck(fmt.Sprintf("110101%04d%02d%02d%03d", 1950+i%70, 1+i%12, 1+i%28, i))
		n := of(f.Resident(t.Context(), secret.New(raw), birth, male))
		y, m, d := birth.Parts()
		switch {
		case !resident(n):
			t.Fatalf("%s is not valid", n)
		case !standInResident(n) || standInResident(raw):
			t.Errorf("%s cannot be told from %s", n, raw)
		case n[6:14] != fmt.Sprintf("%04d%02d%02d", y, int(m), d):
			t.Errorf("%s says another birth than %s", n, birth)
		case (n[16]-'0')%2 == 1 != male:
			t.Errorf("%s says another sex", n)
		case seen[n]:
			t.Errorf("%s twice", n)
		}
		seen[n] = true
	}
	// A residence permit of Hong Kong, Macau or Taiwan stays one.
	if n := of(f.Resident(t.Context(), secret.New(withCheck("81000019900101123")), clock.NewDate(1989, 12, 20), true)); n[0] != '8' || n[1] < '1' || n[1] > '3' {
		t.Errorf("a residence permit became %s", n)
	}
}

func TestTwoValuesStayTwo(t *testing.T) {
	f, of := faker(t, "k"), text(t)
	seen := map[string]string{}
	for i := range 40 { // more than the shape "A1" has room for
		raw := string(rune('A'+i%4)) + fmt.Sprint(i/4)
		n := of(f.Number(t.Context(), "card", secret.New(raw)))
		if was, twice := seen[n]; twice || n == raw {
			t.Errorf("%s and %s are both %s", was, raw, n)
		}
		seen[n] = raw
	}
	_, err := f.assign(t.Context(), "tiny", "a", func(int) string { return "a" })
	if !errors.Is(err, ErrNoRoom) {
		t.Errorf("no room: %v", err)
	}
}

func TestBirthsMoveToThePast(t *testing.T) {
	f := faker(t, "k")
	d := clock.NewDate(2012, 6, 1)
	for i := range 100 {
		got := f.Birth(d, fmt.Sprint(i))
		if got >= d || got < d-shift {
			t.Errorf("%s became %s", d, got)
		}
	}
	if got := f.Birth(earliest, "x"); got != earliest {
		t.Errorf("before every birth: %s", got)
	}
}

func TestWords(t *testing.T) {
	f := faker(t, "k")
	for in, want := range map[string]string{"": "", "expired": "expired", "scheduling.slot_taken": "scheduling.slot_taken", "张三要求": "masked", "13800138000": "masked", "Zhang": "masked"} {
		if got := f.Code(in); got != want {
			t.Errorf("code %q: %q", in, got)
		}
	}
	for in, want := range map[string]string{"": "", "cli:root": "cli:masked", "cli:demo": "cli:demo", "system:start": "system:start", "staff:0190aaaa-0000-7000-8000-00000000000a": "staff:0190aaaa-0000-7000-8000-00000000000a"} {
		if got := f.Actor(in); got != want {
			t.Errorf("actor %q: %q", in, got)
		}
	}
	if f.Text("咳嗽三天，张三") != maskedText || f.Text(" ") != " " || f.Address("杏林路 18 号") != maskedAddress {
		t.Error("free words")
	}
}
