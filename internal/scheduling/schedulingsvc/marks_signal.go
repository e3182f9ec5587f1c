package schedulingsvc

import (
	"context"
	"encoding/json"
	"time"

	"xinglin/internal/platform/obs"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/soldout"
)

// freeSignal says where a seat came free.
type freeSignal struct {
	Tenant   scheduling.TenantID `json:"t"`
	Schedule scheduleID          `json:"s"`
}

// freeTopic: a session may have seats again; sold-out marks of all processes go.
const freeTopic = "scheduling.free"

// signalFree clears the mark here at once, so that who learns of the seat can have it, and
// tells the other processes; what gets lost ends after a second.
func (s *Service) signalFree(ctx context.Context, t scheduling.TenantID, schedule scheduleID) {
	s.marks.Clear(soldout.Key{Tenant: t, Schedule: schedule})
	if s.base.Signals == nil {
		return
	}
	data, err := json.Marshal(freeSignal{t, schedule})
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = s.base.Signals.Signal(ctx, freeTopic, data)
	}
	if err != nil {
		obs.Log(ctx).Debug("scheduling: a free signal was not sent")
	}
}

// hearFree listens to the other processes' free seats.
func (s *Service) hearFree() (stop func(), err error) {
	if s.base.Signals == nil {
		return func() {}, nil
	}
	return s.base.Signals.OnSignal(freeTopic, func(data []byte) {
		var v freeSignal
		if json.Unmarshal(data, &v) == nil {
			s.marks.Clear(soldout.Key{Tenant: v.Tenant, Schedule: v.Schedule})
		}
	})
}
