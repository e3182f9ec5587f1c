// Package money holds amounts in fen (1/100 yuan) as int64 and rates in basis
// points. There are no floats anywhere near money (archtest checks).
package money

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Fen is an amount in 1/100 yuan (CNY).
type Fen int64

// Rate is a share in basis points: 10,000 is the whole.
type Rate int32

// ErrRange is returned when a sum or product leaves int64, or a parsed amount is no amount.
var ErrRange = errors.New("amount out of range")

// String is yuan with two decimals: 25.00.
func (f Fen) String() string {
	sign := ""
	u := uint64(f)
	if f < 0 {
		sign, u = "-", uint64(-f)
	}
	return fmt.Sprintf("%s%d.%02d", sign, u/100, u%100)
}

// Parse reads yuan as people write it: 25, 25.5, 25.50, ¥25. Negative amounts and more
// than two decimals are refused.
func Parse(s string) (Fen, error) {
	s = strings.TrimPrefix(strings.TrimSpace(s), "¥")
	whole, frac, _ := strings.Cut(s, ".")
	if whole == "" || len(frac) > 2 || strings.ContainsAny(s, "+-eE ") || strings.HasSuffix(s, ".") {
		return 0, fmt.Errorf("%w: %q", ErrRange, s)
	}
	y, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || y > math.MaxInt64/100-1 {
		return 0, fmt.Errorf("%w: %q", ErrRange, s)
	}
	c := int64(0)
	if frac != "" {
		c, err = strconv.ParseInt((frac + "0")[:2], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%w: %q", ErrRange, s)
		}
	}
	return Fen(y*100 + c), nil
}

// Add refuses overflow.
func (f Fen) Add(g Fen) (Fen, error) {
	s := f + g
	if (s > f) != (g > 0) && g != 0 {
		return 0, ErrRange
	}
	return s, nil
}

// Split divides f by weights with the largest-remainder method: the parts sum to f
// exactly, ties go to the earlier part. Weights must be non-negative and not all zero.
func (f Fen) Split(weights []int64) ([]Fen, error) {
	var sum int64
	for _, w := range weights {
		if w < 0 || sum > math.MaxInt64-w {
			return nil, ErrRange
		}
		sum += w
	}
	if sum == 0 || f < 0 || (f > 0 && int64(f) > math.MaxInt64/sum) {
		return nil, ErrRange
	}
	parts := make([]Fen, len(weights))
	rest := make([]int64, len(weights))
	left := f
	for i, w := range weights {
		parts[i] = Fen(int64(f) * w / sum)
		rest[i] = int64(f) * w % sum
		left -= parts[i]
	}
	for ; left > 0; left-- {
		best := 0
		for i := range rest {
			if rest[i] > rest[best] {
				best = i
			}
		}
		parts[best]++
		rest[best] = -1
	}
	return parts, nil
}
