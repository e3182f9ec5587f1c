package tlog

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A log changes its keys by a text that the old keys and the new ones sign, and that
// stands in the log itself:
//
//	xinglin/audit/01900000-0000-7000-8000-00000000a001
//	keys 2
//	from head 18
//	at 2026-03-02T01:00:00.000000Z
//	old <PKIX, base64>
//	new <PKIX, base64>
//
//	— xinglin/audit/01900000-0000-7000-8000-00000000a001 <base64>
//
// Heads before that number hold under the old keys, those from it on under the new ones.
// Who trusts one of either trusts the others by these signatures.

// MaxRotations bounds how often one log may change its keys.
const MaxRotations = 32

const maxRotation = 8 << 10 // bytes of the text with its signatures

// Rotation says that a log changes its keys.
type Rotation struct {
	Log        string // the log's name, of whichever beginning (Family)
	Generation int    // of the new keys: 2 is the first change
	From       int64  // number of the first head under the new keys
	At         time.Time
	Old, New   Keys
}

// Body is the text that is signed.
func (r Rotation) Body() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nkeys %d\nfrom head %d\nat %s\n", r.Log, r.Generation, r.From, r.At.UTC().Format(atForm))
	writeKeys(&b, "old", r.Old)
	writeKeys(&b, "new", r.New)
	return b.String()
}

func writeKeys(b *strings.Builder, word string, ks Keys) {
	for _, k := range ks {
		b.WriteString(word + " " + base64.StdEncoding.EncodeToString(k.DER) + "\n")
	}
}

// SignRotation makes the text with the signatures of the old and the new keys' signers.
func SignRotation(r Rotation, signers []Signer) (string, error) {
	if !goodName(r.Log) || r.Generation < 2 || r.From < 1 || len(r.Old) == 0 || len(r.New) == 0 {
		return "", ErrHead.Because("not to be signed")
	}
	return note(r.Body(), r.Log, signers)
}

// OpenRotation reads the text, strictly, and wants it signed by every one of its keys.
func OpenRotation(text string) (r Rotation, err error) {
	if len(text) > maxRotation {
		return r, ErrHead.Because("larger than %d bytes", maxRotation)
	}
	body, below, ok := strings.Cut(text, "\n\n")
	lines := strings.Split(body, "\n")
	if !ok || len(lines) < 6 || len(lines) > 4+2*maxKeys {
		return r, ErrHead.Because("no change of keys")
	}
	r.Log = lines[0]
	var errs [3]error
	r.Generation, errs[0] = strconv.Atoi(strings.TrimPrefix(lines[1], "keys "))
	r.From, errs[1] = strconv.ParseInt(strings.TrimPrefix(lines[2], "from head "), 10, 64)
	r.At, errs[2] = time.Parse(atForm, strings.TrimPrefix(lines[3], "at "))
	for _, err := range errs {
		if err != nil {
			return r, ErrHead.Because("a line of the change of keys is malformed")
		}
	}
	for _, line := range lines[4:] {
		word, b64, _ := strings.Cut(line, " ")
		der, err := base64.StdEncoding.Strict().DecodeString(b64)
		if err != nil {
			return r, ErrKey.New()
		}
		k, err := parseKey(der)
		if err != nil {
			return r, err
		}
		if word == "old" {
			r.Old = append(r.Old, k)
		} else {
			r.New = append(r.New, k)
		}
	}
	if r.Body() != body+"\n" || !goodName(r.Log) || r.Generation < 2 || r.From < 1 || len(r.Old) == 0 || len(r.New) == 0 {
		return r, ErrHead.Because("a line of the change of keys has another form")
	}
	signatures, err := signaturesOf(below)
	if err != nil {
		return r, err
	}
	all := r.Old.And(r.New...)
	by, err := all.signed(r.Body(), r.Log, signatures)
	if err == nil && !all.All(by) {
		err = ErrSigned.Because("a change of keys is not signed by all of its keys")
	}
	return r, err
}

// Family is the name of a log without the number of its beginning: a log that was set
// back begins anew as NAME/2.
func Family(origin string) string {
	at := strings.LastIndexByte(origin, '/')
	if at < 0 {
		return origin
	}
	if n, err := strconv.Atoi(origin[at+1:]); err != nil || n < 2 || strconv.Itoa(n) != origin[at+1:] {
		return origin
	}
	return origin[:at]
}

// Beginning is the name of a log at its nth beginning, from 1.
func Beginning(family string, n int) string {
	if n < 2 {
		return family
	}
	return family + "/" + strconv.Itoa(n)
}

// Lineage is the keys of a log over its life. It does not change; the zero value has none.
type Lineage struct {
	log   string
	eras  []era
	notes []string
}

type era struct {
	from int64 // number of the first head under these keys
	keys Keys
}

// Begin is a log's life under its first keys.
func Begin(log string, first Keys) Lineage {
	return Lineage{log: Family(log), eras: []era{{1, first}}}
}

// LineageOf is a log's life from its first keys and its changes of keys in their order:
// tlog.signature_false when one of them does not follow from the one before.
func LineageOf(log string, first Keys, rotations []string) (l Lineage, err error) {
	l = Begin(log, first)
	for _, text := range rotations {
		if l, err = l.Rotate(text); err != nil {
			return l, err
		}
	}
	return l, nil
}

// Rotate is the life with one more change of keys.
func (l Lineage) Rotate(text string) (Lineage, error) {
	r, err := OpenRotation(text)
	if err != nil {
		return l, err
	}
	if len(l.eras) == 0 {
		return l, ErrSigned.Because("a change of keys without keys before")
	}
	last := l.eras[len(l.eras)-1]
	switch {
	case len(l.notes) >= MaxRotations:
		return l, ErrSigned.Because("more than %d changes of keys", MaxRotations)
	case r.Log != l.log || r.Generation != len(l.eras)+1 || r.From < last.from || !last.keys.same(r.Old):
		return l, ErrSigned.Because("a change of keys does not follow from the keys before")
	}
	return Lineage{
		log: l.log, eras: append(append([]era{}, l.eras...), era{r.From, r.New}), notes: append(append([]string{}, l.notes...), text),
	}, nil
}

// same says whether both hold the same keys in the same order.
func (ks Keys) same(other Keys) bool { return ks.PEM() == other.PEM() }

// First are the keys that the log began with.
func (l Lineage) First() Keys {
	if len(l.eras) == 0 {
		return nil
	}
	return l.eras[0].keys
}

// Current are the keys that sign now.
func (l Lineage) Current() Keys { return l.At(1 << 62) }

// At are the keys under which a head of this number must hold.
func (l Lineage) At(number int64) (ks Keys) {
	for _, e := range l.eras {
		if e.from <= number {
			ks = e.keys
		}
	}
	return ks
}

// All are the keys of the whole life, the first ones first.
func (l Lineage) All() (ks Keys) {
	for _, e := range l.eras {
		ks = ks.And(e.keys...)
	}
	return ks
}

// Generation is how many sets of keys there were.
func (l Lineage) Generation() int { return len(l.eras) }

// Rotations are the changes of keys as texts.
func (l Lineage) Rotations() []string { return l.notes }

// Follows says whether the other life is this one or its beginning.
func (l Lineage) Follows(other Lineage) bool {
	if len(other.eras) == 0 {
		return true
	}
	if l.log != other.log || len(l.notes) < len(other.notes) || !l.First().same(other.First()) {
		return false
	}
	for i, text := range other.notes {
		if l.notes[i] != text {
			return false
		}
	}
	return true
}

// Open reads a head and wants it signed by one of the keys in force at its number.
func (l Lineage) Open(text string) (h Head, by Keys, err error) {
	if h, _, err = Parse(text); err != nil {
		return h, nil, err
	}
	if len(l.eras) > 0 && Family(h.Origin) != l.log {
		return h, nil, ErrSigned.Because("head %d is of another log", h.Number)
	}
	return l.At(h.Number).Open(text)
}

// within are the keys that count for a head of this number: the trusted ones among those
// in force then, all of those when a trusted key handed over to them or took over from
// them, and else the trusted ones as they are.
func (t Trust) within(l Lineage, number int64) Keys {
	var own Keys
	for _, k := range l.At(number) {
		if t.Keys.has(k) {
			own = append(own, k)
		}
	}
	if len(own) > 0 {
		return own
	}
	for _, k := range l.All() {
		if t.Keys.has(k) {
			return l.At(number)
		}
	}
	return t.Keys
}
