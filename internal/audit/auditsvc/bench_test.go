package auditsvc

import (
	"context"
	"testing"
	"time"

	"xinglin/internal/kernel/id"
	"xinglin/internal/platform/trail"
	"xinglin/internal/testkit"
	"xinglin/internal/testkit/apitest"
	"xinglin/internal/testkit/dbtest"
)

// BenchmarkCollect is what keeping an act costs behind the scenes: its row, its place in
// the log and the tree, in transactions of 500.
func BenchmarkCollect(b *testing.B) {
	for _, e := range dbtest.Engines {
		b.Run(string(e), func(b *testing.B) {
			srv := dbtest.Make(b, e, testkit.Sets(Describe())).Open(b)
			s, _ := New(testkit.Base(b, srv, Describe()))
			some := rows(apitest.Main, batch)
			n := 0
			for b.Loop() {
				b.StopTimer()
				for i := range some {
					some[i].ID = id.New[trail.Act](testkit.Start.Add(time.Duration(n) * time.Second))
				}
				n++
				b.StartTimer()
				if err := s.Collect(context.Background(), "shelf", some); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n*batch)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkInspect is what computing the log again costs.
func BenchmarkInspect(b *testing.B) {
	const size = 20_000
	for _, e := range dbtest.Engines {
		b.Run(string(e), func(b *testing.B) {
			srv := dbtest.Make(b, e, testkit.Sets(Describe())).Open(b)
			s, _ := New(testkit.Base(b, srv, Describe()))
			if err := s.Collect(context.Background(), "shelf", rows(apitest.Main, size)); err != nil {
				b.Fatal(err)
			}
			n := 0
			for b.Loop() {
				rep, err := s.Inspect(context.Background(), apitest.Main, Pins{})
				if err != nil || !rep.Clean() {
					b.Fatal(rep, err)
				}
				n++
			}
			b.ReportMetric(float64(n*size)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
