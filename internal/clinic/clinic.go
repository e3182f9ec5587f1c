// Package clinic runs the waiting line of a session (候诊叫号): a booked person checks
// in, waits, is called into the room, and is seen or missed; walls show who is called.
package clinic
