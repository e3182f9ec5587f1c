package app

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/obs"
	"xinglin/internal/platform/process"
	"xinglin/internal/tenant"
)

// The imports of the command line share one road: into the folder or database when nobody
// serves it, else through the private door of the process that does.

// importing is one kind of import: how it is done in a house, and how its files travel.
type importing[R any] struct {
	kind   string // the last part of the door's path
	within time.Duration
	answer int64 // bytes of a report, at most
	tenant string
	dryRun bool
	more   url.Values // what else this kind is asked for
	do     func(ctx context.Context, h *House) (R, error)
	// body is what is sent to the door, and its media type.
	body func() (body io.ReadCloser, contentType string)
}

// reply is what the door answers: the report is whole whatever Code says.
type reply[R any] struct {
	Report R
	Code   string
	Title  string
}

// into imports directly, or through the process that serves the folder.
func (i importing[R]) into(ctx context.Context, where config.Where) (rep R, err error) {
	h, closeAll, err := Offline(ctx, where, false)
	if errors.Is(err, process.ErrDirTaken) {
		return i.through(ctx, where.Data)
	}
	if err != nil {
		return rep, err
	}
	defer closeAll()
	if _, err := h.ensureTenant(ctx, nil, false); err != nil && !errors.Is(err, tenant.ErrDemoMixed) {
		return rep, err
	}
	ctx, err = h.asOperator(ctx, i.tenant, OSUser())
	if err != nil {
		return rep, err
	}
	return i.do(ctx, h)
}

// through hands the files to the process that serves the folder.
func (i importing[R]) through(ctx context.Context, dir string) (R, error) {
	ctx, cancel := context.WithTimeout(ctx, i.within)
	defer cancel()
	body, contentType := i.body()
	defer body.Close()
	var a reply[R]
	q := url.Values{"tenant": {i.tenant}, "user": {OSUser()}, "dry_run": {fmt.Sprint(i.dryRun)}}
	maps.Copy(q, i.more)
	err := askDoor(ctx, dir, "/cli/import/"+i.kind+"?"+q.Encode(), contentType, body, i.answer, &a)
	if err == nil && a.Code != "" {
		err = fmt.Errorf("%s: %s", a.Code, a.Title)
	}
	return a.Report, err
}

// asOperator is the command line's user at the tenant with this code; without one, at the installation.
func (h *House) asOperator(ctx context.Context, code, osUser string) (context.Context, error) {
	if code == "" {
		return obs.WithOrigin(auth.With(ctx, auth.Principal{Kind: auth.CLI, Name: osUser}), "cli"), nil
	}
	ts, err := h.Tenants.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range ts {
		if t.Code == code {
			return obs.WithOrigin(auth.With(ctx, auth.Principal{Kind: auth.CLI, Tenant: t.ID, Name: osUser}), "cli"), nil
		}
	}
	return nil, ErrFlags.At("tenant", "there is no tenant "+code)
}

// importDoor is the running process's side of an import: take reads what the command line sends.
func importDoor[R any](p *Process, within time.Duration, take func(ctx context.Context, w http.ResponseWriter, r *http.Request, dryRun bool) (R, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		given := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if p.token == "" || subtle.ConstantTimeCompare([]byte(given), []byte(p.token)) != 1 {
			plain(w, http.StatusUnauthorized, "the command line's token is needed")
			return
		}
		ctx, cancel := context.WithTimeout(obs.WithLog(r.Context(), p.log), within)
		defer cancel()
		rc, end := http.NewResponseController(w), clock.Mono().Add(within)
		_, _ = rc.SetReadDeadline(end), rc.SetWriteDeadline(end)
		q := r.URL.Query()
		var a reply[R]
		as, err := p.house.asOperator(ctx, q.Get("tenant"), q.Get("user"))
		if err == nil {
			a.Report, err = take(as, w, r, q.Get("dry_run") == "true")
		}
		if f := fault.Of(err); f != nil {
			a.Code, a.Title = f.Code.Name, f.Code.EN
		} else if err != nil {
			obs.Log(ctx).Error("import", "error", err.Error())
			a.Code, a.Title = "http.internal", "see the log of the serving process"
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(a)
	}
}
