package schedulingsvc

import (
	"xinglin/internal/platform/state"
	"xinglin/internal/scheduling"
)

// What moves an appointment.
const (
	byHold   = "hold"
	byPaid   = "paid"
	byExpire = "expire"
	byCancel = "cancel"
	byStop   = "stop"
	byArrive = "arrive"
	byFinish = "finish"
	byMiss   = "miss"
)

// appointments is the life of an appointment. The decisions of bookingrules check the
// guards; the store makes each step conditional on the state it comes from.
var appointments = state.Machine[scheduling.State]{
	Noun: "Appointment", Initial: scheduling.Pending,
	Steps: []state.Step[scheduling.State]{
		{From: scheduling.Pending, To: scheduling.Booked, By: byHold, Guard: "fee = 0, in the transaction of the hold"},
		{From: scheduling.Pending, To: scheduling.Booked, By: byPaid, Guard: "the amount is the fee, the session is not stopped"},
		{From: scheduling.Pending, To: scheduling.Cancelled, By: byPaid, Guard: "otherwise: refund"},
		{From: scheduling.Cancelled, To: scheduling.Booked, By: byPaid, Guard: "cancelled by expiry, slot to come, seat and limit key free; otherwise it stays and the payment goes back"},
		{From: scheduling.Pending, To: scheduling.Cancelled, By: byExpire, Guard: "the hold's time is over"},
		{From: scheduling.Pending, To: scheduling.Cancelled, By: byCancel},
		{From: scheduling.Booked, To: scheduling.Cancelled, By: byCancel, Guard: "before the cut-off, unless by staff"},
		{From: scheduling.Pending, To: scheduling.Cancelled, By: byStop},
		{From: scheduling.Booked, To: scheduling.Cancelled, By: byStop, Guard: "full refund"},
		{From: scheduling.Arrived, To: scheduling.Cancelled, By: byStop, Guard: "full refund"},
		{From: scheduling.Booked, To: scheduling.Arrived, By: byArrive, Guard: "clinic: checked in"},
		{From: scheduling.Arrived, To: scheduling.Fulfilled, By: byFinish, Guard: "clinic: seen"},
		{From: scheduling.Booked, To: scheduling.Fulfilled, By: byFinish, Guard: "heard before the check-in, which then changes nothing"},
		{From: scheduling.Booked, To: scheduling.NoShow, By: byMiss, Guard: "the session was held and is over for as long as the rules say"},
		{From: scheduling.NoShow, To: scheduling.Arrived, By: byArrive, Guard: "heard late; it no longer counts against the person"},
		{From: scheduling.NoShow, To: scheduling.Fulfilled, By: byFinish, Guard: "heard late; it no longer counts against the person"},
	},
}
