package proof

import (
	"context"
	"sync"
	"testing"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
	"xinglin/test/rig"
)

// TestSharedChild: two accounts that share a child race for the same department and day
// at two doctors; the child has one booking, day after day.
func TestSharedChild(t *testing.T) {
	const days = 5
	w := rig.NewWorld(t, rig.SQLite)
	var rota []rig.Clinic
	for d := range days {
		for doctor := 1; doctor <= 2; doctor++ {
			rota = append(rota, rig.Clinic{Doctor: doctor, Day: rig.InDays(2 + d), Seats: 10, Fee: "0"})
		}
	}
	w.Import(t, rig.Rota(rota...))
	p := w.Serve(t)
	parents := w.People(t, p, "", 0, 2, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	child := shareChild(ctx, t, w, parents[0], parents[1])
	for d := range days {
		day := rig.InDays(2 + d)
		at := rig.FindSchedules(t, parents[0].Client, "测试科", day)
		var got [2]client.Appointment
		var errs [2]error
		var both sync.WaitGroup
		start := make(chan struct{})
		for i := range 2 {
			both.Go(func() {
				<-start
				got[i], _, errs[i] = parents[i].Hold(ctx, client.NewKey(), client.Wish{PatientID: child, ScheduleID: at[i].ID, Any: true})
			})
		}
		close(start)
		both.Wait()
		won, lost := 0, 0
		for i := range 2 {
			switch {
			case errs[i] == nil && got[i].State == "booked":
				won++
			case client.CodeOf(errs[i]) == "scheduling.limit_reached":
				lost++
			default:
				t.Errorf("%s: %s %v", day, got[i].State, errs[i])
			}
		}
		if won != 1 || lost != 1 {
			t.Errorf("%s: %d booked, %d refused; want one each", day, won, lost)
		}
	}
	w.Verify(t)
}

// shareChild links one child to both accounts: the second proves it with a code sent to
// the phone on file.
func shareChild(ctx context.Context, t *testing.T, w *rig.World, first, second rig.Booker) string {
	t.Helper()
	person := client.Child(7, clock.System{}.Now())
	person.Phone = client.Phone(9_000_000) // the mother's, who is neither of them
	mine, _, err := first.AddPerson(ctx, person)
	if err != nil {
		t.Fatalf("the first adds the child: %v", err)
	}
	_, claim, err := second.AddPerson(ctx, person)
	if err != nil {
		t.Fatalf("the second adds the child: %v", err)
	}
	if claim.ClaimID == "" || claim.Proof != "phone_code" {
		t.Fatalf("the second got %+v, want a claim by phone code", claim)
	}
	code, err := client.ReadCode(ctx, w, person.Phone, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Prove(ctx, claim.ClaimID, wrong(code)); client.CodeOf(err) != "patient.proof_wrong" {
		t.Errorf("a wrong code: %v", err)
	}
	theirs, err := second.Prove(ctx, claim.ClaimID, code)
	if err != nil {
		t.Fatalf("proof: %v", err)
	}
	if theirs.ID != mine.ID {
		t.Fatalf("two patients for one child: %s and %s", mine.ID, theirs.ID)
	}
	return mine.ID
}

// wrong is another code.
func wrong(code string) string {
	b := []byte(code)
	b[5] = '0' + (b[5]-'0'+1)%10
	return string(b)
}
