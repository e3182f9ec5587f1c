package relying

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // at_hash
	_ "crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"xinglin/internal/kernel/secret"
)

// algorithms are those that an ID token may be signed with: asymmetric ones, so that no public key is ever taken for a secret.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}

const (
	skew       = time.Minute      // what another clock may be wrong by
	tokenAge   = 10 * time.Minute // since it was made
	maxSubject = 255              // bytes, OpenID Connect Core
	minRSA     = 2048             // bits
	maxKeys    = 100              // of a set
)

// verify is the decision about an ID token (OpenID Connect Core, 3.1.3.7).
func (c *Client) verify(ctx context.Context, p Provider, t tokens, nonce secret.Text) (Person, error) {
	head, jws, err := parse(t.ID)
	if err != nil {
		return Person{}, err
	}
	keys, err := c.keysFor(ctx, p.Issuer, head)
	if err != nil {
		return Person{}, err
	}
	payload, err := jws.Verify(keys)
	if err != nil {
		return Person{}, refuse("signature")
	}
	return judgeClaims(payload, expected{
		issuer: p.Issuer, client: p.ClientID, nonce: nonce.Reveal(), access: t.Access, algorithm: head.Algorithm, now: c.clock.Now(),
	})
}

// parse reads the compact form and refuses headers that would choose the key or change what is signed.
func parse(text string) (jose.Header, *jose.JSONWebSignature, error) {
	if len(text) > maxToken || strings.Count(text, ".") != 2 {
		return jose.Header{}, nil, refuse("malformed")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text[:strings.IndexByte(text, '.')])
	var names map[string]json.RawMessage
	if err != nil || json.Unmarshal(raw, &names) != nil {
		return jose.Header{}, nil, refuse("malformed")
	}
	for _, bad := range []string{"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"} {
		if _, there := names[bad]; there {
			return jose.Header{}, nil, refuse("header")
		}
	}
	jws, err := jose.ParseSignedCompact(text, algorithms)
	if err != nil {
		var alg string
		if json.Unmarshal(names["alg"], &alg) != nil || !slices.Contains(algorithms, jose.SignatureAlgorithm(alg)) {
			return jose.Header{}, nil, refuse("algorithm")
		}
		return jose.Header{}, nil, refuse("malformed")
	}
	return jws.Signatures[0].Protected, jws, nil
}

// keysFor is the provider's key for a header. An unknown one makes us read the set again, at most each half minute.
func (c *Client) keysFor(ctx context.Context, issuer string, h jose.Header) (key any, err error) {
	k := c.of(issuer)
	k.mu.Lock()
	defer k.mu.Unlock()
	m, err := c.describe(ctx, k, issuer)
	if err != nil {
		return nil, err
	}
	now := c.clock.Now()
	if age := now.Sub(k.keyed); age < 0 || age >= keysTime {
		if err := c.readKeys(ctx, k, m.Keys); err != nil {
			return nil, err
		}
	}
	if key = pick(k.keys, h); key == nil && now.Sub(k.keyed) >= keysPause {
		if err := c.readKeys(ctx, k, m.Keys); err != nil {
			return nil, err
		}
		key = pick(k.keys, h)
	}
	if key == nil {
		return nil, refuse("key")
	}
	return key, nil
}

// readKeys replaces the provider's keys; what is no usable public key is left out.
func (c *Client) readKeys(ctx context.Context, k *known, address string) error {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := c.get(ctx, address, "", &set); err != nil {
		return err
	}
	if len(set.Keys) > maxKeys {
		return refuse("keys")
	}
	k.keys, k.keyed = readSet(set.Keys), c.clock.Now()
	return nil
}

func readSet(raw []json.RawMessage) (out []jose.JSONWebKey) {
	for _, r := range raw {
		var key jose.JSONWebKey
		if json.Unmarshal(r, &key) == nil && key.Valid() && key.IsPublic() && (key.Use == "" || key.Use == "sig") {
			out = append(out, key)
		}
	}
	return out
}

// pick finds the one key that may have made the signature: by kid, or without one the only key of the algorithm.
func pick(keys []jose.JSONWebKey, h jose.Header) any {
	var found []any
	for _, k := range keys {
		if (h.KeyID == "" || k.KeyID == h.KeyID) && (k.Algorithm == "" || k.Algorithm == h.Algorithm) && fits(k.Key, jose.SignatureAlgorithm(h.Algorithm)) {
			found = append(found, k.Key)
		}
	}
	if len(found) != 1 {
		return nil
	}
	return found[0]
}

// fits tells whether a key is of the algorithm.
func fits(key any, alg jose.SignatureAlgorithm) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return (alg == jose.RS256 || alg == jose.PS256) && k.N.BitLen() >= minRSA
	case *ecdsa.PublicKey:
		return alg == jose.ES256 && k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return alg == jose.EdDSA
	}
	return false
}

// expected is what the claims are held to.
type expected struct {
	issuer, client, nonce, access, algorithm string
	now                                      time.Time
}

// claims are read by their exact names: encoding/json would take ISS for iss.
type claims map[string]json.RawMessage

func (c claims) text(name string) (s string, ok bool) {
	raw, there := c[name]
	return s, there && json.Unmarshal(raw, &s) == nil
}

// at is an instant in seconds, whole or not; ok is false when it is missing or none.
func (c claims) at(name string) (t time.Time, ok bool) {
	raw, there := c[name]
	var f *float64
	if !there || json.Unmarshal(raw, &f) != nil || f == nil || math.Abs(*f) > 1e12 {
		return t, false
	}
	return time.UnixMilli(int64(*f * 1000)), true
}

func (c claims) list(name string) (out []string) {
	raw, there := c[name]
	if !there || json.Unmarshal(raw, &out) == nil {
		return out
	}
	if s, ok := c.text(name); ok {
		return []string{s}
	}
	return nil
}

// judgeClaims is the decision about what a token says whose signature holds.
func judgeClaims(payload []byte, e expected) (Person, error) {
	var c claims
	if json.Unmarshal(payload, &c) != nil || c == nil {
		return Person{}, refuse("malformed")
	}
	if iss, _ := c.text("iss"); iss != e.issuer {
		return Person{}, refuse("issuer")
	}
	if err := judgeAudience(c, e.client); err != nil {
		return Person{}, err
	}
	if err := judgeTimes(c, e.now); err != nil {
		return Person{}, err
	}
	if n, _ := c.text("nonce"); e.nonce == "" || subtle.ConstantTimeCompare([]byte(n), []byte(e.nonce)) != 1 {
		return Person{}, refuse("nonce")
	}
	if _, there := c["at_hash"]; there {
		if h, _ := c.text("at_hash"); h != halfHash(e.algorithm, e.access) {
			return Person{}, refuse("access_token")
		}
	}
	sub, _ := c.text("sub")
	if !printable(sub, maxSubject) {
		return Person{}, refuse("subject")
	}
	p := Person{Subject: sub, Proofs: c.list("amr")}
	if acr, ok := c.text("acr"); ok {
		p.Proofs = append(p.Proofs, acr)
	}
	return p, nil
}

// judgeAudience: the token is for us, and where others are named too it says that we asked.
func judgeAudience(c claims, client string) error {
	aud := c.list("aud")
	azp, named := c.text("azp")
	_, there := c["azp"]
	switch {
	case !slices.Contains(aud, client):
		return refuse("audience")
	case there && (!named || azp != client), len(aud) > 1 && !there:
		return refuse("authorized_party")
	}
	return nil
}

func judgeTimes(c claims, now time.Time) error {
	exp, ok := c.at("exp")
	if !ok || !exp.After(now.Add(-skew)) {
		return refuse("expired")
	}
	iat, ok := c.at("iat")
	if !ok || iat.After(now.Add(skew)) || iat.Before(now.Add(-tokenAge)) {
		return refuse("issued_at")
	}
	if _, there := c["nbf"]; there {
		if nbf, ok := c.at("nbf"); !ok || nbf.After(now.Add(skew)) {
			return refuse("not_yet")
		}
	}
	return nil
}

// halfHash is the left half of the hash of the access token (at_hash).
func halfHash(algorithm, access string) string {
	h := crypto.SHA256.New()
	if algorithm == string(jose.EdDSA) { // Ed25519 hashes with SHA-512
		h = crypto.SHA512.New()
	}
	h.Write([]byte(access))
	sum := h.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
