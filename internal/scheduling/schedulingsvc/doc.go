// Package schedulingsvc is the behaviour of registration: decisions as pure
// functions (state, release, limits, cut-offs, numbers), and the use cases over them and
// over the packages beside it (rotaplan, rotafile, seatview).
//
// Locks. The row of a schedule is the lock of its session: whoever takes or gives back
// a seat, or moves an appointment, locks it first and reads again under it. Locks are
// taken in the order person, schedule, slot, appointment. Constraints and conditional
// writes hold the invariants even without it.
package schedulingsvc
