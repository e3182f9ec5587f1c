package clinicsvc

import (
	"xinglin/internal/clinic"
	"xinglin/internal/platform/state"
)

// What moves a turn.
const (
	byCheckIn = "check_in"
	byCall    = "call"
	byRecall  = "recall"
	byMiss    = "skip"
	byBack    = "come_back"
	byFinish  = "finish"
	byCancel  = "cancelled"
)

// turns is the life of a turn. The store makes each step conditional on the state it
// comes from, under the lock of the line.
var turns = state.Machine[clinic.State]{
	Noun: "Turn", Initial: clinic.Expected,
	Steps: []state.Step[clinic.State]{
		{From: clinic.Expected, To: clinic.Waiting, By: byCheckIn, Guard: "within the window, or by the desk on the day"},
		{From: clinic.Waiting, To: clinic.Called, By: byCall, Guard: "the next by turnorder, nobody else is called"},
		{From: clinic.Called, To: clinic.Called, By: byRecall},
		{From: clinic.Called, To: clinic.Missed, By: byMiss},
		{From: clinic.Missed, To: clinic.Waiting, By: byBack, Guard: "twice by themselves, by the desk always"},
		{From: clinic.Called, To: clinic.Done, By: byFinish, Guard: "by a key of its own or by the next call"},
		{From: clinic.Expected, To: clinic.Gone, By: byCancel},
		{From: clinic.Waiting, To: clinic.Gone, By: byCancel},
		{From: clinic.Called, To: clinic.Gone, By: byCancel},
		{From: clinic.Missed, To: clinic.Gone, By: byCancel},
	},
}
