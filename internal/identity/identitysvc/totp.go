package identitysvc

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"

	"xinglin/internal/kernel/secret"
)

// One-time codes by RFC 6238 as authenticator apps speak it: HMAC-SHA1, 30 seconds,
// six digits, one step of drift to either side.
const (
	totpStep   = 30 // seconds
	totpDigits = 1_000_000
	totpSize   = 20 // bytes of the secret
	totpDrift  = 1
)

var base32Plain = base32.StdEncoding.WithPadding(base32.NoPadding)

func newTOTP() (secret.Text, error) {
	b := make([]byte, totpSize)
	if _, err := rand.Read(b); err != nil {
		return secret.Text{}, err
	}
	return secret.New(base32Plain.EncodeToString(b)), nil
}

// readTOTP is the key of a base32 secret as people type it; nil when it is none or
// shorter than 16 bytes (RFC 4226 asks for 128 bits).
func readTOTP(t secret.Text) []byte {
	s := strings.TrimRight(strings.ToUpper(strings.ReplaceAll(t.Reveal(), " ", "")), "=")
	key, err := base32Plain.DecodeString(s)
	if err != nil || len(key) < 16 {
		return nil
	}
	return key
}

// totpAt is the code of one step.
func totpAt(key []byte, step int64) string {
	var msg [8]byte
	binary.BigEndian.PutUint64(msg[:], uint64(step))
	h := hmac.New(sha1.New, key)
	h.Write(msg[:])
	sum := h.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[at:at+4])&0x7fffffff)%totpDigits)
}

func stepOf(now time.Time) int64 { return now.Unix() / totpStep }

// totpMatch finds the step that the code belongs to; 0 when it fits none around now.
func totpMatch(key []byte, code string, now time.Time) (step int64) {
	for d := int64(-totpDrift); d <= totpDrift; d++ {
		n := stepOf(now) + d
		if subtle.ConstantTimeCompare([]byte(totpAt(key, n)), []byte(code)) == 1 {
			step = n
		}
	}
	return step
}

// totpURI is what an authenticator app reads as a QR code.
func totpURI(username string, key secret.Text) string {
	return (&url.URL{
		Scheme: "otpauth", Host: "totp", Path: "/Xinglin:" + username,
		RawQuery: url.Values{
			"secret": {key.Reveal()}, "issuer": {"Xinglin"}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"},
		}.Encode(),
	}).String()
}
