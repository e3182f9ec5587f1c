package settings

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

// private gives a key of each kind as its owner would have it in a file.
func private(t *testing.T, kind string) PrivateKey {
	t.Helper()
	var v any
	var err error
	switch kind {
	case "SM2":
		v, err = sm2.GenerateKey(rand.Reader)
	case "P-256":
		v, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "P-384":
		v, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	default:
		_, v, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	der, err := smx509.MarshalPKCS8PrivateKey(v)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParsePrivateKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if kind == "P-384" {
		if !errors.Is(err, ErrKey) {
			t.Errorf("P-384: %v", err)
		}
		return k
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func public(t *testing.T, k PrivateKey) Key {
	t.Helper()
	p, err := ParseKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func sample() Bundle {
	return Bundle{
		Tenant: "main", Base: "", MadeAt: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), MadeBy: "cli:tester",
		Sections: Sections{"x.rules": json.RawMessage(`{"b":2,"a":1}`)},
	}
}

func TestSignatures(t *testing.T) {
	private(t, "P-384")
	for _, kind := range []string{"SM2", "P-256", "Ed25519"} {
		k := private(t, kind)
		mine, other := public(t, k), public(t, private(t, kind))
		if mine.Algorithm != kind {
			t.Errorf("%s is called %s", kind, mine.Algorithm)
		}
		f, err := sample().Signed(k)
		if err != nil {
			t.Fatal(err)
		}
		text, err := f.Text()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Read(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Verify([]Key{other, mine}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if err := got.Verify([]Key{other}); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s, untrusted: %v", kind, err)
		}
		forged, err := Read([]byte(strings.Replace(string(text), `"b": 2`, `"b": 3`, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if err := forged.Verify([]Key{mine}); !errors.Is(err, ErrSignature) {
			t.Errorf("%s, changed: %v", kind, err)
		}
		renamed := got
		renamed.Signatures = []Signature{{other.Name, got.Signatures[0].Value}}
		if err := renamed.Verify([]Key{mine, other}); !errors.Is(err, ErrSignature) {
			t.Errorf("%s, under another's name: %v", kind, err)
		}
		// A bad signature of a trusted key is a refusal beside a good one, too.
		both := got
		both.Signatures = append([]Signature{{other.Name, base64.StdEncoding.EncodeToString([]byte("no"))}}, got.Signatures...)
		if err := both.Verify([]Key{mine, other}); !errors.Is(err, ErrSignature) {
			t.Errorf("%s, one bad of two: %v", kind, err)
		}
		// The same key's signature over the bare document is none: the format stands before it.
		bare, _ := Encode(sample())
		sig, _ := k.Sign(bare)
		both.Signatures = []Signature{{mine.Name, base64.StdEncoding.EncodeToString(sig)}}
		if err := both.Verify([]Key{mine}); !errors.Is(err, ErrSignature) {
			t.Errorf("%s, another domain: %v", kind, err)
		}
	}
}

func TestRead(t *testing.T) {
	f, err := sample().Signed(private(t, "Ed25519"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := f.Text()
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for name, c := range map[string]struct {
		raw  string
		want error
	}{
		"future format":    {strings.Replace(text, "bundle/1", "bundle/2", 1), ErrFormat},
		"no format":        {`{}`, ErrFormat},
		"a list":           {`[]`, ErrFormat},
		"twice":            {strings.Replace(text, `"tenant": "main"`, `"tenant": "main", "tenant": "other"`, 1), ErrMalformed},
		"a member more":    {strings.Replace(text, `"tenant": "main"`, `"tenant": "main", "secret": "x"`, 1), ErrMalformed},
		"ten megabytes":    {text + strings.Repeat(" ", 10<<20), ErrTooLarge},
		"no sections":      {`{"format":"xinglin.bundle/1","bundle":{"tenant":"main","base":"","made_at":"2026-05-01T00:00:00Z","made_by":"","sections":{}},"signatures":[]}`, ErrMalformed},
		"something behind": {text + "{}", ErrMalformed},
	} {
		if _, err := Read([]byte(c.raw)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
