package bookingrules

import (
	"fmt"
	"math/bits"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
)

// Numbers. Decision: a seat bitmap on the slot, not a counter on the schedule. The
// number within the session belongs to the seat (slot.first + seat index), so numbers
// follow the clock of the session, are never given twice, and a returned seat brings
// its number back instead of leaving a hole. A counter (last_number + 1) would number
// by order of booking and leave a hole at every cancellation; count()+1 gives one
// number twice.
//
// A seat that waits for its delayed return keeps its bit. TakeSeat and ReturnSeat are the
// arithmetic; full_mask is FullMask(capacity), set when the slot is made.

// FullMask has a bit for each seat; capacity is 0..MaxSlotSeats.
func FullMask(capacity int) int64 { return 1<<capacity - 1 }

// TakeSeat takes the lowest free seat; ok is false when the slot is full.
func TakeSeat(taken, full int64) (after, bit int64, ok bool) {
	if taken == full {
		return taken, 0, false
	}
	return taken | (taken + 1), ^taken & (taken + 1), true
}

// ReturnSeat frees a seat; ok is false when it was free already.
func ReturnSeat(taken, bit int64) (after int64, ok bool) {
	if taken&bit == 0 {
		return taken, false
	}
	return taken &^ bit, true
}

// SeatOf is the seat index of a bit.
func SeatOf(bit int64) int { return bits.TrailingZeros64(uint64(bit)) }

// BitOf is the bit of a seat index.
func BitOf(seat int) int64 { return 1 << seat }

// NumberOf is the number within the session of a slot's seat.
func NumberOf(first, seat int) int { return first + seat }

// RegNo is the registration number for people: the day of the visit and 40 bits of the
// appointment's random part. The store keeps it unique.
func RegNo(a id.ID[scheduling.Appointment], day clock.Date) string {
	y, m, d := day.Parts()
	return fmt.Sprintf("REG-%02d%02d%02d-%s", y%100, int(m), d, a.Tail())
}
