package wechatpay

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Scheme is the authorization scheme of requests.
const Scheme = "WECHATPAY2-SHA256-RSA2048"

// The headers that carry the channel's signature.
const (
	HeaderSerial    = "Wechatpay-Serial"
	HeaderTimestamp = "Wechatpay-Timestamp"
	HeaderNonce     = "Wechatpay-Nonce"
	HeaderSignature = "Wechatpay-Signature"
)

// PublicKeyPrefix starts the serial of a key in public key mode.
const PublicKeyPrefix = "PUB_KEY_ID_"

// probePrefix starts a signature that the channel sends to see whether merchants verify at all.
const probePrefix = "WECHATPAY/SIGNTEST/"

// Algorithm is the only one allowed for encrypted resources.
const Algorithm = "AEAD_AES_256_GCM"

// RequestMessage is the text that a merchant signs. uri is the path with its query, as sent.
func RequestMessage(method, uri, timestamp, nonce string, body []byte) []byte {
	return lines(method, uri, timestamp, nonce, string(body))
}

// AnswerMessage is the text that the channel signs, in answers and callbacks.
func AnswerMessage(timestamp, nonce string, body []byte) []byte {
	return lines(timestamp, nonce, string(body))
}

func lines(parts ...string) []byte { return []byte(strings.Join(parts, "\n") + "\n") }

// Sign is the base64 of the RSA PKCS#1 v1.5 signature over SHA-256 of msg.
func Sign(key *rsa.PrivateKey, msg []byte) (string, error) {
	sum := sha256.Sum256(msg)
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return base64.StdEncoding.EncodeToString(sig), nil
}

// Verify checks what Sign made.
func Verify(key *rsa.PublicKey, msg []byte, signature string) error {
	sig, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return errors.New("signature is not base64")
	}
	sum := sha256.Sum256(msg)
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig)
}

// Nonce is 32 random letters and digits.
func Nonce() string { return rand.Text() + rand.Text()[:6] }

// Sealed is an encrypted resource as it stands in JSON.
type Sealed struct {
	Algorithm      string `json:"algorithm"`
	Ciphertext     string `json:"ciphertext"` // base64, tag at the end
	AssociatedData string `json:"associated_data"`
	Nonce          string `json:"nonce"` // 12 bytes
	OriginalType   string `json:"original_type,omitempty"`
}

// Seal encrypts plain under an APIv3 key (32 bytes).
func Seal(key, plain []byte, associated, nonce string) (Sealed, error) {
	gcm, err := newGCM(key, nonce)
	if err != nil {
		return Sealed{}, err
	}
	ct := gcm.Seal(nil, []byte(nonce), plain, []byte(associated))
	return Sealed{Algorithm: Algorithm, Ciphertext: base64.StdEncoding.EncodeToString(ct), AssociatedData: associated, Nonce: nonce}, nil
}

// Open decrypts under an APIv3 key; any change to a part is noticed.
func (s Sealed) Open(key []byte) ([]byte, error) {
	if s.Algorithm != Algorithm {
		return nil, fmt.Errorf("algorithm %.32q is not %s", s.Algorithm, Algorithm)
	}
	gcm, err := newGCM(key, s.Nonce)
	if err != nil {
		return nil, err
	}
	ct, err := base64.StdEncoding.DecodeString(s.Ciphertext)
	if err != nil {
		return nil, errors.New("ciphertext is not base64")
	}
	plain, err := gcm.Open(nil, []byte(s.Nonce), ct, []byte(s.AssociatedData))
	if err != nil {
		return nil, errors.New("ciphertext does not open")
	}
	return plain, nil
}

func newGCM(key []byte, nonce string) (cipher.AEAD, error) {
	if len(key) != apiKeyBytes {
		return nil, fmt.Errorf("APIv3 key: %d bytes wanted", apiKeyBytes)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("APIv3 key: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("APIv3 key: %w", err)
	}
	if len(nonce) != gcm.NonceSize() {
		return nil, fmt.Errorf("nonce: %d bytes wanted", gcm.NonceSize())
	}
	return gcm, nil
}

// Authorization is the signed header of a merchant's request.
type Authorization struct {
	MchID, Serial, Timestamp, Nonce, Signature string
}

// String is the header's value.
func (a Authorization) String() string {
	return fmt.Sprintf(`%s mchid="%s",nonce_str="%s",signature="%s",timestamp="%s",serial_no="%s"`,
		Scheme, a.MchID, a.Nonce, a.Signature, a.Timestamp, a.Serial)
}

// ParseAuthorization reads the header of a merchant's request; every part must be there once.
func ParseAuthorization(h string) (Authorization, error) {
	rest, ok := strings.CutPrefix(h, Scheme+" ")
	if !ok || len(h) > 4096 {
		return Authorization{}, fmt.Errorf("authorization: scheme %s wanted", Scheme)
	}
	var a Authorization
	into := map[string]*string{"mchid": &a.MchID, "nonce_str": &a.Nonce, "signature": &a.Signature, "timestamp": &a.Timestamp, "serial_no": &a.Serial}
	for part := range strings.SplitSeq(rest, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		dst := into[k]
		if dst == nil || *dst != "" || len(v) < 3 || v[0] != '"' || v[len(v)-1] != '"' {
			return Authorization{}, errors.New("authorization: malformed parameter")
		}
		*dst = v[1 : len(v)-1]
	}
	for k, v := range into {
		if *v == "" {
			return Authorization{}, fmt.Errorf("authorization: %s missing", k)
		}
	}
	return a, nil
}

// InWindow reads a timestamp header (seconds) and tells whether it is within Window of now.
func InWindow(timestamp string, now time.Time) (time.Time, bool) {
	sec, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || sec < 0 || sec > 1<<40 {
		return time.Time{}, false
	}
	t := time.Unix(sec, 0).UTC()
	d := now.Sub(t)
	return t, d <= Window && d >= -Window
}

func stamp(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
