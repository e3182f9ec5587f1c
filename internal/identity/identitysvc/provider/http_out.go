package provider

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"xinglin/internal/platform/outward"
)

const outTime = 10 * time.Second // one call to a client

// sender calls clients at the address that they registered.
type sender struct {
	private bool
	client  *http.Client
}

func newSender(private bool) sender {
	return sender{private: private, client: outward.Client(outTime, private)}
}

// logout hands a logout token over, one attempt. The error says nothing of the address: it goes to the log.
func (o sender) logout(ctx context.Context, to, text string) error {
	if err := outward.Check(to, o.private); err != nil {
		return fmt.Errorf("provider: back-channel address: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, outTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(url.Values{"logout_token": {text}}.Encode()))
	if err != nil {
		return fmt.Errorf("provider: back-channel address cannot be asked")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a, err := o.client.Do(r)
	if err != nil {
		return fmt.Errorf("provider: back-channel logout: no connection")
	}
	defer func() { _ = a.Body.Close() }()
	_, _ = io.CopyN(io.Discard, a.Body, 4<<10)
	switch {
	case a.StatusCode >= 200 && a.StatusCode < 300:
		return nil
	case a.StatusCode == http.StatusBadRequest:
		return errRefusedLogout
	}
	return fmt.Errorf("provider: back-channel logout: status %d", a.StatusCode)
}
