package settings

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"xinglin/internal/kernel/fault"
)

// Format is the form of bundles that this version writes and reads.
const Format = "xinglin.bundle/1"

// Bounds of a bundle.
const (
	MaxBundle     = 1 << 20
	maxSections   = 64
	maxSignatures = 8
)

// Refusals of a bundle.
var (
	ErrFormat    = fault.Register(fault.Invalid, "settings.unknown_format", "配置包的格式版本不受支持", "This version does not read bundles of this format")
	ErrTooLarge  = fault.Register(fault.TooLarge, "settings.too_large", "配置包过大", "The bundle is too large")
	ErrSignature = fault.Register(fault.Invalid, "settings.bad_signature", "配置包的签名不正确", "A signature of the bundle is not good")
	ErrUntrusted = fault.Register(fault.Invalid, "settings.untrusted_key", "配置包没有本机构信任的签名", "No key that the tenant trusts has signed the bundle")
	ErrKey       = fault.Register(fault.Invalid, "settings.bad_key", "密钥无法使用，只支持 SM2、P-256 和 Ed25519", "The key cannot be used: SM2, P-256 or Ed25519")
)

// Bundle is a tenant's configuration, or sections of it, as one document.
type Bundle struct {
	Tenant   string    `json:"tenant"` // its code
	Base     string    `json:"base"`   // digest of these sections as they lived when it was made; empty for a tenant's first
	MadeAt   time.Time `json:"made_at"`
	MadeBy   string    `json:"made_by"`
	Sections Sections  `json:"sections"`
}

// Signature is one key's word for a bundle.
type Signature struct {
	Key   string `json:"key"` // Key.Name
	Value string `json:"value"`
}

// File is a bundle with its signatures, as it travels.
type File struct {
	Format     string      `json:"format"`
	Bundle     Bundle      `json:"bundle"`
	Signatures []Signature `json:"signatures"`
}

// Signer signs; crypt.Signer is one.
type Signer interface {
	Public() []byte
	Sign(message []byte) ([]byte, error)
}

// Read takes a file from somebody. Nothing of it is trusted before Verify.
func Read(raw []byte) (File, error) {
	if len(raw) > MaxBundle {
		return File{}, ErrTooLarge.New()
	}
	raw, err := Canonical(raw)
	if err != nil {
		return File{}, err
	}
	var form struct {
		Format string `json:"format"`
	}
	if json.Unmarshal(raw, &form) != nil || form.Format != Format {
		return File{}, ErrFormat.At("format", "want "+Format)
	}
	f, err := Decode[File](raw)
	if err != nil {
		return f, err
	}
	if len(f.Bundle.Sections) == 0 || len(f.Bundle.Sections) > maxSections || len(f.Signatures) > maxSignatures || f.Bundle.Tenant == "" {
		return f, ErrMalformed.At("bundle", "want a tenant, 1 to 64 sections and at most 8 signatures")
	}
	return f, nil
}

// Text is the file for people: indented, its members sorted.
func (f File) Text() ([]byte, error) {
	raw, err := Encode(f)
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	out, err := json.MarshalIndent(v, "", "  ")
	return append(out, '\n'), err
}

// message is what is signed: the format first, so that no other signature of the same keys is one of a bundle.
func (b Bundle) message() ([]byte, error) {
	raw, err := Encode(b)
	if err != nil {
		return nil, err
	}
	return append([]byte(Format+"\n"), raw...), nil
}

// Signed is the bundle under the signatures of these.
func (b Bundle) Signed(signers ...Signer) (File, error) {
	f := File{Format: Format, Bundle: b, Signatures: []Signature{}}
	m, err := b.message()
	if err != nil {
		return f, err
	}
	for _, s := range signers {
		k, err := ParseKey(s.Public())
		if err != nil {
			return f, err
		}
		sig, err := s.Sign(m)
		if err != nil {
			return f, err
		}
		f.Signatures = append(f.Signatures, Signature{k.Name, base64.StdEncoding.EncodeToString(sig)})
	}
	return f, nil
}

// Verify finds a signature of a trusted key. One that such a key did not make is a refusal, even beside a good one.
func (f File) Verify(trusted []Key) error {
	m, err := f.Bundle.message()
	if err != nil {
		return err
	}
	good := 0
	for _, s := range f.Signatures {
		i := slices.IndexFunc(trusted, func(k Key) bool { return k.Name == s.Key })
		if i < 0 {
			continue
		}
		sig, err := base64.StdEncoding.DecodeString(s.Value)
		if err != nil || !trusted[i].good(m, sig) {
			return ErrSignature.At("signatures", s.Key)
		}
		good++
	}
	if good == 0 {
		return ErrUntrusted.New()
	}
	return nil
}
