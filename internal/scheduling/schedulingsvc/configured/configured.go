// Package configured is what a tenant's configuration has of registration: the rules of booking.
package configured

import (
	"context"

	"xinglin/internal/kernel/auth"
	"xinglin/internal/platform/settings"
	"xinglin/internal/scheduling"
	"xinglin/internal/scheduling/bookingrules"
)

// Sections are made of how the rules are read (rules and version) and replaced.
func Sections(
	read func(context.Context, scheduling.TenantID) (scheduling.BookingRules, int64, error),
	set func(context.Context, scheduling.BookingRules, int64) (int64, error),
) []settings.Section {
	own := func(ctx context.Context) (scheduling.BookingRules, int64, error) {
		who, err := auth.From(ctx)
		if err != nil {
			return scheduling.BookingRules{}, 0, err
		}
		return read(ctx, who.Tenant)
	}
	return []settings.Section{settings.Of("scheduling.booking_rules", settings.Words{ZH: "预约规则", EN: "Rules of booking"},
		func(ctx context.Context) (scheduling.BookingRules, error) {
			r, _, err := own(ctx)
			return r, err
		},
		func(_ context.Context, r scheduling.BookingRules) error { return bookingrules.Check(r) },
		func(ctx context.Context, r scheduling.BookingRules) error {
			_, version, err := own(ctx)
			if err == nil {
				_, err = set(ctx, r, version)
			}
			return err
		},
	)}
}
