package obs

import "log/slog"

// Scope is what a door knows of one request, in one piece: a context of the door's own
// answers for it by calling Value. With... below it still count first.
type Scope struct {
	Log     *slog.Logger
	Trace   string // traceparent
	Door    string // what the origin begins with
	Address string // what it ends with
	Note    Note
}

// Value answers the questions of this package; nil for any other.
func (s *Scope) Value(key any) any {
	switch key.(type) {
	case traceKey:
		if s.Trace != "" {
			return s
		}
	case originKey:
		return s
	case noteKey:
		return &s.Note
	case logKey:
		if s.Log != nil {
			return s.Log
		}
	}
	return nil
}

func (s *Scope) text(key any) string {
	switch key.(type) {
	case traceKey:
		return s.Trace
	case originKey:
		return s.Door + " " + s.Address
	}
	return ""
}
