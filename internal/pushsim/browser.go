package pushsim

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"time"

	"xinglin/internal/kernel/clock"
)

// decrypt opens one record of aes128gcm (RFC 8188) with the keys of RFC 8291.
func (b *browser) decrypt(body []byte) ([]byte, error) {
	const head = 16 + 4 + 1
	if len(body) < head || len(body) < head+int(body[20]) {
		return nil, errors.New("the header is cut off")
	}
	salt, size, sender, rest := body[:16], binary.BigEndian.Uint32(body[16:20]), body[head:head+int(body[20])], body[head+int(body[20]):]
	if uint32(len(rest)) > size {
		return nil, errors.New("more than one record")
	}
	theirs, err := ecdh.P256().NewPublicKey(sender)
	if err != nil {
		return nil, err
	}
	shared, err := b.dh.ECDH(theirs)
	if err != nil {
		return nil, err
	}
	info := "WebPush: info\x00" + string(b.dh.PublicKey().Bytes()) + string(sender)
	ikm, err := hkdf.Key(sha256.New, shared, b.auth, info, 32)
	if err != nil {
		return nil, err
	}
	key, err1 := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: aes128gcm\x00", 16)
	nonce, err2 := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: nonce\x00", 12)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	padded, err := gcm.Open(nil, nonce, rest, nil)
	if err != nil {
		return nil, err
	}
	plain := bytes.TrimRight(padded, "\x00")
	if !bytes.HasSuffix(plain, []byte{2}) { // the last record's mark
		return nil, errors.New("the padding is wrong")
	}
	return plain[:len(plain)-1], nil
}

// signed checks the Authorization of RFC 8292: the token is of the key, for this
// service, and ends within a day. Its time is the machine's, whatever the demo's clock.
func signed(r *http.Request, origin, key string) error {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	var token, k string
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			token = value
		case "k":
			k = value
		}
	}
	parts := strings.Split(token, ".")
	switch {
	case scheme != "vapid" || len(parts) != 3:
		return errors.New("no token")
	case strings.TrimRight(k, "=") != strings.TrimRight(key, "="):
		return errors.New("another key than the browser subscribed with")
	}
	raw, err1 := base64.RawURLEncoding.DecodeString(strings.TrimRight(k, "="))
	sig, err2 := base64.RawURLEncoding.DecodeString(parts[2])
	payload, err3 := base64.RawURLEncoding.DecodeString(parts[1])
	if err := errors.Join(err1, err2, err3); err != nil || len(sig) != 64 {
		return errors.New("the token cannot be read")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		return err
	}
	hash := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(public, hash[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return errors.New("the signature is wrong")
	}
	var claims struct {
		Aud string `json:"aud"`
		Exp int64  `json:"exp"`
		Sub string `json:"sub"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return errors.New("the claims cannot be read")
	}
	left := time.Unix(claims.Exp, 0).Sub(clock.Mono())
	if claims.Aud != origin || claims.Sub == "" || left <= 0 || left > 24*time.Hour {
		return errors.New("the claims are wrong")
	}
	return nil
}
