package simulate

import (
	"net/http"
	"testing"
	"time"
)

// Who has a seat may be told that there is none only while an earlier request can still take it: the last one that may have
// had its effect counts, from when it was given up.
func TestLastEnd(t *testing.T) {
	s := int64(time.Second)
	lost := func(call, end int64) *Try { return &Try{Call: call, End: end, Return: never} }
	unknown := &Try{Call: 5 * s, End: 7 * s, Return: 7 * s, Status: http.StatusServiceUnavailable}
	full := func(call int64) *Try {
		return &Try{Call: call, End: call + 1, Return: call + 1, Status: http.StatusConflict, Code: "scheduling.session_full"}
	}
	for name, tc := range map[string]struct {
		before []*Try
		end    int64
	}{
		"one lost":                     {[]*Try{lost(1*s, 2*s)}, 2 * s},
		"the last of three counts":     {[]*Try{lost(1*s, 2*s), unknown, full(8 * s)}, 7 * s},
		"an earlier one waited longer": {[]*Try{lost(1*s, 30*s), unknown}, 30 * s},
		"a refusal takes nothing":      {[]*Try{lost(1*s, 2*s), full(8 * s)}, 2 * s},
		"one that began later":         {[]*Try{lost(1*s, 2*s), lost(60*s, 61*s)}, 2 * s},
		"only refusals":                {[]*Try{full(1 * s)}, never},
	} {
		told := full(50 * s)
		if got := lastEnd(append(tc.before, told), told); got != tc.end {
			t.Errorf("%s: %d, want %d", name, got, tc.end)
		}
	}
}
