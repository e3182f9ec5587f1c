package simulate

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238 as authenticator apps implement it
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"xinglin/internal/kernel/clock"
)

// account is one phone with its persons. Its fields are set before the doors open.
type account struct {
	number  int
	phone   string
	address string
	cookie  string
	bot     bool
	people  []person
	shares  int // index of the account whose child it has too; -1: none
}

// person is somebody whom an account may book for.
type person struct {
	number int
	id     string
}

var sixDigits = regexp.MustCompile(`(?:^|[^0-9])([0-9]{6})(?:[^0-9]|$)`)

// textTime is how long a person waits for a text message; one that the gateway did not take at once is sent again.
const textTime = 2 * time.Minute

// code waits for the newest six digits that a phone got after it had n texts with digits,
// and that were not tried: several may ask for codes to one phone.
func (s *site) code(ctx context.Context, phone string, n int, tried map[string]bool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, textTime)
	defer cancel()
	for {
		all := s.codes(phone)
		for _, c := range all[:max(len(all)-n, 0)] {
			if !tried[c] {
				return c, nil
			}
		}
		if err := wait(ctx, 5*time.Millisecond); err != nil {
			return "", fmt.Errorf("no text message with a code: %w", err)
		}
	}
}

// codes are those that a phone got, the newest first.
func (s *site) codes(phone string) (out []string) {
	for _, t := range s.texts(phone) {
		if m := sixDigits.FindStringSubmatch(t); m != nil {
			out = append(out, m[1])
		}
	}
	return out
}

// join makes an account and its persons through the API, as people do.
func (r *run) join(ctx context.Context, a *account) error {
	base := r.site.procs[a.number%len(r.site.procs)].url()
	had := len(r.site.codes(a.phone))
	var challenge struct {
		ID string `json:"challenge_id"`
	}
	if _, err := r.wire.must(ctx, call{base: base, method: http.MethodPost, path: "/auth/codes", who: a, body: map[string]any{"phone": a.phone}}, &challenge); err != nil {
		return err
	}
	code, err := r.site.code(ctx, a.phone, had, nil)
	if err != nil {
		return err
	}
	in, err := r.wire.must(ctx, call{base: base, method: http.MethodPost, path: "/auth/sessions", who: a, body: map[string]any{"challenge_id": challenge.ID, "code": code}}, nil)
	if err != nil {
		return err
	}
	if in.cookie == "" {
		return errors.New("a login without a cookie")
	}
	a.cookie = in.cookie
	for i := range a.people {
		relationship := "other"
		if i == 0 {
			relationship = "self"
		}
		var made struct {
			ID string `json:"id"`
		}
		body := adult(a.people[i].number, relationship)
		if i == 1 && a.shares < 0 {
			body["phone"] = phone(relatives + a.number) // who may prove this person for another account
		}
		if _, err := r.wire.must(ctx, call{base: base, method: http.MethodPost, path: "/patients", who: a, body: body}, &made); err != nil {
			return err
		}
		a.people[i].id = made.ID
	}
	return nil
}

// relatives are the phones of people who have no account.
const relatives = 50_000_000

// share links the second person of another account to this one: a claim, proved with a
// code that the phone on file gets.
func (r *run) share(ctx context.Context, a, with *account) error {
	base := r.site.procs[0].url()
	theirs := with.people[1]
	file := phone(relatives + with.number)
	had := len(r.site.codes(file))
	body := adult(theirs.number, "other")
	body["phone"] = file
	var claim struct {
		ID string `json:"claim_id"`
	}
	if _, err := r.wire.must(ctx, call{base: base, method: http.MethodPost, path: "/patients", who: a, body: body}, &claim); err != nil {
		return err
	}
	if claim.ID == "" {
		return fmt.Errorf("account %d: no claim for a person who is there", a.number)
	}
	var mine struct {
		ID string `json:"id"`
	}
	tried := map[string]bool{}
	for {
		code, err := r.site.code(ctx, file, had, tried)
		if err != nil {
			return err
		}
		_, err = r.wire.must(ctx, call{base: base, method: http.MethodPost, path: "/patients/claims/" + claim.ID + "/proof", who: a, body: map[string]any{"code": code}}, &mine)
		if no := (*refusal)(nil); errors.As(err, &no) && no.code == "patient.proof_wrong" {
			tried[code] = true // it was another claim's: of somebody else, or of ours whose answer was lost
			continue
		}
		if err != nil {
			return err
		}
		break
	}
	if mine.ID != theirs.id {
		return fmt.Errorf("two persons for one document: %s and %s", mine.ID, theirs.id)
	}
	a.people = append(a.people, person{theirs.number, mine.ID})
	return nil
}

// phone is an invented mobile number, another one for each n below 10^8.
func phone(n int) string { return fmt.Sprintf("138%08d", n%100_000_000) }

// adult is an invented grown-up: the number only passes the check digit.
func adult(n int, relationship string) map[string]any {
	born := time.Date(1955, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n/900)
	number := fmt.Sprintf("110101%s%03d", born.Format("20060102"), 100+n%900)
	weight, sum := 1, 0
	for i := len(number) - 1; i >= 0; i-- { // GB 11643, ISO 7064 mod 11-2
		weight = weight * 2 % 11
		sum += int(number[i]-'0') * weight
	}
	names := []rune("伟芳敏静磊洋勇艳杰娟涛明超霞平刚桂英华玉")
	return map[string]any{
		"name": "模" + string(names[n%len(names)]) + string(names[n/len(names)%len(names)]), "relationship": relationship,
		"document_type": "resident_id", "document_number": number + string("10X98765432"[sum%11]),
	}
}

// oneTime is the six digits of an authenticator app at an instant (RFC 6238, 30 s, SHA-1).
func oneTime(secret string, at time.Time) (string, error) {
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(strings.TrimRight(strings.TrimSpace(secret), "=")))
	if err != nil {
		return "", fmt.Errorf("one-time secret: %w", err)
	}
	var step [8]byte
	binary.BigEndian.PutUint64(step[:], uint64(at.Unix()/30))
	m := hmac.New(sha1.New, key)
	m.Write(step[:])
	sum := m.Sum(nil)
	from := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[from:from+4])&0x7fffffff%1_000_000), nil
}

// login logs the operator of the rush in.
func (r *run) login(ctx context.Context, secret string) (*account, error) {
	op := &account{address: "10.255.0.1"}
	by := time.Duration(r.site.procs[0].clock.Load())
	code, err := oneTime(secret, clock.System{}.Now().Add(by))
	if err != nil {
		return nil, err
	}
	a, err := r.wire.must(ctx, call{
		base: r.site.procs[0].url(), method: http.MethodPost, path: "/auth/staff/sessions", who: op,
		body: map[string]any{"username": operator, "password": operatorPassword, "totp": code},
	}, nil)
	op.cookie = a.cookie
	return op, err
}
