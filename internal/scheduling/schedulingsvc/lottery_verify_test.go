package schedulingsvc

import (
	"testing"
	"time"

	"xinglin/internal/scheduling/lottery"
)

// drew fills a world with a lottery of 15 entries for 8 seats that is done. It is sound.
func (w *world) drew() {
	w.t.Helper()
	w.rota(2500, 8, 30)
	l := w.lottery("2026-03-20", time.Minute, lottery.PerPerson)
	w.clock.Set(l.OpensAt)
	for range 15 {
		w.entered(l)
	}
	w.clock.Set(l.ClosesAt)
	w.due()
	w.sound()
}

// TestVerifyFindsLottery plants each violation of a lottery's rules.
func TestVerifyFindsLottery(t *testing.T) {
	for name, x := range map[string]struct {
		check string
		do    []string
	}{
		"entry dropped":         {"a sealed lottery has the entries that were sealed", []string{"DELETE FROM lottery_entry WHERE outcome = ''"}},
		"winner without seat":   {"each won entry has its appointment", []string{"UPDATE lottery_entry SET outcome = 'won', slot_id = lottery_id WHERE outcome = ''"}},
		"winner moved":          {"each won entry has its appointment", []string{"UPDATE lottery_entry SET slot_id = id WHERE outcome = 'won'"}},
		"winners miscounted":    {"a lottery that is done has counted its winners", []string{"UPDATE lottery SET winners = winners + 1"}},
		"blocked for ever":      {"a schedule waits for its lottery and for nothing else", []string{"UPDATE schedule SET lottery_s = 60 WHERE day > 0"}},
		"lottery without job":   {"each lottery that is not done has its job", []string{"UPDATE lottery SET state = 'open', updated_at = 1000000"}},
		"entry without lottery": {"each entry has its lottery", []string{"DELETE FROM lottery"}},
	} {
		t.Run(name, func(t *testing.T) { finds(t, (*world).drew, x.check, x.do) })
	}
}
