package app

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"xinglin/internal/platform/witness"
	"xinglin/internal/scheduling/lottery"
)

// LotteryFiles are what `xinglin lottery verify` reads.
type LotteryFiles struct {
	Proof            string
	Receipt          string // empty: none
	WitnessKey       string // hexadecimal; empty: the proof's own word
	AllowUnwitnessed bool
}

// VerifyLottery computes a draw again and prints what holds. The error says what does not.
func VerifyLottery(f LotteryFiles, out io.Writer) error {
	trust := lottery.Trust{AllowUnwitnessed: f.AllowUnwitnessed}
	if f.WitnessKey != "" {
		key, err := witness.ParseKey(f.WitnessKey)
		if err != nil {
			return err
		}
		trust.WitnessKey = key
	}
	p, err := readLottery[lottery.Proof](f.Proof)
	if err != nil {
		return err
	}
	rep, err := p.Verify(trust)
	if err != nil {
		return fmt.Errorf("the proof does not hold: %w", err)
	}
	fmt.Fprintf(out, "lottery %s: the draw holds\n", p.Lottery)
	fmt.Fprintf(out, "  %d entries under root %x, sealed %s\n", p.Count, p.Root[:8], p.SealedAt.Format("2006-01-02 15:04:05Z07:00"))
	fmt.Fprintf(out, "  %d won, %d lost\n", rep.Won, rep.Lost)
	for _, code := range slices.Sorted(maps.Keys(rep.Refused)) {
		fmt.Fprintf(out, "  %d refused by the rules of booking: %s (ask the hospital why)\n", rep.Refused[code], code)
	}
	switch {
	case !rep.Witnessed:
		fmt.Fprintln(out, "  NOT WITNESSED: "+lottery.UnwitnessedEN)
	case f.WitnessKey == "":
		fmt.Fprintf(out, "  witnessed %s by the key that the proof names: compare it with the witness's own: %x\n", p.Witness.SignedAt.Format("15:04:05Z07:00"), []byte(p.Witness.Key))
	default:
		fmt.Fprintf(out, "  witnessed %s by the key that you trust\n", p.Witness.SignedAt.Format("15:04:05Z07:00"))
	}
	if f.Receipt == "" {
		return nil
	}
	r, err := readLottery[lottery.Receipt](f.Receipt)
	if err != nil {
		return err
	}
	mine, err := p.Find(r)
	if err != nil {
		return fmt.Errorf("the receipt does not hold: %w", err)
	}
	fmt.Fprintf(out, "your entry is in the list: rank %d of %d, %s\n", mine.Rank, p.Count, mine.Outcome)
	return nil
}

func readLottery[T lottery.Proof | lottery.Receipt](path string) (v T, err error) {
	f, err := os.Open(path)
	if err != nil {
		return v, err
	}
	defer f.Close()
	return lottery.Read[T](f)
}

// LotteryPlay is what `xinglin lottery simulate` plays.
type LotteryPlay = lottery.Play

// errAdvantage ends the command when bots gain more than allowed.
var errAdvantage = errors.New("the upper end of the interval is above the limit")

// SimulateLottery plays and prints. A limit above 0 (1.05, say) bounds the upper end of
// the interval.
func SimulateLottery(p LotteryPlay, limit float64, out io.Writer) error {
	t, err := p.Run()
	if err != nil {
		return err
	}
	ppm := func(v int64) float64 { return float64(v) / 1e6 }
	fmt.Fprintf(out, "%d draws of %d seats, seed %d: %d people with one request, %d bots with %d persons of %d requests each\n",
		p.Draws, p.Seats, p.Seed, p.People, p.Bots, p.AccountsPerBot, p.BotRequests)
	if p.OnePerDevice {
		fmt.Fprintln(out, "rule: one entry a device and phone pool")
	}
	fmt.Fprintf(out, "a draw: %d requests, %d entries\n", t.Requests, t.Entries)
	fmt.Fprintf(out, "a bot wins    %.5f seats a draw (%d in all)\n", ppm(t.BotRate), t.BotWins)
	fmt.Fprintf(out, "a human wins  %.5f seats a draw (%d in all)\n", ppm(t.HumanRate), t.HumanWins)
	fmt.Fprintf(out, "advantage of a bot: %.4f, 95 %% interval %.4f to %.4f\n", ppm(t.Advantage), ppm(t.Low), ppm(t.High))
	if limit > 0 && ppm(t.High) > limit {
		return fmt.Errorf("%w: %.4f > %.4f", errAdvantage, ppm(t.High), limit)
	}
	return nil
}
