package clinicsvc

import (
	"context"
	"net/http"
	"strings"
	"time"

	"xinglin/internal/clinic"
	"xinglin/internal/directory"
	"xinglin/internal/platform/httpx"
)

func (s *Service) wallRoutes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "clinic.list_displays", Method: http.MethodGet, Path: "/clinic/displays", Summary: "Walls that may look, at most 100"}, s.getDisplays)
	httpx.Register(a, httpx.Op{ID: "clinic.create_display", Method: http.MethodPost, Path: "/clinic/displays", Status: 201, Summary: "Give a wall the right to look; the token is shown once: /wall/#TOKEN"}, s.postDisplay)
	httpx.Register(a, httpx.Op{ID: "clinic.delete_display", Method: http.MethodDelete, Path: "/clinic/displays/{id}", Status: 204, Summary: "End a wall's right at once"}, s.deleteDisplay)
	httpx.Register(a, httpx.Op{ID: "clinic.read_rules", Method: http.MethodGet, Path: "/clinic/rules", Summary: "The hospital's rules of its waiting lines"}, s.getRules)
	httpx.Register(a, httpx.Op{ID: "clinic.update_rules", Method: http.MethodPut, Path: "/clinic/rules", Versioned: true, Summary: "Replace the rules of waiting lines"}, s.putRules)
	httpx.Register(a, httpx.Op{ID: "clinic.read_board", Method: http.MethodGet, Path: "/wall/board", Public: true, Summary: "What a wall shows; Authorization: Display TOKEN"}, s.getBoard)
	httpx.Handle(a, httpx.Op{ID: "clinic.watch_board", Method: http.MethodGet, Path: "/wall/events", Public: true, Stream: true, Summary: "The whole board, live: event board (SSE); Authorization: Display TOKEN"}, s.watchBoard)
}

type displayBody struct {
	ID            clinic.DisplayID         `json:"id"`
	Name          string                   `json:"name"`
	CampusID      directory.CampusID       `json:"campus_id"`
	DepartmentIDs []directory.DepartmentID `json:"department_ids" doc:"Empty: all of the campus"`
	CreatedAt     time.Time                `json:"created_at"`
	LastSeenAt    *time.Time               `json:"last_seen_at,omitempty" doc:"To within five minutes"`
	ExpiresAt     time.Time                `json:"expires_at" doc:"Moves on while the display is used"`
}

func displayOut(d clinic.Display) displayBody {
	return displayBody{
		ID: d.ID, Name: d.Name, CampusID: d.Campus, DepartmentIDs: append([]directory.DepartmentID{}, d.Departments...),
		CreatedAt: d.CreatedAt, LastSeenAt: instant(d.LastSeenAt), ExpiresAt: d.ExpiresAt,
	}
}

func (s *Service) getDisplays(ctx context.Context, _ *struct{}) (*out[list[displayBody]], error) {
	found, err := s.displays(ctx)
	if err != nil {
		return nil, err
	}
	o := &out[list[displayBody]]{list[displayBody]{Items: []displayBody{}}}
	for _, d := range found {
		o.Body.Items = append(o.Body.Items, displayOut(d))
	}
	return o, nil
}

type postDisplayIn struct {
	Body struct {
		Name          string   `json:"name" minLength:"1" maxLength:"50" example:"3楼候诊区"`
		CampusID      string   `json:"campus_id" format:"uuid"`
		DepartmentIDs []string `json:"department_ids,omitempty" maxItems:"50" doc:"Empty: all of the campus"`
	}
}

type madeDisplayBody struct {
	displayBody
	Token string `json:"token" doc:"Shown once"`
}

func (s *Service) postDisplay(ctx context.Context, in *postDisplayIn) (*out[madeDisplayBody], error) {
	d := clinic.Display{Name: in.Body.Name}
	var err error
	if d.Campus, err = httpx.ID[directory.Campus](in.Body.CampusID); err != nil {
		return nil, err
	}
	for _, v := range in.Body.DepartmentIDs {
		one, err := httpx.ID[directory.Department](v)
		if err != nil {
			return nil, err
		}
		d.Departments = with(d.Departments, one)
	}
	d, token, err := s.addDisplay(ctx, d)
	if err != nil {
		return nil, err
	}
	return &out[madeDisplayBody]{madeDisplayBody{displayOut(d), token.Reveal()}}, nil
}

type displayIn struct {
	ID string `path:"id" format:"uuid"`
}

func (s *Service) deleteDisplay(ctx context.Context, in *displayIn) (*struct{}, error) {
	d, err := httpx.ID[clinic.Display](in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.removeDisplay(ctx, d)
}

type rulesBody struct {
	EarlyMinutes int   `json:"early_minutes" minimum:"0" maximum:"720" doc:"Before the own period a person may check in"`
	LateMinutes  int   `json:"late_minutes" minimum:"0" maximum:"720" doc:"After its end too; later only the desk"`
	ShowNames    bool  `json:"show_names" doc:"Masked names on the walls; false: numbers only"`
	Version      int64 `json:"version" readOnly:"true"`
}

type rulesOut struct {
	ETag string `header:"ETag"`
	Body rulesBody
}

func (s *Service) getRules(ctx context.Context, _ *struct{}) (*rulesOut, error) {
	r, version, err := s.rules(ctx)
	if err != nil {
		return nil, err
	}
	return &rulesOut{httpx.ETag(version), rulesBody{r.EarlyMinutes, r.LateMinutes, r.ShowNames, version}}, nil
}

type putRulesIn struct {
	Match string `header:"If-Match" required:"true"`
	Body  struct {
		EarlyMinutes int  `json:"early_minutes" minimum:"0" maximum:"720"`
		LateMinutes  int  `json:"late_minutes" minimum:"0" maximum:"720"`
		ShowNames    bool `json:"show_names"`
	}
}

func (s *Service) putRules(ctx context.Context, in *putRulesIn) (*rulesOut, error) {
	version, err := httpx.Version(in.Match)
	if err != nil {
		return nil, err
	}
	r := clinic.Rules{EarlyMinutes: in.Body.EarlyMinutes, LateMinutes: in.Body.LateMinutes, ShowNames: in.Body.ShowNames}
	if err := s.setRules(ctx, r, version); err != nil {
		return nil, err
	}
	return s.getRules(ctx, nil)
}

type boardIn struct {
	Authorization string `header:"Authorization" doc:"Display TOKEN"`
}

func (s *Service) getBoard(ctx context.Context, in *boardIn) (*out[board], error) {
	d, err := s.shownBy(ctx, httpx.TenantOf(ctx), tokenOf(in.Authorization))
	if err != nil {
		return nil, err
	}
	b, err := s.board(ctx, httpx.TenantOf(ctx), d)
	return &out[board]{b}, err
}

// tokenOf is the token of a display's authorization; empty for any other.
func tokenOf(authorization string) string {
	kind, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(kind, "Display") {
		return ""
	}
	return strings.TrimSpace(token)
}
