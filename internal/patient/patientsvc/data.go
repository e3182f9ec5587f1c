package patientsvc

import (
	"context"
	"encoding/json"
	"fmt"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/patient"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/mask"
)

// data are the classes of the columns.
func data() dataclass.Schema {
	return dataclass.Schema{
		"patient": {
			dataclass.ID: "tenant_id id",
			dataclass.Fact: `document_type sex verified verified_at verify_day verify_used version created_at shredded_at origin
				consent_at`,
			dataclass.Index:           "number_index number_index_even",
			dataclass.Name.Sealed():   "name",
			dataclass.Number.Sealed(): "number",
			dataclass.Phone.Sealed():  "phone",
			dataclass.Birth:           "birth",
			dataclass.Number:          "verified_reference",
		},
		"search_key": {dataclass.ID: "tenant_id patient_id", dataclass.Fact: "kind", dataclass.Index: "value value_even"},
		"holder":     {dataclass.ID: "tenant_id account_id", dataclass.Fact: "active entries entries_day"},
		"link": {
			dataclass.ID:   "tenant_id id account_id patient_id",
			dataclass.Fact: "relationship guardian consent_at state created_at related_at ended_at",
		},
		"claim": {
			dataclass.ID:   "tenant_id id account_id patient_id challenge_id",
			dataclass.Fact: "relationship consent proof matches sent_at tries state created_at expires_at closed_at",
		},
		"history": {
			dataclass.ID:   "tenant_id id subject_id act_id",
			dataclass.Fact: "noun from_state to_state at",
		},
		"identifier": {
			dataclass.ID:              "tenant_id id patient_id",
			dataclass.Public:          "system",
			dataclass.Number.Sealed(): "value",
			dataclass.Index:           "value_index value_index_even",
			dataclass.Fact:            "created_at",
		},
		"profile": {dataclass.ID: "tenant_id patient_id", dataclass.Record.Sealed(): "sealed", dataclass.Fact: "updated_at"},
	}
}

// masks: a person of the copy has another name, number, phone and birth, which fit each other and the rules as those of the source
// do; the blind indexes are of the new values under the copy's key.
func masks() []mask.Rule {
	return []mask.Rule{
		{Table: "patient", Before: loadKeys("id"), Row: maskPatient},
		{Table: "search_key", Row: func(_ context.Context, _ *mask.Copy, r *mask.Row) error {
			r.LeaveOut() // made anew with the person
			return nil
		}},
		{Table: "identifier", Before: loadKeys("patient_id"), Row: maskIdentifier},
		{Table: "profile", Before: loadKeys("patient_id"), Row: maskProfile},
	}
}

// loadKeys reads the keys of a page's persons together, and makes those of the copy.
func loadKeys(column string) func(context.Context, *mask.Copy, []*mask.Row) error {
	return func(ctx context.Context, c *mask.Copy, rows []*mask.Row) error {
		persons := map[patient.TenantID][]id.ID[id.Any]{}
		for _, r := range rows {
			persons[r.Tenant()] = append(persons[r.Tenant()], r.ID(column))
		}
		for t, list := range persons {
			if err := c.From.Warm(ctx, t, list...); err != nil {
				return err
			}
			if err := c.To.EnsurePersons(ctx, t, list); err != nil {
				return err
			}
		}
		return nil
	}
}

func maskPatient(ctx context.Context, c *mask.Copy, r *mask.Row) error {
	pid := id.As[patient.Patient](r.ID("id"))
	r.Set("number_index_even", nil)
	r.Set("verified_reference", c.Opaque("realname", r.Text("verified_reference")))
	if !r.Null("shredded_at") {
		return maskShredded(ctx, c, r, pid)
	}
	p, err := standIn(ctx, c, r, pid)
	if err != nil {
		return err
	}
	t := r.Tenant()
	for column, text := range map[string]secret.Text{"name": p.name, "number": p.number, "phone": p.phone} {
		sealed, err := c.To.SealText(ctx, field(t, pid, column), text)
		if err != nil {
			return err
		}
		r.Set(column, sealed)
	}
	index, err := c.To.Blind(ctx, t, indexDocument, string(p.docType)+":"+p.number.Reveal(), 1)
	if err != nil {
		return err
	}
	r.Set("number_index", index)
	r.Set("birth", int64(p.birth))
	return findAgain(ctx, c, r, p)
}

// standIn is the person that the copy has instead of a row's.
func standIn(ctx context.Context, c *mask.Copy, r *mask.Row, pid patient.ID) (p person, err error) {
	p.docType, p.sex = patient.DocumentType(r.Text("document_type")), r.Text("sex")
	plain := map[string]secret.Text{}
	for _, column := range []string{"name", "number", "phone"} {
		if plain[column], err = c.From.OpenText(ctx, field(r.Tenant(), pid, column), r.Bytes(column)); err != nil {
			return p, err
		}
	}
	p.birth = c.Birth(clock.Date(r.Int("birth")), pid.String())
	p.name = c.Name(plain["name"], pid.String())
	if p.phone, err = c.Phone(ctx, plain["phone"]); err != nil {
		return p, err
	}
	switch p.docType {
	case patient.ResidentID, patient.HMTResidence:
		p.number, err = c.Resident(ctx, plain["number"], p.birth, p.sex == "male")
	default:
		p.number, err = c.Number(ctx, string(p.docType), plain["number"])
	}
	return p, err
}

// findAgain makes the keys by which the desk finds the person.
func findAgain(ctx context.Context, c *mask.Copy, r *mask.Row, p person) error {
	add := func(kind, purpose, value string) error {
		index, err := c.To.Blind(ctx, r.Tenant(), purpose, value, 1)
		if err == nil {
			r.Also("search_key", map[string]any{"tenant_id": r.Bytes("tenant_id"), "patient_id": r.Bytes("id"), "kind": kind, "value": index})
		}
		return err
	}
	if !p.phone.Empty() {
		if err := add("phone", indexPhone, p.phone.Reveal()); err != nil {
			return err
		}
	}
	return add("name", indexName, nameKey(p.name.Reveal(), p.birth))
}

// maskShredded leaves of a shredded person what the source has: bytes that nobody reads again, and an index of nothing.
func maskShredded(ctx context.Context, c *mask.Copy, r *mask.Row, pid patient.ID) error {
	for _, column := range []string{"name", "number"} {
		sealed, err := c.To.Seal(ctx, field(r.Tenant(), pid, column), []byte(pid.String()))
		if err != nil {
			return err
		}
		r.Set(column, sealed)
	}
	r.Set("phone", nil)
	index, err := c.To.Blind(ctx, r.Tenant(), indexDocument, "shredded:"+pid.String(), 1)
	if err != nil {
		return err
	}
	r.Set("number_index", index)
	return c.To.Shred(ctx, r.Tenant(), id.As[id.Any](pid))
}

func maskIdentifier(ctx context.Context, c *mask.Copy, r *mask.Row) error {
	system := r.Text("system")
	f := crypt.Field{Tenant: r.Tenant(), Person: r.ID("patient_id"), Table: "identifier", Column: "value", Row: r.ID("id").String()}
	var value string
	sealed, err := c.Reseal(ctx, f, r.Bytes("value"), func(v secret.Text) (secret.Text, error) {
		v, err := c.Number(ctx, "identifier "+system, v)
		value = v.Reveal()
		return v, err
	})
	if err != nil {
		return err
	}
	index, err := c.To.Blind(ctx, r.Tenant(), indexExternal, system+"\x00"+value, 1)
	r.Set("value", sealed)
	r.Set("value_index", index)
	r.Set("value_index_even", nil)
	return err
}

func maskProfile(ctx context.Context, c *mask.Copy, r *mask.Row) error {
	pid := id.As[patient.Patient](r.ID("patient_id"))
	sealed, err := c.Reseal(ctx, field(r.Tenant(), pid, "profile"), r.Bytes("sealed"), func(text secret.Text) (secret.Text, error) {
		var p storedProfile
		if err := json.Unmarshal([]byte(text.Reveal()), &p); err != nil {
			return secret.Text{}, fmt.Errorf("patient: a profile is no JSON") // the decoder's words quote it
		}
		if err := p.mask(ctx, c, pid.String()); err != nil {
			return secret.Text{}, err
		}
		b, err := json.Marshal(p)
		return secret.New(string(b)), err
	})
	r.Set("sealed", sealed)
	return err
}

// mask replaces everything in a profile but what sort of thing it is and the country.
func (p *storedProfile) mask(ctx context.Context, c *mask.Copy, of string) error {
	for i, n := range p.Names {
		p.Names[i] = c.Name(secret.New(n), of).Reveal()
	}
	if err := maskTelecom(ctx, c, p.Telecom); err != nil {
		return err
	}
	for i, a := range p.Addresses {
		m := storedAddress{Use: a.Use, Country: a.Country, Text: c.Address(a.Text), District: c.Address(a.District), City: c.Address(a.City), State: c.Address(a.State)}
		if a.PostalCode != "" {
			m.PostalCode = "000000"
		}
		for _, l := range a.Lines {
			m.Lines = append(m.Lines, c.Address(l))
		}
		p.Addresses[i] = m
	}
	for i, k := range p.Contacts {
		p.Contacts[i].Name = c.Name(secret.New(k.Name), of).Reveal()
		if err := maskTelecom(ctx, c, k.Telecom); err != nil {
			return err
		}
	}
	return nil
}

func maskTelecom(ctx context.Context, c *mask.Copy, list []storedTelecom) error {
	for i, t := range list {
		made, err := c.Phone(ctx, secret.New(t.Value))
		if t.System == "email" {
			made, err = c.Mail(ctx, secret.New(t.Value))
		}
		if err != nil {
			return err
		}
		list[i].Value = made.Reveal()
	}
	return nil
}
