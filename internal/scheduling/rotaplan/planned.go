package rotaplan

import (
	"time"

	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
)

// Session is a session that the rota plans. Exactly one of Rule and Exception is set.
type Session struct {
	Rule      id.ID[scheduling.RotaRule]
	Exception id.ID[scheduling.Exception]
	Date      clock.Date
	Duty      scheduling.Duty
	StartsAt  time.Time
	EndsAt    time.Time // the end of the last slot
	Slots     []Slot
}

// Slot is a period with its seats; First is the number of its first seat.
type Slot struct {
	StartsAt, EndsAt time.Time
	First            int
	Capacity         int
}
