package admission

import (
	"context"
	"crypto/sha256"
	"math/bits"
	"time"

	"xinglin/internal/kernel/auth"
)

// Codes sends a code to the phone of the caller's own account and checks it: the way
// for who cannot or will not compute. There is no picture to read.
type Codes interface {
	SendCode(ctx context.Context, who auth.Principal) (challenge string, err error)
	CheckCode(ctx context.Context, who auth.Principal, challenge, code string) error
}

const (
	workTime  = 5 * time.Minute
	maxSuffix = 32
)

// work is a puzzle: find a suffix so that SHA-256(nonce + suffix) begins with Bits zero bits.
func (d *Desk) work(who auth.Principal) (nonce string, leading int) {
	now := d.opt.Clock.Now()
	t := d.seal.of(token{kind: kindWork, arrived: now.UnixMicro(), expires: now.Add(workTime).Unix(), position: uint32(d.opt.Bits)}, who)
	return d.seal.sign(t), d.opt.Bits
}

// worked checks the answer; the account is then clear for ten minutes.
func (d *Desk) worked(who auth.Principal, nonce, suffix string) error {
	t, err := d.seal.open(kindWork, nonce, who, d.opt.Clock.Now())
	if err != nil {
		return ErrAnswer.Wrap(err)
	}
	if len(suffix) > maxSuffix || leadingZeros(nonce+suffix) < int(t.position) {
		return ErrAnswer.New()
	}
	d.book.clear(who.Account, d.mono())
	return nil
}

func leadingZeros(s string) (n int) {
	for _, b := range sha256.Sum256([]byte(s)) {
		if b != 0 {
			return n + bits.LeadingZeros8(b)
		}
		n += 8
	}
	return n
}
