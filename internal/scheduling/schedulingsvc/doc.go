// Package schedulingsvc is the behaviour of registration: the use cases over the packages
// beside it (bookingrules, rotaplan, rotafile, seatview, seatboard, soldout, labels, lottery).
//
// Locks (store_lock.go). Whoever takes or gives back a seat, or moves an appointment, takes
// the lock of its session first and reads again under it. Locks are taken in the order
// person, session, slot, appointment. Constraints and conditional writes hold the
// invariants even without it.
package schedulingsvc
