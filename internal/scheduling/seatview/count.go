package seatview

import (
	"strconv"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/scheduling"
)

// Count is what the live stream shows of a session. Of two counts the one with the higher
// version is the newer.
type Count struct {
	Schedule  ScheduleID
	Version   int64
	Remaining int
	Slots     []SlotLeft // by their start
	At        time.Time
}

// SlotLeft is a slot's free seats.
type SlotLeft struct {
	ID        id.ID[scheduling.Slot]
	Remaining int
}

// Event is the count as every reader gets it: a server-sent event of JSON.
func (c Count) Event() []byte {
	b := make([]byte, 0, 160+len(c.Slots)*44)
	b = append(b, `event: count`+"\n"+`data: {"schedule_id":"`...)
	b = append(b, c.Schedule.String()...)
	b = append(b, `","remaining":`...)
	b = strconv.AppendInt(b, int64(c.Remaining), 10)
	b = append(b, `,"slots":{`...)
	for i, s := range c.Slots {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), s.ID.String()...), `":`...)
		b = strconv.AppendInt(b, int64(s.Remaining), 10)
	}
	b = append(b, `},"at":"`...)
	b = c.At.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, "\"}\n\n"...)
}
