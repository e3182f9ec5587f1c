package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/platform/obs"
)

// Refusals of the door itself.
var (
	ErrInvalid     = fault.Register(fault.Invalid, "http.invalid", "提交的内容不符合要求", "The input breaks a rule of its form")
	ErrMalformed   = fault.Register(fault.Malformed, "http.malformed", "无法读取提交的内容", "The input cannot be read")
	ErrTooLarge    = fault.Register(fault.TooLarge, "http.too_large", "提交的内容过大", "The input is too large")
	ErrNotFound    = fault.Register(fault.NotFound, "http.not_found", "没有这个页面或资源", "There is nothing here")
	ErrMethod      = fault.Register(fault.Malformed, "http.method", "不支持的操作", "This method is not supported here")
	ErrMedia       = fault.Register(fault.Malformed, "http.media_type", "请用 JSON 提交", "Send JSON")
	ErrHost        = fault.Register(fault.NotFound, "http.unknown_host", "没有这个站点", "There is no such site")
	ErrOrigin      = fault.Register(fault.Forbidden, "http.origin", "请求来源不被允许", "The request comes from another origin")
	ErrRate        = fault.Register(fault.Limited, "http.rate", "操作太频繁，请稍后再试", "Too many requests, try again later")
	ErrAccountRate = fault.Register(fault.Limited, "http.account_rate", "您的抢号请求太频繁，请稍后再试", "This account asks for seats too often, try again later")
	ErrBusy        = fault.Register(fault.Unavailable, "http.busy", "系统繁忙，请稍后再试", "The system is busy, try again")
	ErrClosedDoor  = fault.Register(fault.Misdirected, "http.closed_door", "此服务由另一进程提供", "Another process serves this module")
	ErrKeyRequired = fault.Register(fault.Malformed, "http.key_required", "缺少或错误的 Idempotency-Key", "Idempotency-Key must be a UUIDv7")
	ErrMatch       = fault.Register(fault.Malformed, "http.match_required", "缺少或错误的 If-Match", "If-Match must be the version that you saw")
	ErrCursor      = fault.Register(fault.Malformed, "http.cursor", "翻页标记无效", "The cursor is not valid")
	ErrInternal    = fault.Register(fault.Internal, "http.internal", "系统出错了，我们已记录", "Something went wrong and was recorded")
)

// status maps every kind to its HTTP status; FHIRIssue maps it to the issue code of an OperationOutcome.
var status = map[fault.Kind]int{
	fault.Invalid: 422, fault.Malformed: 400, fault.Unauthenticated: 401, fault.Forbidden: 403, fault.NotFound: 404,
	fault.Conflict: 409, fault.Stale: 412, fault.Gone: 410, fault.TooLarge: 413, fault.Misdirected: 421,
	fault.Limited: 429, fault.Unavailable: 503, fault.Internal: 500,
}

// special are the door's own codes whose status is finer than their kind.
var special = map[*fault.Code]int{ErrMethod: http.StatusMethodNotAllowed, ErrMedia: http.StatusUnsupportedMediaType}

func statusOf(c *fault.Code) int {
	if s, ok := special[c]; ok {
		return s
	}
	return status[c.Kind]
}

// Status is the HTTP status of a kind.
func Status(k fault.Kind) int { return status[k] }

// FHIRIssue is the FHIR R4 issue code of a kind.
func FHIRIssue(k fault.Kind) string {
	switch k {
	case fault.Invalid, fault.Malformed:
		return "invalid"
	case fault.Unauthenticated:
		return "login"
	case fault.Forbidden:
		return "forbidden"
	case fault.NotFound:
		return "not-found"
	case fault.Conflict, fault.Stale:
		return "conflict"
	case fault.Gone:
		return "deleted"
	case fault.TooLarge:
		return "too-long"
	case fault.Limited, fault.Unavailable:
		return "throttled"
	case fault.Misdirected:
		return "not-supported"
	}
	return "exception"
}

// Problem is RFC 9457 with our code and both titles.
type Problem struct {
	Type    string         `json:"type" doc:"Link to the description of the code"`
	Title   string         `json:"title" doc:"Chinese title"`
	TitleEN string         `json:"title_en" doc:"English title"`
	Status  int            `json:"status"`
	Code    string         `json:"code" doc:"Stable code, see docs/reference/errors.md"`
	TraceID string         `json:"trace_id"`
	Errors  []fault.Detail `json:"errors,omitempty"`

	retry int
}

// Error implements error.
func (p *Problem) Error() string { return p.Code }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	if p.retry == 0 {
		return nil
	}
	return http.Header{"Retry-After": {strconv.Itoa(p.retry)}}
}

// problemOf turns any error into what the caller may see; unknown errors go to the log.
func problemOf(ctx context.Context, err error) *Problem {
	f := fault.Of(err)
	if f == nil {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			f = ErrBusy.Wrap(err)
		} else {
			obs.Log(ctx).Error("internal", "error", err.Error())
			f = ErrInternal.New()
		}
	} else if f.Code.Kind == fault.Internal || f.Code.Kind == fault.Unavailable {
		obs.Log(ctx).Warn("refused", "code", f.Code.Name, "error", f.Error())
	}
	p := &Problem{
		Type: "/errors/" + f.Code.Name, Title: f.Code.ZH, TitleEN: f.Code.EN,
		Status: statusOf(f.Code), Code: f.Code.Name, TraceID: obs.TraceID(ctx), Errors: f.Details,
	}
	if f.RetryAfter > 0 {
		p.retry = int((f.RetryAfter + 999_999_999) / 1_000_000_000)
	} else if p.Status == 503 || p.Status == 429 {
		p.retry = 1
	}
	return p
}

func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(r.Context(), err)
	for k, v := range p.GetHeaders() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// fromHuma turns huma's own refusals (reading, validating) into ours. Values that
// the caller sent are never repeated.
func fromHuma(hctx huma.Context, st int, msg string, errs ...error) huma.StatusError {
	code := ErrInvalid
	switch {
	case st == 400:
		code = ErrMalformed
	case st == 404:
		code = ErrNotFound
	case st == 405:
		code = ErrMethod
	case st == 413:
		code = ErrTooLarge
	case st == 415 || st == 406:
		code = ErrMedia
	case st == 408:
		code = ErrBusy
	case st >= 500 && msg == "cannot read request body":
		code = ErrMalformed // the caller broke off
	case st >= 500:
		code = ErrInternal
	}
	ctx := context.Background()
	if hctx != nil {
		ctx = hctx.Context()
	}
	f := code.New()
	for _, e := range errs {
		var big *http.MaxBytesError
		if errors.As(e, &big) {
			return problemOf(ctx, ErrTooLarge.New())
		}
		if fe := fault.Of(e); fe != nil {
			return problemOf(ctx, fe)
		}
		var d *huma.ErrorDetail
		if errors.As(e, &d) && len(f.Details) < 50 {
			f.Details = append(f.Details, fault.Detail{Path: shownPath(d.Location), Code: code.Name, Message: shownMessage(d.Message)})
		}
	}
	return problemOf(ctx, f)
}

var (
	plainPath = regexp.MustCompile(`^(body|query|path|header|cookie)([.][A-Za-z][A-Za-z0-9_-]{0,39}|\[[0-9]{1,4}\]){0,8}$`)
	errNUL    = errors.New("a NUL character")
	errDeep   = errors.New("nested too deeply")
)

// maxDepth is how deep JSON of a request may be nested; ours has a depth of six.
const maxDepth = 32

// tooDeep counts brackets outside of texts, before a decoder that calls itself sees them.
func tooDeep(json []byte) bool {
	depth, text := 0, false
	for i := 0; i < len(json); i++ {
		switch c := json[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '[', c == '{':
			if depth++; depth > maxDepth {
				return true
			}
		case c == ']', c == '}':
			depth--
		}
	}
	return false
}

// hasNUL finds the character that no text of ours can hold (PostgreSQL refuses it). An
// escaped backslash before u0000 is refused with it.
func hasNUL(json []byte) bool { return bytes.Contains(json, []byte(`\u0000`)) }

// shownMessage keeps the rule that was broken and drops what the decoder says of the value.
func shownMessage(m string) string {
	if m != "unexpected property" && !strings.HasPrefix(m, "expected ") {
		return "cannot be read"
	}
	rule, _, _ := strings.Cut(m, ": ")
	return rule
}

// shownPath is where the trouble is. A property that we do not know has the caller's
// name: it is shown only when it looks like a name.
func shownPath(p string) string {
	if plainPath.MatchString(p) {
		return p
	}
	place, _, _ := strings.Cut(p, ".")
	if plainPath.MatchString(place) {
		return place
	}
	return "body"
}
