package lottery

import "testing"

// BenchmarkDraw is one draw of the proof in the issue: 100 bots with 100 requests each,
// 1,900 people, 40 seats.
func BenchmarkDraw(b *testing.B) {
	d := Play{People: 1900, Bots: 100, BotRequests: 100, AccountsPerBot: 1, Seats: 40, Draws: 10}.desk()
	for i := range b.N {
		d.draw(int64(i))
	}
}
