package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/crypt"
	"xinglin/internal/platform/db"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/process"
	"xinglin/internal/platform/tls"
	"xinglin/internal/tenant"
)

// The command line acts as cli:<os user>. On a folder that is being served its writes
// go through the running process, whose door is in DIR/cli.json (0600).

type door struct {
	Address string `json:"address"`
	Token   string `json:"token"`
	// Peer are the files of the process that serves, where its door takes processes of the installation only: the command is one of them.
	Peer tls.PeerFiles `json:"peer,omitzero"`
}

const (
	maxImport  = 16<<20 + 1
	importTime = 5 * time.Minute
)

// openDoor writes DIR/cli.json for the command line of the same user.
func (p *Process) openDoor() error {
	if p.cfg.DB != "" {
		return nil
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return err
	}
	p.token = hex.EncodeToString(raw)
	b, err := json.Marshal(door{Address: p.cfg.Private, Token: p.token, Peer: p.cfg.Peer})
	if err != nil {
		return err
	}
	name := filepath.Join(p.cfg.Data, "cli.json")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		return err
	}
	p.later(func() { _ = os.Remove(name) })
	return nil
}

// OSUser is who runs the command.
func OSUser() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}

// DefaultTenant is the code of the tenant of a fresh installation.
const DefaultTenant = "main"

// ensureTenant makes the one tenant of a fresh installation.
func (h *House) ensureTenant(ctx context.Context, hosts []string, demo bool) (tenant.Tenant, error) {
	ctx = auth.With(ctx, auth.Principal{Kind: auth.System, Name: "start"})
	ts, err := h.Tenants.List(ctx)
	if err != nil {
		return tenant.Tenant{}, err
	}
	for _, t := range ts {
		if t.Demo != demo {
			return t, tenant.ErrDemoMixed.New()
		}
	}
	if len(ts) > 0 && len(hosts) == 0 {
		return ts[0], nil
	}
	t := tenant.Tenant{Code: DefaultTenant, Name: "医院", Hosts: hosts, Demo: demo}
	for _, x := range ts {
		if x.Code == DefaultTenant {
			t.Name = x.Name
		}
	}
	if demo {
		t.Name = "杏林演示医院"
	}
	return h.Tenants.Ensure(ctx, t)
}

// Offline is a house without a door: for commands. The caller ends it with close.
func Offline(ctx context.Context, where config.Where, readOnly bool) (h *House, closeAll func(), err error) {
	var undo []func()
	closeAll = func() {
		for i := len(undo) - 1; i >= 0; i-- {
			undo[i]()
		}
	}
	end := closeAll // a return with an error sets closeAll to nil
	defer func() {
		if err != nil {
			end()
		}
	}()
	if where.Data == "" && where.DB == "" {
		return nil, nil, ErrFlags.At("data", "give --data DIR or --db DSN")
	}
	if where.DB == "" {
		if readOnly {
			if _, err := os.Stat(filepath.Join(where.Data, "db")); err != nil {
				return nil, nil, ErrFlags.At("data", "there is no database in the folder")
			}
		} else {
			release, err := process.LockDir(where.Data)
			if err != nil {
				return nil, nil, err
			}
			undo = append(undo, release)
			if err := db.MigrateSQLite(ctx, where.Data, Sets()); err != nil {
				return nil, nil, err
			}
		}
	}
	clk, err := clock.Parse(where.Clock)
	if err != nil {
		return nil, nil, ErrFlags.Wrap(err)
	}
	srv, err := db.Open(ctx, db.Options{Dir: where.Data, DSN: where.DB, MaxConns: 4, Readers: 1, Clock: clk})
	if err != nil {
		return nil, nil, err
	}
	undo = append(undo, func() { _ = srv.Close() })
	if err := srv.CheckSchema(ctx, Sets()); err != nil {
		return nil, nil, err
	}
	ring, err := offlineKeys(ctx, srv, where, readOnly)
	if err != nil {
		return nil, nil, err
	}
	h, err = Wire(ctx, Machines{DB: srv, Clock: clk, Crypt: ring, Log: obs.Logger(os.Stderr, 4), Signals: silent{}})
	return h, closeAll, err
}

// offlineKeys opens the ring where the command needs keys; verify reads none.
func offlineKeys(ctx context.Context, srv *db.Server, where config.Where, readOnly bool) (*crypt.Ring, error) {
	keys := where.Keys
	if keys == "" && where.DB == "" {
		keys = KeysOf(where.Data)
	}
	if readOnly {
		return nil, nil
	}
	if keys == "" {
		return nil, ErrNeedsKeys.New()
	}
	store, err := srv.Context(ctx, "keys")
	if err != nil {
		return nil, err
	}
	return crypt.Open(ctx, crypt.Options{DB: store, Keys: keys, Create: where.DB == ""})
}

// silent are signals of a command: nobody hears it, pollers see its commits.
type silent struct{}

// Signal implements module.Signals.
func (silent) Signal(context.Context, string, []byte) error { return nil }

// OnSignal implements module.Signals.
func (silent) OnSignal(string, func([]byte)) (func(), error) { return func() {}, nil }

// askDoor asks the process that serves a folder, at its private door, and reads at most
// limit bytes of its answer. Code: process.dir_taken when it cannot be asked.
func askDoor(ctx context.Context, dir, path, contentType string, body io.Reader, limit int64, answer any) error {
	b, err := os.ReadFile(filepath.Join(dir, "cli.json"))
	if err != nil {
		return process.ErrDirTaken.Wrap(err)
	}
	var d door
	if err := json.Unmarshal(b, &d); err != nil {
		return process.ErrDirTaken.Wrap(err)
	}
	scheme, caller, err := d.caller()
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, scheme+d.Address+path, body)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+d.Token)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	res, err := caller.Do(r)
	if err != nil {
		return process.ErrDirTaken.Wrap(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, limit)).Decode(answer); err != nil || res.StatusCode != http.StatusOK {
		return process.ErrDirTaken.Because("the serving process answered %s", res.Status)
	}
	return nil
}

// caller is a client of the door.
func (d door) caller() (scheme string, c *http.Client, err error) {
	if d.Peer.Zero() {
		return "http://", http.DefaultClient, nil
	}
	peers, err := tls.NewPeers(d.Peer)
	if err != nil {
		return "", nil, ErrFlags.Wrap(err)
	}
	return "https://", &http.Client{Transport: &http.Transport{DialTLSContext: peers.Dial, DisableKeepAlives: true}}, nil
}

// MigratePostgres is `xinglin migrate`.
func MigratePostgres(ctx context.Context, dsn, login string) error {
	return db.MigratePostgres(ctx, dsn, login, Sets())
}

// ExportKeys is `xinglin keys export`: the person's keys in hex, for a foreign program.
// The act is audited in the patient context's trail.
func ExportKeys(ctx context.Context, where config.Where, tenantCode, person string, out io.Writer) error {
	pid, err := id.Parse[id.Any](person)
	if err != nil {
		return ErrFlags.At("person", "want the patient's id")
	}
	h, closeAll, err := Offline(ctx, where, false)
	if err != nil {
		return err
	}
	defer closeAll()
	keys, err := h.exportKeys(ctx, tenantCode, pid)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(keys)
}
