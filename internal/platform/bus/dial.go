package bus

import (
	"context"
	ctls "crypto/tls"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/tls"
)

// dialTimeout bounds how long Dial tries: a broker that starts at the same time may need some seconds.
const dialTimeout = 10 * time.Second

// DialOptions say where the broker is.
type DialOptions struct {
	URL  string // nats://[user:password@|token@]host:port, or several with commas; tls:// for TLS
	Name string // of this process, shown by the broker
	Log  *slog.Logger
	// Peers: both sides show certificates, before a word of NATS is said (a foreign server: handshake_first). Nil: as the URL says.
	Peers *tls.Peers
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
	if o.Peers != nil {
		opts = append(opts, nats.Secure(&ctls.Config{MinVersion: ctls.VersionTLS13}), nats.TLSHandshakeFirst(),
			nats.ClientTLSConfig(o.Peers.Certificate, o.Peers.Authorities)) // asked at each connection
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
	var stranger *ctls.CertificateVerificationError
	return errors.As(err, &stranger) || errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrSecureConnRequired) ||
		errors.Is(err, nats.ErrSecureConnWanted)
}

func refusal(err error) error {
	if fault.Of(err) != nil {
		return err
	}
	return ErrUnreachable.Wrap(err)
}
