package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
)

// dialTimeout bounds how long Dial tries: a broker that starts at the same time may need some seconds.
const dialTimeout = 10 * time.Second

// DialOptions say where the broker is.
type DialOptions struct {
	URL  string // nats://[user:password@|token@]host:port, or several with commas; tls:// for TLS
	Name string // of this process, shown by the broker
	Log  *slog.Logger
	TLS  *tls.Config // nil: as the URL says
}

// Dial connects to a broker elsewhere. It fails with bus.unreachable when that does not work within 10 s, at once when
// the broker refuses the credentials; afterwards it reconnects for ever.
func Dial(ctx context.Context, o DialOptions) (Bus, error) {
	for part := range strings.SplitSeq(o.URL, ",") {
		if u, err := url.Parse(strings.TrimSpace(part)); err != nil || u.Host == "" {
			return nil, errors.New("bus: malformed broker URL (not shown, it may hold a password): want nats://host:port")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	opts := []nats.Option{nats.Name(o.Name)}
	if o.TLS != nil {
		opts = append(opts, nats.Secure(o.TLS))
	}
	end, _ := ctx.Deadline()
	for n := 0; ; n++ {
		left := end.Sub(clock.Mono())
		c, err := open(ctx, o.URL, o.Log, append(opts, nats.Timeout(max(min(left, 2*time.Second), 10*time.Millisecond)))...)
		if err == nil {
			return c, nil
		}
		pause := backoff(n)
		if permanent(err) || left <= pause || ctx.Err() != nil {
			return nil, refusal(err)
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, refusal(err)
		}
	}
}

// permanent tells whether trying again is of no use.
func permanent(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrSecureConnRequired) ||
		errors.Is(err, nats.ErrSecureConnWanted)
}

func refusal(err error) error {
	if fault.Of(err) != nil {
		return err
	}
	return ErrUnreachable.Wrap(err)
}
