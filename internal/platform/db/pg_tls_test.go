package db_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/tls"
	"xinglin/internal/testkit/pgcluster"
)

// certificate makes one of the folder's authority and names its files without their endings.
func certificate(t *testing.T, dir, name string, life time.Duration, now time.Time) string {
	t.Helper()
	if err := (tls.Issue{Dir: dir, Name: name, Hosts: []string{"127.0.0.1"}, Life: life, Now: now}.Make()); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// PostgreSQL and serve show each other certificates; renewed ones are taken for new connections without a restart.
func TestMutualTLS(t *testing.T) {
	dir, foreign, now := t.TempDir(), t.TempDir(), clock.System{}.Now()
	server := certificate(t, dir, "postgres", time.Hour, now)
	c, err := pgcluster.Start(t.Context(), pgcluster.WithTLS(pgcluster.TLS{
		Cert: read(t, server+".pem"), Key: read(t, server+".key"), CA: read(t, filepath.Join(dir, "ca.pem")),
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	dsn := func(cert, ca string) string {
		plain, _, _ := strings.Cut(c.AppDSN("postgres"), "?")
		return fmt.Sprintf("%s?sslmode=verify-full&sslrootcert=%s&sslcert=%s.pem&sslkey=%s.key&pool_max_conns=2", plain, filepath.Join(ca, "ca.pem"), cert, cert)
	}
	own := certificate(t, dir, "serve", time.Hour, now)
	srv, err := db.Open(t.Context(), db.Options{DSN: dsn(own, dir), MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	stranger := certificate(t, foreign, "serve", time.Hour, now)
	for name, d := range map[string]string{
		"plain text":         c.AppDSN("postgres"),
		"no certificate":     strings.Split(dsn(own, dir), "&sslcert")[0],
		"a foreign one":      dsn(stranger, dir),
		"an expired one":     dsn(certificate(t, dir, "late", time.Minute, now.Add(-time.Hour)), dir),
		"another authority":  dsn(own, foreign),
		"another host's TLS": strings.Replace(dsn(own, dir), "127.0.0.1", "localhost", 1),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if srv, err := db.Open(ctx, db.Options{DSN: d, MaxConns: 1}); !errors.Is(err, db.ErrUnavailable) {
			if err == nil {
				_ = srv.Close()
			}
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
	rotated(t, dsn(own, dir), own, stranger)
}

// rotated changes the files under an open pool: a connection that stands goes on, a new one is made with what the files hold then.
func rotated(t *testing.T, dsn, own, stranger string) {
	t.Helper()
	good := [2][]byte{read(t, own+".pem"), read(t, own+".key")}
	put := func(cert, key []byte) {
		if err := errors.Join(os.WriteFile(own+".key", key, 0o600), os.WriteFile(own+".pem", cert, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.Renewing(cfg, dsn)
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	first, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	put(read(t, stranger+".pem"), read(t, stranger+".key"))
	if second, err := pool.Acquire(t.Context()); err == nil {
		second.Release()
		t.Error("a new connection was made with the certificate from before")
	}
	if err := first.Ping(t.Context()); err != nil {
		t.Errorf("the connection that stands: %v", err)
	}
	put(good[0], good[1])
	second, err := pool.Acquire(t.Context())
	if err != nil {
		t.Errorf("the renewed certificate: %v", err)
	} else {
		second.Release()
	}
	first.Release()
}
