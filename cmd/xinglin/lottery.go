package main

import (
	"os"

	"xinglin/internal/app"
)

type verifyLotteryCmd struct {
	File             string `arg:"" help:"The proof, as GET /api/v1/lotteries/{id}/proof gives it." type:"existingfile"`
	WitnessKey       string `help:"The witness's public key from the witness itself; without it the proof's own word is taken and said so."`
	Receipt          string `help:"An entrant's receipt: check that the entry is in the list as it was made." type:"existingfile"`
	AllowUnwitnessed bool   `help:"Accept a draw whose announced witness did not sign."`
}

// Run implements the command.
func (c *verifyLotteryCmd) Run() error {
	return app.VerifyLottery(app.LotteryFiles{Proof: c.File, Receipt: c.Receipt, WitnessKey: c.WitnessKey, AllowUnwitnessed: c.AllowUnwitnessed}, os.Stdout)
}

type simulateLotteryCmd struct {
	Bots           int     `help:"Bots, each with one device and phone pool." default:"100"`
	BotRequests    int     `help:"Requests of each of a bot's persons." default:"100"`
	AccountsPerBot int     `help:"Real, linked persons that a bot controls." default:"1"`
	People         int     `help:"People who ask once." default:"1900"`
	Seats          int     `help:"Seats of a draw." default:"40"`
	Draws          int     `help:"Draws." default:"10000"`
	Seed           uint64  `help:"Of the random numbers: the same seed prints the same figures." default:"1"`
	OnePerDevice   bool    `help:"Count what comes from one device or phone pool as one entry."`
	Limit          float64 `help:"Exit 1 when the upper end of the interval is above it; 0 prints only." default:"0"`
}

// Run implements the command.
func (c *simulateLotteryCmd) Run() error {
	return app.SimulateLottery(app.LotteryPlay{
		Bots: c.Bots, BotRequests: c.BotRequests, AccountsPerBot: c.AccountsPerBot, People: c.People, Seats: c.Seats, Draws: c.Draws, Seed: c.Seed,
		OnePerDevice: c.OnePerDevice,
	}, c.Limit, os.Stdout)
}
