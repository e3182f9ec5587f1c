package trail

import (
	"encoding/json"
	"strings"
	"testing"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/obs"
)

// TestShorten: what a row leaves out comes back as it was, and what follows from nothing stays.
func TestShorten(t *testing.T) {
	act, other := id.Random[Act](), id.Random[Act]()
	for name, p := range map[string]Part{
		"of its own id":     {Object: act.String(), Trace: obs.TraceOf(act), Number: "REG-260302-" + act.Tail()},
		"of another":        {Object: other.String(), Trace: obs.TraceOf(other), Number: "REG-260302-" + other.Tail()},
		"without a number":  {Object: act.String(), Trace: obs.NewTrace()},
		"without a dash":    {Object: act.String(), Trace: obs.TraceOf(act), Number: "X" + act.Tail()},
		"of another origin": {Object: "t-1", Trace: "trace-1", Number: "PAY-1"},
	} {
		p.ID = act
		short := p
		short.shorten()
		text, err := json.Marshal(short)
		if err != nil {
			t.Fatal(err)
		}
		if name == "of its own id" && (strings.Contains(string(text), act.Tail()) || strings.Count(string(text), act.String()) != 1 || short.Trace != "") {
			t.Errorf("%s: %s", name, text)
		}
		var back Part
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if back.restore(); back != p {
			t.Errorf("%s: %+v, want %+v", name, back, p)
		}
	}
}
