package passkey

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
)

// NewCredential is an authenticator's answer to a registration, its parts in base64url.
type NewCredential struct {
	ID          string
	ClientData  string
	Attestation string
	Transports  []string
}

// Credential is an authenticator's answer to a question, its parts in base64url.
type Credential struct {
	ID                string
	ClientData        string
	AuthenticatorData string
	Signature         string
	UserHandle        string
}

// algorithms are the signatures that we take, by their COSE numbers: ECDSA on P-256, Ed25519, RSA of Windows Hello.
var algorithms = []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256}

// transports that an authenticator may name; others are forgotten.
var transports = map[string]bool{"usb": true, "nfc": true, "ble": true, "internal": true, "hybrid": true, "smart-card": true}

// party is the relying party of a site.
func (s Site) party() (*webauthn.WebAuthn, error) {
	return webauthn.New(&webauthn.Config{RPID: s.Host, RPDisplayName: "Xinglin", RPOrigins: []string{s.Origin}})
}

// person is an account as the library sees it.
type person struct {
	handle []byte
	keys   []webauthn.Credential
}

// WebAuthnID implements webauthn.User.
func (p person) WebAuthnID() []byte { return p.handle }

// WebAuthnName implements webauthn.User.
func (person) WebAuthnName() string { return "" }

// WebAuthnDisplayName implements webauthn.User.
func (person) WebAuthnDisplayName() string { return "" }

// WebAuthnCredentials implements webauthn.User.
func (p person) WebAuthnCredentials() []webauthn.Credential { return p.keys }

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// readNew verifies a registration; why says in one word what is wrong with it.
func readNew(site Site, handle, challenge []byte, n NewCredential) (k stored, why string) {
	body, err := json.Marshal(map[string]any{
		"id": n.ID, "rawId": n.ID, "type": "public-key",
		"response": map[string]any{"clientDataJSON": n.ClientData, "attestationObject": n.Attestation},
	})
	if err != nil {
		return k, "form"
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(body)
	if err != nil {
		return k, "form"
	}
	object := parsed.Response.AttestationObject
	if !plain(object) {
		return k, "attestation"
	}
	party, err := site.party()
	if err != nil {
		return k, "host"
	}
	session := webauthn.SessionData{
		Challenge: base64url(challenge), RelyingPartyID: site.Host, UserID: handle, UserVerification: protocol.VerificationRequired,
	}
	for _, a := range algorithms {
		session.CredParams = append(session.CredParams, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: a})
	}
	c, err := party.CreateCredential(person{handle: handle}, session, parsed)
	if err != nil {
		if why = blame(parsed.Response.CollectedClientData, object.AuthData, protocol.CreateCeremony, site, challenge); why == "signature" {
			why = "algorithm"
		}
		return k, why
	}
	k = stored{
		credential: c.ID, publicKey: c.PublicKey, transports: []string{}, synced: c.Flags.BackupEligible, count: int64(c.Authenticator.SignCount),
	}
	for _, t := range n.Transports {
		if transports[t] && len(k.transports) < len(transports) {
			k.transports = append(k.transports, t)
		}
	}
	return k, ""
}

// plain reports whether nobody vouches for the authenticator: we ask for no attestation, and parse none.
func plain(o protocol.AttestationObject) bool {
	switch o.Format {
	case "none":
		return len(o.AttStatement) == 0
	case "packed": // self attestation, which browsers leave in
		_, chain := o.AttStatement["x5c"]
		return !chain
	}
	return false
}

func (c Credential) parse() (*protocol.ParsedCredentialAssertionData, error) {
	response := map[string]any{"clientDataJSON": c.ClientData, "authenticatorData": c.AuthenticatorData, "signature": c.Signature}
	if c.UserHandle != "" {
		response["userHandle"] = c.UserHandle
	}
	body, err := json.Marshal(map[string]any{"id": c.ID, "rawId": c.ID, "type": "public-key", "response": response})
	if err != nil {
		return nil, err
	}
	return protocol.ParseCredentialRequestResponseBytes(body)
}

// verify checks an answer of the key and gives its counter; why says in one word what is wrong.
func (k stored) verify(site Site, challenge []byte, parsed *protocol.ParsedCredentialAssertionData) (count int64, why string) {
	party, err := site.party()
	if err != nil {
		return 0, "host"
	}
	key := webauthn.Credential{
		ID: k.credential, PublicKey: k.publicKey, AttestationType: "none",
		Flags:         webauthn.CredentialFlags{BackupEligible: k.synced},
		Authenticator: webauthn.Authenticator{SignCount: uint32(k.count)},
	}
	session := webauthn.SessionData{
		Challenge: base64url(challenge), RelyingPartyID: site.Host, UserID: k.handle, UserVerification: protocol.VerificationRequired,
	}
	if _, err := party.ValidateLogin(person{handle: k.handle, keys: []webauthn.Credential{key}}, session, parsed); err != nil {
		return 0, blame(parsed.Response.CollectedClientData, parsed.Response.AuthenticatorData, protocol.AssertCeremony, site, challenge)
	}
	return int64(parsed.Response.AuthenticatorData.Counter), ""
}

// blame finds the first thing that is wrong, for the trail; the library has refused already.
func blame(c protocol.CollectedClientData, a protocol.AuthenticatorData, kind protocol.CeremonyType, site Site, challenge []byte) string {
	host := sha256.Sum256([]byte(site.Host))
	switch {
	case c.Type != kind:
		return "type"
	case c.Challenge != base64url(challenge):
		return "challenge"
	case c.Origin != site.Origin || c.CrossOrigin:
		return "origin"
	case !bytes.Equal(a.RPIDHash, host[:]):
		return "host"
	case !a.Flags.HasUserPresent() || !a.Flags.HasUserVerified():
		return "unverified"
	}
	return "signature"
}
