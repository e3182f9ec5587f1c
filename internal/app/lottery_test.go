package app

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"xinglin/internal/kernel/attest"
	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/witness"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/lottery"
)

// drawOfOne is a lottery with one entry and its receipt.
func drawOfOne(key ed25519.PrivateKey) (lottery.Proof, lottery.Receipt) {
	at := time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)
	p := lottery.Proof{Format: lottery.ProofFormat, Seed: bytes.Repeat([]byte{5}, lottery.SeedSize), Witnessed: true}
	p.Seal = lottery.Seal{
		Lottery: id.Random[scheduling.Schedule](), Per: lottery.PerPerson, OpensAt: at, ClosesAt: at.Add(time.Minute), SealedAt: at.Add(time.Minute), Count: 1,
		Seats: []lottery.Seat{{Slot: id.Random[scheduling.Slot](), StartsAt: at.Add(time.Hour), Free: 1}},
	}
	p.Commitment = lottery.Commit(p.Lottery, p.Seed)
	public := lottery.Bytes(key.Public().(ed25519.PublicKey))
	r := lottery.Receipt{
		Format: lottery.ReceiptFormat, Lottery: p.Lottery, Commitment: p.Commitment, WitnessKey: public, Entry: id.Random[scheduling.Appointment](),
		Nonce: lottery.Bytes("nonce"), Person: lottery.Hash{1}, Wishes: []lottery.SlotID{},
	}
	own := lottery.Key(p.Lottery, p.Seed)
	r.Sign(own)
	e := lottery.Entry{Handle: lottery.Handle(r.Entry, r.Nonce), Person: r.Person, Wishes: r.Wishes}
	p.Root = lottery.Root([]lottery.Hash{e.Leaf(p.Lottery)})
	s := attest.Statement{Subject: attest.SubjectOf(own), Digest: p.Digest(), At: p.SealedAt.UnixMicro()}
	p.Witness = &lottery.Witness{Key: public, Signature: attest.Sign(key, s), SignedAt: p.SealedAt}
	p.Results = []lottery.Result{{Entry: e, Rank: 1, Outcome: lottery.Won, Slot: p.Seats[0].Slot}}
	return p, r
}

// TestVerifyLottery: the command says what holds, and fails with what does not.
func TestVerifyLottery(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	public := hex.EncodeToString(key.Public().(ed25519.PublicKey))
	p, r := drawOfOne(key)
	dir := t.TempDir()
	write := func(name string, v any) string {
		t.Helper()
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	proof, receipt := write("proof.json", p), write("receipt.json", r)
	unsigned, tampered, foreign := p, p, r
	unsigned.Witness = nil
	unsigned.Witnessed = false
	tampered.Seed = bytes.Repeat([]byte{6}, lottery.SeedSize)
	foreign.Commitment[0] ^= 1
	for name, x := range map[string]struct {
		files LotteryFiles
		says  string
		err   error
	}{
		"trusted":       {LotteryFiles{Proof: proof, WitnessKey: public, Receipt: receipt}, "your entry is in the list: rank 1 of 1, won", nil},
		"own word":      {LotteryFiles{Proof: proof}, "compare it with the witness's own: " + public, nil},
		"unwitnessed":   {LotteryFiles{Proof: write("unsigned.json", unsigned)}, "NOT WITNESSED", nil},
		"demanded":      {LotteryFiles{Proof: write("unsigned.json", unsigned), WitnessKey: public}, "", lottery.ErrUnsigned},
		"tampered":      {LotteryFiles{Proof: write("tampered.json", tampered)}, "", lottery.ErrSeed},
		"other witness": {LotteryFiles{Proof: proof, WitnessKey: strings.Repeat("0", 64)}, "", lottery.ErrWitnessKey},
		"malformed key": {LotteryFiles{Proof: proof, WitnessKey: "x"}, "", witness.ErrKey},
		"other receipt": {LotteryFiles{Proof: proof, Receipt: write("foreign.json", foreign)}, "", lottery.ErrReceipt},
		"no proof":      {LotteryFiles{Proof: receipt}, "", lottery.ErrFormat},
		"no file":       {LotteryFiles{Proof: filepath.Join(dir, "none")}, "", os.ErrNotExist},
	} {
		var out bytes.Buffer
		if err := VerifyLottery(x.files, &out); !errors.Is(err, x.err) || err == nil && !strings.Contains(out.String(), x.says) {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
}

// TestSimulateLottery: the figures are printed, and a limit that does not hold is an error.
func TestSimulateLottery(t *testing.T) {
	t.Parallel()
	play := LotteryPlay{People: 40, Bots: 10, BotRequests: 3, AccountsPerBot: 5, Seats: 5, Draws: 50, Seed: 3}
	var out bytes.Buffer
	if err := SimulateLottery(play, 0, &out); err != nil || !strings.Contains(out.String(), "190 requests, 90 entries") || !strings.Contains(out.String(), "advantage of a bot: ") {
		t.Errorf("%v\n%s", err, out.String())
	}
	if err := SimulateLottery(play, 1.05, &out); !errors.Is(err, errAdvantage) {
		t.Error(err)
	}
	if err := SimulateLottery(LotteryPlay{}, 0, &out); !errors.Is(err, lottery.ErrPlay) {
		t.Error(err)
	}
}
