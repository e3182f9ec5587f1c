package scheduling

import (
	"time"

	"xinglin/internal/kernel/fault"
	"xinglin/internal/kernel/id"
)

// A schedule may be released by lottery (放号抽签): who enters within the window has the
// same chance, however fast and however often he asks. internal/scheduling/lottery has
// the arithmetic, docs/adr/0015-lottery.md the reasons. Other contexts see only the
// appointments that come of it.

// LotteryState is the state of a lottery.
type LotteryState string

// The states of a lottery.
const (
	LotteryOpen   LotteryState = "open"   // announced, and entries are taken within the window
	LotterySealed LotteryState = "sealed" // nobody can enter any more; the list's root is fixed
	LotteryDrawn  LotteryState = "drawn"  // the seed is shown, the ranks are known
	LotteryDone   LotteryState = "done"   // the seats are given; what is left is on ordinary sale
)

// EntryState is what an entrant sees.
type EntryState string

// The states of an entry.
const (
	EntryWaiting EntryState = "waiting"
	EntryWon     EntryState = "won"     // a hold or booking under the entry's id
	EntryLost    EntryState = "lost"    // no wished seat was left at its rank
	EntryRefused EntryState = "refused" // the rules of booking refused the seat
)

// Limits of a lottery.
const (
	MinLotteryWindow   = 10 * time.Second
	MaxLotteryWindow   = 10 * time.Minute
	LotteryNotice      = time.Minute // announced at least so long before the release
	MaxLotteries       = 200         // in one request
	MaxLotteryEntries  = 100_000
	LotteryHoldMinutes = 30 // winners have at least so long to pay
)

// LotteryRequest asks to release schedules by lottery (operator).
type LotteryRequest struct {
	Schedules []id.ID[Schedule]
	Window    time.Duration // from the release, whole seconds
	Per       string        // person or account, see lottery.Per
}

// EntryRequest enters a person.
type EntryRequest struct {
	ID      id.ID[Appointment] // the caller's UUIDv7; the appointment has it when the entry wins
	Lottery id.ID[Schedule]
	Patient PatientID
	Wishes  []id.ID[Slot] // at most 20, in the order of preference; none: any, the earliest
}

// Refusals of lotteries.
var (
	ErrLotteryOpen     = fault.Register(fault.Conflict, "scheduling.lottery_open", "该号源正在抽签放号，抽签结束后可预约剩余号源", "These numbers are released by lottery; what is left can be booked after the draw")
	ErrLotteryClosed   = fault.Register(fault.Conflict, "scheduling.lottery_closed", "抽签报名已结束", "The lottery takes no more entries")
	ErrLotteryLate     = fault.Register(fault.Conflict, "scheduling.lottery_late", "放号前一分钟内或放号后不能再改为抽签", "A lottery is announced at least a minute before the release")
	ErrLotteryExists   = fault.Register(fault.Conflict, "scheduling.lottery_exists", "该号源已设置为抽签，且规则不同", "There is a lottery with other rules for this schedule")
	ErrLotteryFull     = fault.Register(fault.Conflict, "scheduling.lottery_full", "抽签报名人数已达上限", "The lottery has reached its number of entries")
	ErrLotteryEntered  = fault.Register(fault.Conflict, "scheduling.lottery_entered", "该就诊人或该账号已报名", "This person, or this account, has entered already")
	ErrLotteryNotDrawn = fault.Register(fault.Conflict, "scheduling.lottery_not_drawn", "抽签尚未结束", "The lottery is not over yet")
)
