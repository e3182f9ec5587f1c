package client

import (
	"context"
	"net/http"
	"time"
)

// Line is the waiting line of a session, as the staff see it.
type Line struct {
	ScheduleID   string `json:"schedule_id"`
	Practitioner string `json:"practitioner_name"`
	State        string `json:"state"`
	Waiting      int    `json:"waiting"`
	Version      int64  `json:"version"`
	Current      *struct {
		AppointmentID string    `json:"appointment_id"`
		CalledAt      time.Time `json:"called_at"`
	} `json:"current"`
}

// Lines are those of a day (YYYY-MM-DD) that the member of staff may see.
func (c *Client) Lines(ctx context.Context, date string) ([]Line, error) {
	var list struct{ Items []Line }
	_, err := c.Do(ctx, http.MethodGet, "/clinic/sessions?date="+date, nil, &list)
	return list.Items, err
}

// CallNext finishes who is being seen and calls the next; version is the line's.
func (c *Client) CallNext(ctx context.Context, schedule string, version int64, key string) error {
	_, err := c.Do(ctx, http.MethodPost, "/clinic/sessions/"+schedule+"/call-next", map[string]any{"version": version}, nil, Key(key))
	return err
}

// Finish ends the turn of who is being seen.
func (c *Client) Finish(ctx context.Context, appointment, key string) error {
	_, err := c.Do(ctx, http.MethodPost, "/clinic/turns/"+appointment+"/done", map[string]any{}, nil, Key(key))
	return err
}

// CheckIn tells the hospital that the person is there (签到).
func (c *Client) CheckIn(ctx context.Context, appointment, key string) error {
	_, err := c.Do(ctx, http.MethodPost, "/visits/"+appointment+"/check-in", map[string]any{}, nil, Key(key))
	return err
}

// DemoStaff logs a member of staff of the demo in, with what the demo's login page shows.
func (c *Client) DemoStaff(ctx context.Context, username string) error {
	var list struct {
		Items []struct{ Username, Password, TOTP string }
	}
	if _, err := c.Do(ctx, http.MethodGet, "/demo/accounts", nil, &list); err != nil {
		return err
	}
	for _, a := range list.Items {
		if a.Username == username {
			_, err := c.LoginStaff(ctx, a.Username, a.Password, a.TOTP)
			return err
		}
	}
	return &Problem{Status: http.StatusNotFound}
}
