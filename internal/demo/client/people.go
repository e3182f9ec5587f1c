package client

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"time"
)

// Me is who is logged in.
type Me struct {
	AccountID string `json:"account_id"`
	Kind      string `json:"kind"`
	Phone     string `json:"phone_masked"`
	Name      string `json:"name"`
	Factors   int    `json:"factors"`
	Demo      bool   `json:"demo"`
}

// Inbox is where the text messages of the other side can be read.
type Inbox interface {
	// Texts are the last messages to a phone, the newest first.
	Texts(ctx context.Context, phone string) ([]string, error)
}

// DemoInbox reads GET /demo/inbox of a server with --demo.
type DemoInbox struct{ *Client }

// Texts implements Inbox.
func (d DemoInbox) Texts(ctx context.Context, phone string) ([]string, error) {
	var list struct {
		Items []struct{ Phone, Text string }
	}
	if _, err := New(d.Base).Do(ctx, http.MethodGet, "/demo/inbox", nil, &list); err != nil {
		return nil, err
	}
	var out []string
	for _, m := range list.Items {
		if m.Phone == phone {
			out = append(out, m.Text)
		}
	}
	return out, nil
}

var sixDigits = regexp.MustCompile(`(^|[^0-9])([0-9]{6})([^0-9]|$)`)

// CodeIn is the six digits of a text message.
func CodeIn(text string) string {
	m := sixDigits.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[2]
}

// SendCode asks for a login code.
func (c *Client) SendCode(ctx context.Context, phone string) (challenge string, err error) {
	var out struct {
		ChallengeID string `json:"challenge_id"`
	}
	_, err = c.Do(ctx, http.MethodPost, "/auth/codes", map[string]any{"phone": phone}, &out)
	return out.ChallengeID, err
}

// ReadCode waits for the n-th text message (from 1) with a code to a phone.
func ReadCode(ctx context.Context, in Inbox, phone string, n int) (code string, err error) {
	err = Until(ctx, "the text message with the code", func(ctx context.Context) (bool, error) {
		texts, err := in.Texts(ctx, phone)
		if err != nil {
			return false, err
		}
		var codes []string
		for _, t := range texts {
			if x := CodeIn(t); x != "" {
				codes = append(codes, x)
			}
		}
		if len(codes) < n {
			return false, nil
		}
		code = codes[len(codes)-n]
		return true, nil
	})
	return code, err
}

// Login logs a phone in with a code from the inbox; the client then has the session.
func (c *Client) Login(ctx context.Context, phone string, in Inbox) (me Me, err error) {
	before, err := in.Texts(ctx, phone)
	if err != nil {
		return me, err
	}
	had := 0
	for _, t := range before {
		if CodeIn(t) != "" {
			had++
		}
	}
	challenge, err := c.SendCode(ctx, phone)
	if err != nil {
		return me, err
	}
	code, err := ReadCode(ctx, in, phone, had+1)
	if err != nil {
		return me, err
	}
	_, err = c.Do(ctx, http.MethodPost, "/auth/sessions", map[string]any{"challenge_id": challenge, "code": code}, &me)
	return me, err
}

// LoginStaff logs staff in; totp is the code of this moment (see TOTP).
func (c *Client) LoginStaff(ctx context.Context, username, password, totp string) (me Me, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/auth/staff/sessions",
		map[string]any{"username": username, "password": password, "totp": totp}, &me)
	return me, err
}

// NewPerson is what somebody types in about a person.
type NewPerson struct {
	Name            string `json:"name"`
	DocumentType    string `json:"document_type"`
	DocumentNumber  string `json:"document_number"`
	Phone           string `json:"phone,omitempty"`
	Relationship    string `json:"relationship"`
	GuardianConsent bool   `json:"guardian_consent,omitempty"`
}

// Patient is a person of the account.
type Patient struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	Relationship string `json:"relationship"`
	Version      int64  `json:"version"`
}

// Claim is the answer about a person who is there already.
type Claim struct {
	ClaimID string `json:"claim_id"`
	Proof   string `json:"proof"`
	Phone   string `json:"phone_masked"`
}

// AddPerson adds a person, or opens a claim.
func (c *Client) AddPerson(ctx context.Context, n NewPerson) (p Patient, claim Claim, err error) {
	var both struct {
		Patient
		Claim
	}
	_, err = c.Do(ctx, http.MethodPost, "/patients", n, &both)
	return both.Patient, both.Claim, err
}

// Prove ends a claim with the code that the person's phone got.
func (c *Client) Prove(ctx context.Context, claim, code string) (p Patient, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/patients/claims/"+claim+"/proof", map[string]any{"code": code}, &p)
	return p, err
}

// Patients are the persons of the account.
func (c *Client) Patients(ctx context.Context) ([]Patient, error) {
	var list struct{ Items []Patient }
	_, err := c.Do(ctx, http.MethodGet, "/patients", nil, &list)
	return list.Items, err
}

// ---- invented people ----

// Phone is an invented mobile number, another one for each n below 10^8.
func Phone(n int) string { return fmt.Sprintf("139%08d", n%100_000_000) }

// Adult is an invented grown-up, another one for each n below 9,000,000: the number only
// passes the check digit.
func Adult(n int, relationship string) NewPerson {
	return person(n, "110101", time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), relationship)
}

// Child is an invented child under 14, another one for each n below 900,000.
func Child(n int, today time.Time) NewPerson {
	p := person(n, "110102", today.AddDate(-5, 0, -n/900%300), "child")
	p.GuardianConsent = true
	return p
}

func person(n int, place string, born time.Time, relationship string) NewPerson {
	if relationship != "child" {
		born = born.AddDate(0, 0, n/900)
	}
	number := fmt.Sprintf("%s%s%03d", place, born.Format("20060102"), 100+n%900)
	names := []rune("伟芳敏静磊洋勇艳杰娟涛明超霞平刚桂英华玉")
	name := "测" + string(names[n%len(names)]) + string(names[n/len(names)%len(names)])
	return NewPerson{Name: name, DocumentType: "resident_id", DocumentNumber: number + checkDigit(number), Relationship: relationship}
}

// checkDigit is that of GB 11643 (ISO 7064 mod 11-2) for 17 digits.
func checkDigit(number string) string {
	weight, sum := 1, 0
	for i := len(number) - 1; i >= 0; i-- {
		weight = weight * 2 % 11
		sum += int(number[i]-'0') * weight
	}
	return string("10X98765432"[sum%11])
}
