package schedulingsvc

import (
	"context"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/patient"
	"xinglin/internal/platform/httpx"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/lottery"
)

func (s *Service) lotteryRoutes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "scheduling.open_lottery", Method: http.MethodPost, Path: "/lotteries", Status: http.StatusCreated, Summary: "Release schedules by lottery; a repeat changes nothing"}, s.postLotteries)
	httpx.Register(a, httpx.Op{ID: "scheduling.read_lottery", Method: http.MethodGet, Path: "/lotteries/{id}", Public: true, Summary: "The lottery of a schedule: window, commitment, state and draw"}, s.getLottery)
	httpx.Register(a, httpx.Op{ID: "scheduling.enter_lottery", Method: http.MethodPost, Path: "/lotteries/{id}/entries", Idempotent: true, Summary: "Enter a person; the key becomes the appointment's id when the entry wins"}, s.postEntry)
	httpx.Register(a, httpx.Op{ID: "scheduling.list_lottery_entries", Method: http.MethodGet, Path: "/lotteries/{id}/entries", Summary: "The account's own entries with their receipts and results"}, s.getEntries)
	httpx.Handle(a, httpx.Op{ID: "scheduling.read_lottery_proof", Method: http.MethodGet, Path: "/lotteries/{id}/proof", Public: true, Summary: "The draw as a file for xinglin lottery verify"}, s.getProof)
}

type lotteryBody struct {
	ID         lottery.ID `json:"id" doc:"The schedule's"`
	State      string     `json:"state" enum:"announced,open,sealed,drawn,done"`
	Per        string     `json:"per" enum:"person,account" doc:"Who has one entry: each person, or each account"`
	OpensAt    time.Time  `json:"opens_at"`
	ClosesAt   time.Time  `json:"closes_at"`
	Commitment string     `json:"commitment" doc:"Hash of the seed, fixed before the window"`
	WitnessKey string     `json:"witness_key" doc:"Ed25519 key of the announced witness; empty for none"`
	Witnessed  *bool      `json:"witnessed,omitempty" doc:"From the draw on: the witness signed"`
	NoteZH     string     `json:"note_zh"`
	NoteEN     string     `json:"note_en"`
	Entries    *int       `json:"entries,omitempty" doc:"From the seal on"`
	Seats      *int       `json:"seats,omitempty" doc:"From the seal on"`
	Root       string     `json:"root,omitempty"`
	SealedAt   *time.Time `json:"sealed_at,omitempty"`
	Seed       string     `json:"seed,omitempty" doc:"From the draw on"`
	Winners    *int       `json:"winners,omitempty" doc:"When done"`
	ServerTime time.Time  `json:"server_time"`
}

// lotteryOut shows a lottery; what is not fixed yet is left out.
func lotteryOut(l lottery.Draw, now time.Time) lotteryBody {
	b := lotteryBody{
		ID: l.Lottery, State: string(l.State), Per: string(l.Per), OpensAt: l.OpensAt, ClosesAt: l.ClosesAt, Commitment: hex.EncodeToString(l.Commitment[:]),
		WitnessKey: hex.EncodeToString(l.WitnessKey), ServerTime: now.UTC(),
	}
	if l.State == lottery.Open && now.Before(l.OpensAt) {
		b.State = "announced"
	}
	witnessed := len(l.WitnessKey) > 0
	if l.State != lottery.Open {
		seats := lottery.NewAllotter(l.Seats).Left()
		b.Entries, b.Seats, b.Root, b.SealedAt = &l.Count, &seats, hex.EncodeToString(l.Root[:]), &l.SealedAt
	}
	if l.Drawn() {
		witnessed = len(l.Signature) > 0
		b.Seed, b.Witnessed = hex.EncodeToString(l.Seed), &witnessed
	}
	if l.State == lottery.Done {
		b.Winners = &l.Winners
	}
	b.NoteZH, b.NoteEN = lottery.Note(witnessed)
	return b
}

type postLotteriesIn struct {
	Body struct {
		ScheduleIDs   []string `json:"schedule_ids" minItems:"1" maxItems:"200"`
		WindowSeconds int      `json:"window_seconds" minimum:"10" maximum:"600" doc:"From the release; 60 suits most"`
		Per           string   `json:"per,omitempty" enum:"person,account" doc:"person when empty"`
	}
}

func (s *Service) postLotteries(ctx context.Context, in *postLotteriesIn) (*out[list[lotteryBody]], error) {
	r := lottery.Announcement{Window: time.Duration(in.Body.WindowSeconds) * time.Second, Per: lottery.Per(in.Body.Per)}
	if r.Per == "" {
		r.Per = lottery.PerPerson
	}
	for _, text := range in.Body.ScheduleIDs {
		v, err := id.Parse[scheduling.Schedule](text)
		if err != nil {
			return nil, scheduling.ErrInput.At("schedule_ids", "UUIDs")
		}
		r.Schedules = append(r.Schedules, v)
	}
	made, err := s.openLotteries(ctx, r)
	if err != nil {
		return nil, err
	}
	o := &out[list[lotteryBody]]{list[lotteryBody]{Items: make([]lotteryBody, 0, len(made))}}
	for _, l := range made {
		o.Body.Items = append(o.Body.Items, lotteryOut(l, s.base.Clock.Now()))
	}
	return o, nil
}

func (s *Service) getLottery(ctx context.Context, in *idIn) (*out[lotteryBody], error) {
	lid, err := httpx.ID[scheduling.Schedule](in.ID)
	if err != nil {
		return nil, err
	}
	l, err := s.store.lottery(ctx, httpx.TenantOf(ctx), lid)
	if err != nil {
		return nil, err
	}
	return &out[lotteryBody]{lotteryOut(l, s.base.Clock.Now())}, nil
}

// receiptBody is the file of `xinglin lottery verify --receipt`.
type receiptBody struct {
	Format     string                        `json:"format"`
	Lottery    lottery.ID                    `json:"lottery"`
	Commitment string                        `json:"commitment"`
	WitnessKey string                        `json:"witness_key,omitempty"`
	Entry      id.ID[scheduling.Appointment] `json:"entry"`
	Nonce      string                        `json:"nonce"`
	Person     string                        `json:"person"`
	Group      string                        `json:"group"`
	Wishes     []lottery.SlotID              `json:"wishes"`
	Signature  string                        `json:"signature" doc:"Of the lottery's own key"`
}

type entryBody struct {
	ID            id.ID[scheduling.Appointment] `json:"id"`
	LotteryID     lottery.ID                    `json:"lottery_id"`
	PatientID     scheduling.PatientID          `json:"patient_id"`
	SlotIDs       []lottery.SlotID              `json:"slot_ids" doc:"In the order of preference; empty: any"`
	State         string                        `json:"state" enum:"waiting,won,lost,refused"`
	Rank          int                           `json:"rank,omitempty" doc:"From the draw on"`
	Of            int                           `json:"of,omitempty" doc:"Entries, from the seal on"`
	AppointmentID string                        `json:"appointment_id,omitempty" format:"uuid" doc:"When won"`
	Reason        string                        `json:"reason,omitempty" doc:"Code of the refusal"`
	Receipt       receiptBody                   `json:"receipt"`
	CreatedAt     time.Time                     `json:"created_at"`
}

func entryOut(e receipted) entryBody {
	r := e.Receipt
	b := entryBody{
		ID: e.ID, LotteryID: e.Lottery, PatientID: e.Patient, SlotIDs: e.WishList(), State: string(e.State), Rank: e.Rank, Of: e.Of, Reason: e.Reason,
		CreatedAt: e.CreatedAt, Receipt: receiptBody{
			r.Format, r.Lottery, hex.EncodeToString(r.Commitment[:]), hex.EncodeToString(r.WitnessKey), r.Entry, hex.EncodeToString(r.Nonce),
			hex.EncodeToString(r.Person[:]), hex.EncodeToString(r.Group[:]), e.WishList(), hex.EncodeToString(r.Signature),
		},
	}
	if e.State == lottery.EntryWon {
		b.AppointmentID = e.ID.String()
	}
	return b
}

type postEntryIn struct {
	ID   string `path:"id" format:"uuid"`
	Key  string `header:"Idempotency-Key" required:"true" doc:"The client's UUIDv7"`
	Body struct {
		PatientID string   `json:"patient_id" format:"uuid"`
		SlotIDs   []string `json:"slot_ids,omitempty" maxItems:"20" doc:"In the order of preference; empty: any, the earliest"`
	}
}

type postEntryOut struct {
	Hit  string `header:"Idempotency-Hit"`
	Body entryBody
}

func (s *Service) postEntry(ctx context.Context, in *postEntryIn) (*postEntryOut, error) {
	var r lottery.EntryRequest
	var err error
	if r.ID, err = httpx.Key[scheduling.Appointment](in.Key); err != nil {
		return nil, err
	}
	if r.Lottery, err = httpx.ID[scheduling.Schedule](in.ID); err != nil {
		return nil, err
	}
	if r.Patient, err = optional[patient.Patient](in.Body.PatientID); err != nil {
		return nil, err
	}
	for _, text := range in.Body.SlotIDs {
		w, err := id.Parse[scheduling.Slot](text)
		if err != nil {
			return nil, scheduling.ErrInput.At("slot_ids", "UUIDs")
		}
		r.Wishes = append(r.Wishes, w)
	}
	e, hit, err := s.enter(ctx, r)
	if err != nil {
		return nil, err
	}
	o := &postEntryOut{Body: entryOut(e)}
	if hit {
		o.Hit = "true"
	}
	return o, nil
}

func (s *Service) getEntries(ctx context.Context, in *idIn) (*out[list[entryBody]], error) {
	lid, err := httpx.ID[scheduling.Schedule](in.ID)
	if err != nil {
		return nil, err
	}
	_, found, err := s.ownEntries(ctx, lid)
	if err != nil {
		return nil, err
	}
	o := &out[list[entryBody]]{list[entryBody]{Items: make([]entryBody, 0, len(found))}}
	for _, e := range found {
		o.Body.Items = append(o.Body.Items, entryOut(e))
	}
	return o, nil
}

// getProof sends the file. It never changes, so caches in front may keep it.
func (s *Service) getProof(w http.ResponseWriter, r *http.Request) error {
	lid, err := httpx.ID[scheduling.Schedule](r.PathValue("id"))
	if err != nil {
		return err
	}
	file, err := s.proof(r.Context(), httpx.TenantOf(r.Context()), lid)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="lottery-`+lid.String()+`.json"`)
	h.Set("Content-Length", strconv.Itoa(len(file)))
	h.Set("Cache-Control", "public, max-age=86400")
	_, _ = w.Write(file) // the answer has begun
	return nil
}
