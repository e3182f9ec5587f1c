package privacysvc

import (
	"xinglin/internal/platform/state"
	"xinglin/internal/privacy"
)

// requests is the life of a request. A copy or transfer begins at working: nobody has to decide about it.
var requests = state.Machine[privacy.State]{
	Noun: "Request", Initial: privacy.Open,
	Steps: []state.Step[privacy.State]{
		{From: privacy.Open, To: privacy.Cancelled, By: "privacy.cancel_request"},
		{From: privacy.Open, To: privacy.Refused, By: "privacy.decide_request", Guard: "with a reason"},
		{From: privacy.Open, To: privacy.Done, By: "privacy.decide_request", Guard: "a correction, after it was made; an objection, with its answer"},
		{From: privacy.Open, To: privacy.Working, By: "privacy.decide_request", Guard: "an erasure without unfinished business"},
		{From: privacy.Working, To: privacy.Ready, By: "privacy.make_copy"},
		{From: privacy.Working, To: privacy.Done, By: "privacy.erase", Guard: "the key is destroyed"},
		{From: privacy.Ready, To: privacy.Done, By: "privacy.take_copy", Guard: "once"},
		{From: privacy.Ready, To: privacy.Expired, By: "timer", Guard: "seven days"},
		{From: privacy.Open, To: privacy.Expired, By: "privacy.erase", Guard: "another request of the person who was erased"},
		{From: privacy.Working, To: privacy.Expired, By: "privacy.erase", Guard: "another request of the person who was erased"},
		{From: privacy.Ready, To: privacy.Expired, By: "privacy.erase", Guard: "another request of the person who was erased"},
	},
}
