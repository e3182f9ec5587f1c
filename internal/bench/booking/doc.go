// Package booking measures how fast seats are sold and proves in the same run that
// they were sold rightly: `xinglin bench booking`. Every server is a process of this
// binary with the product's own wiring, in which only the way to take a seat differs;
// a closed-loop generator visits the idle servers in turn, and ratios are taken per
// round, because a shared machine drifts by more than the differences that count.
//
// The figures are floats: they are measurements, never money, seats or doses.
package booking
