package traffic

import (
	"context"
	"math/rand/v2"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/id"
)

// visitor is one person with an account.
type visitor struct {
	*House
	n       int
	c       *client.Client
	rnd     *rand.Rand
	patient string // oneself; "" before login
}

// wait is a pause; false when it is over for good.
func (v *visitor) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (v *visitor) percent(n int) bool { return v.rnd.IntN(100) < n }

// Phones is how the numbers of visitors begin, and of nobody else in the demo.
const Phones = "1390500"

// firstVisitor is the first of these numbers.
const firstVisitor = 5_000_000

// login is needed once a start.
func (v *visitor) login(ctx context.Context) error {
	if v.patient != "" {
		return nil
	}
	who := firstVisitor + v.n
	if _, err := v.c.Login(ctx, client.Phone(who), v.Inbox); err != nil {
		return err
	}
	have, err := v.c.Patients(ctx)
	if err != nil {
		return err
	}
	for _, p := range have {
		if p.Relationship == "self" {
			v.patient = p.ID
			return nil
		}
	}
	n := client.Adult(v.n*311, "self") // of all ages
	n.Name = v.name()
	p, _, err := v.c.AddPerson(ctx, n)
	v.patient = p.ID
	return err
}

// name is invented, and the same for a person each time.
func (v *visitor) name() string {
	family := []rune("王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎")
	given := []rune("伟芳敏静磊洋勇艳杰娟涛明超霞平刚桂英华玉兰建国秀珍海波晓燕志强雪梅春红文斌丽娜")
	rnd := rand.New(rand.NewPCG(v.Seed, uint64(v.n)^0xffff)) //nolint:gosec // a play
	out := []rune{family[rnd.IntN(len(family))], given[rnd.IntN(len(given))]}
	if rnd.IntN(4) > 0 {
		out = append(out, given[rnd.IntN(len(given))])
	}
	return string(out)
}

// first is what a person does at the opening.
func (v *visitor) first(ctx context.Context) (string, error) {
	if err := v.login(ctx); err != nil {
		return "login", err
	}
	if v.n < guests {
		return v.guest(ctx)
	}
	a, err := v.book(ctx, v.rnd.IntN(aweek+1))
	if err != nil || a.ID == "" {
		return "book", err
	}
	switch {
	case v.percent(7):
		return "let the hold run out", nil
	case v.percent(9):
		if a, err = v.pay(ctx, a); err != nil {
			return "pay", err
		}
		_, err := v.c.Cancel(ctx, a.ID, a.Version)
		return "cancel", err
	}
	_, err = v.pay(ctx, a)
	return "pay", err
}

// guests wait for the doctor whose session runs now, so that whoever tries the demo as that doctor has someone to call.
const guests = 8

func (v *visitor) guest(ctx context.Context) (string, error) {
	today := clock.DateOf(v.Clock.Now()).String()
	for _, d := range v.departments {
		found, err := v.c.Schedules(ctx, d.ID, today, today)
		if err != nil {
			return "look", err
		}
		for _, s := range found {
			if s.Practitioner != v.Spared || s.State != "open" {
				continue
			}
			a, _, err := v.c.Hold(ctx, v.key(), client.Wish{PatientID: v.patient, ScheduleID: s.ID, Any: true})
			if err != nil {
				return "book now", err
			}
			if _, err = v.pay(ctx, a); err != nil {
				return "pay", err
			}
			return "arrive", v.arrive(ctx, a.ID)
		}
	}
	return "look", nil
}

// arrive checks in; the line may not have heard of the booking yet.
func (v *visitor) arrive(ctx context.Context, appointment string) error {
	key := v.key()
	return client.Until(ctx, "the line", func(ctx context.Context) (bool, error) {
		err := v.c.CheckIn(ctx, appointment, key)
		return err == nil, orNil(err, client.StatusOf(err) == 404)
	})
}

func orNil(err error, drop bool) error {
	if drop {
		return nil
	}
	return err
}

// early is how long before the own time people come.
const early = 40 * time.Minute

// next is what a person does when the pause is over: what the visits to come ask for.
func (v *visitor) next(ctx context.Context) (string, error) {
	if err := v.login(ctx); err != nil {
		return "login", err
	}
	visits, err := v.c.Appointments(ctx)
	if err != nil {
		return "look", err
	}
	now := v.Clock.Now()
	today := clock.DateOf(now).String()
	coming := 0
	for _, a := range visits {
		switch {
		case a.State == "pending" && a.HoldExpires.After(now):
			if v.percent(15) {
				return "think", nil
			}
			_, err := v.pay(ctx, a)
			return "pay", err
		case a.State == "booked" && a.Date == today && a.StartsAt.Add(-early).Before(now) && now.Before(a.EndsAt):
			return "arrive", v.arrive(ctx, a.ID)
		case a.State == "booked" && a.Date > today:
			if coming++; a.Cancellable && v.percent(4) {
				_, err := v.c.Cancel(ctx, a.ID, a.Version)
				return "cancel", err
			}
		}
	}
	if coming >= 2 || v.percent(40) {
		return "look around", v.look(ctx)
	}
	_, err = v.book(ctx, v.rnd.IntN(2*aweek))
	return "book", err
}

// look is what most requests of a portal are: reading.
func (v *visitor) look(ctx context.Context) error {
	today := clock.DateOf(v.Clock.Now())
	d := v.departments[v.rnd.IntN(len(v.departments))]
	found, err := v.c.Schedules(ctx, d.ID, today.String(), today.Add(aweek).String())
	if err != nil || len(found) == 0 {
		return err
	}
	_, err = v.c.Slots(ctx, found[v.rnd.IntN(len(found))].ID)
	return err
}

// book holds the earliest number of a session about so many days ahead; without an id
// there was none.
func (v *visitor) book(ctx context.Context, ahead int) (a client.Appointment, err error) {
	day := clock.DateOf(v.Clock.Now()).Add(ahead)
	for range 4 { // departments
		d := v.departments[v.rnd.IntN(len(v.departments))]
		found, err := v.c.Schedules(ctx, d.ID, day.String(), day.Add(2).String())
		if err != nil {
			return a, err
		}
		v.rnd.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
		for _, s := range found {
			if s.State != "open" || s.Remaining == 0 {
				continue
			}
			a, _, err = v.c.Hold(ctx, v.key(), client.Wish{PatientID: v.patient, ScheduleID: s.ID, Any: true})
			if client.StatusOf(err) != 409 { // full meanwhile, or against a rule: another one
				return a, err
			}
		}
	}
	return client.Appointment{}, nil
}

// pay pays at the simulator and waits for the ticket.
func (v *visitor) pay(ctx context.Context, a client.Appointment) (client.Appointment, error) {
	if a.FeeFen == 0 {
		return a, nil
	}
	return v.c.Pay(ctx, a)
}

// key is an Idempotency-Key by the server's clock.
func (h *House) key() string { return id.New[id.Any](h.Clock.Now()).String() }
