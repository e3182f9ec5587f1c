package clinicsvc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"xinglin/internal/clinic"
	"xinglin/internal/directory"
	"xinglin/internal/kernel/id"
	"xinglin/internal/kernel/secret"
)

// Bounds of displays.
const (
	maxDisplays    = 100
	maxDisplayName = 50
	maxWallPlaces  = 50 // departments of one display
	displayTime    = 90 * 24 * time.Hour
	displaySeen    = 5 * time.Minute // how exactly the last use is known
	tokenBytes     = 32
	maxToken       = 64
)

// displays lists the walls.
func (s *Service) displays(ctx context.Context) ([]clinic.Display, error) {
	who, _, err := s.may(ctx, "clinic.list_displays", "Display")
	if err != nil {
		return nil, err
	}
	return s.store.displays(ctx, who.Tenant, s.now())
}

// addDisplay makes a wall's right to look. The token is shown once.
func (s *Service) addDisplay(ctx context.Context, d clinic.Display) (clinic.Display, secret.Text, error) {
	who, policy, err := s.may(ctx, "clinic.create_display", "Display")
	if err != nil {
		return d, secret.Text{}, err
	}
	d.Name = strings.TrimSpace(d.Name)
	if n := utf8.RuneCountInString(d.Name); n == 0 || n > maxDisplayName {
		return d, secret.Text{}, clinic.ErrInput.At("name", "1 to 50 characters")
	}
	if len(d.Departments) > maxWallPlaces {
		return d, secret.Text{}, clinic.ErrInput.At("department_ids", "at most 50")
	}
	if err := s.known(ctx, who.Tenant, d); err != nil {
		return d, secret.Text{}, err
	}
	raw := make([]byte, tokenBytes)
	_, _ = rand.Read(raw) // never fails
	token := base64.RawURLEncoding.EncodeToString(raw)
	now := s.now()
	d.ID, d.CreatedAt, d.ExpiresAt = id.New[clinic.Display](now), now, now.Add(displayTime)
	a := act{who: who, action: "clinic.create_display", policy: policy, now: now}
	return d, secret.New(token), s.store.addDisplay(ctx, a, d, hashOf(token))
}

// known refuses places that the tenant's directory has not.
func (s *Service) known(ctx context.Context, t clinic.TenantID, d clinic.Display) error {
	found, err := s.dir.Departments(ctx, t, d.Campus)
	if err != nil {
		return err
	}
	l, err := s.dir.Labels(ctx, t, nil, nil, []directory.CampusID{d.Campus})
	if err != nil {
		return err
	}
	if _, ok := l.Campuses[d.Campus]; !ok {
		return clinic.ErrNotFound.At("campus_id", "no such campus")
	}
	for _, v := range d.Departments {
		if !slices.ContainsFunc(found, func(x directory.Department) bool { return x.ID == v && x.Campus == d.Campus }) {
			return clinic.ErrNotFound.At("department_ids", "no such department of the campus")
		}
	}
	return nil
}

func hashOf(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}

// removeDisplay ends a wall's right at once.
func (s *Service) removeDisplay(ctx context.Context, d clinic.DisplayID) error {
	who, policy, err := s.may(ctx, "clinic.delete_display", "Display")
	if err != nil {
		return err
	}
	return s.store.removeDisplay(ctx, act{who: who, action: "clinic.delete_display", policy: policy, now: s.now()}, d)
}

// shownBy is the display that shows this token: clinic.display_unknown. Its use puts off
// its end.
func (s *Service) shownBy(ctx context.Context, t clinic.TenantID, token string) (clinic.Display, error) {
	if token == "" || len(token) > maxToken {
		return clinic.Display{}, clinic.ErrDisplay.New()
	}
	now := s.now()
	d, err := s.store.display(ctx, t, hashOf(token), now)
	if err != nil || now.Sub(d.LastSeenAt) < displaySeen {
		return d, err
	}
	return d, s.store.seen(ctx, t, d.ID, now, now.Add(displayTime))
}

// rules reads the hospital's rules; version 0 is the default.
func (s *Service) rules(ctx context.Context) (clinic.Rules, int64, error) {
	who, _, err := s.may(ctx, "clinic.read_rules", "ClinicRules")
	if err != nil {
		return clinic.Rules{}, 0, err
	}
	return s.store.rules(ctx, who.Tenant)
}

// setRules replaces them if nobody was faster.
func (s *Service) setRules(ctx context.Context, r clinic.Rules, version int64) error {
	who, policy, err := s.may(ctx, "clinic.update_rules", "ClinicRules")
	if err != nil {
		return err
	}
	if err := checkRules(r); err != nil {
		return err
	}
	return s.store.setRules(ctx, act{who: who, action: "clinic.update_rules", policy: policy, now: s.now()}, r, version)
}

func checkRules(r clinic.Rules) error {
	for _, v := range []struct {
		name    string
		minutes int
	}{{"early_minutes", r.EarlyMinutes}, {"late_minutes", r.LateMinutes}} {
		if v.minutes < 0 || v.minutes > 12*60 {
			return clinic.ErrInput.At(v.name, "0 to 720")
		}
	}
	return nil
}
