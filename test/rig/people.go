package rig

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
)

// LoginStaff logs an account of staff in. A one-time code is good once, so a second
// login of the same account waits for the next one.
func LoginStaff(t testing.TB, p *Process, host, username, totp string) *client.Client {
	t.Helper()
	c := client.New(p.URL)
	c.Host = host
	code, err := client.TOTP(totp, clock.System{}.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.LoginStaff(context.Background(), username, Password, code); err != nil {
		t.Fatalf("login of %s: %v", username, err)
	}
	return c
}

// Booker is one account with persons that it may book for.
type Booker struct {
	*client.Client
	Phone    string
	Patients []client.Patient
}

// stride is how many persons an account may have: so many invented people belong to one phone.
const stride = 10

// People makes accounts, each with so many persons, several at a time. from numbers the
// first person and phone, so that two calls make different people.
func (w *World) People(t testing.TB, p *Process, host string, from, accounts, persons int) []Booker {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	out := make([]Booker, accounts)
	Each(t, 16, accounts, func(i int) error {
		var err error
		out[i], err = w.person(ctx, p, host, from+i, (from+i)*stride, persons)
		return err
	})
	return out
}

func (w *World) person(ctx context.Context, p *Process, host string, phone, first, persons int) (Booker, error) {
	b := Booker{Client: client.New(p.URL), Phone: client.Phone(phone)}
	b.Host = host
	b.Address = fmt.Sprintf("10.%d.%d.%d", phone>>16&255, phone>>8&255, phone&255)
	if _, err := b.Login(ctx, b.Phone, w); err != nil {
		return b, fmt.Errorf("login of person %d: %w", phone, err)
	}
	for k := range persons {
		relationship := "other"
		if k == 0 {
			relationship = "self"
		}
		x, _, err := b.AddPerson(ctx, client.Adult(first+k, relationship))
		if err != nil {
			return b, fmt.Errorf("person %d: %w", first+k, err)
		}
		b.Patients = append(b.Patients, x)
	}
	return b, nil
}

// Each does n things, width at a time; the first errors fail the test.
func Each(t testing.TB, width, n int, do func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	gate := make(chan struct{}, width)
	errs := make(chan error, n)
	for i := range n {
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			if err := do(i); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	count := 0
	for err := range errs {
		if count++; count <= 5 {
			t.Error(err)
		}
	}
	if count > 0 {
		t.Fatalf("%d of %d failed", count, n)
	}
}

// Clinic is one doctor's session of a rota for tests.
type Clinic struct {
	Department string // 测试科 when empty
	Doctor     int    // another doctor for each number
	Day        clock.Date
	Session    string // 上午 when empty
	Seats      int
	Fee        string // yuan; "0" is free
}

const rotaHead = "院区,科室,医生,执业证号,职称,星期/日期,时段,号别,号源数,每号分钟,挂号费,开始时间,地点,起始日期,结束日期,类型,节假日,补班日,备注\n"

// Rota is a rota file with these sessions, each on its own date.
func Rota(cs ...Clinic) string {
	out := rotaHead
	starts := map[string]string{"上午": "08:00", "下午": "13:30", "晚上": "18:00"}
	for _, c := range cs {
		if c.Department == "" {
			c.Department = "测试科"
		}
		if c.Session == "" {
			c.Session = "上午"
		}
		out += fmt.Sprintf("本部院区,%s,测试%s,1103100%08d,副主任医师,%s,%s,普通,%d,5,%s,%s,1诊室,,,加诊,,,\n",
			c.Department, numeral(c.Doctor), c.Doctor, c.Day, c.Session, c.Seats, c.Fee, starts[c.Session])
	}
	return out
}

// Weekly is a rota file in which a doctor works each week in the morning, holidays too, from a day on.
func Weekly(doctor int, from clock.Date, seats int, fee string) string {
	weekday := []rune("日一二三四五六")[from.Weekday()]
	return rotaHead + fmt.Sprintf("本部院区,测试科,测试%s,1103100%08d,副主任医师,周%c,上午,普通,%d,5,%s,08:00,1诊室,%s,,出诊,照常,按星期,\n", numeral(doctor), doctor, weekday, seats, fee, from)
}

// Leave is a rota file in which such a doctor is away on a day.
func Leave(doctor int, day clock.Date) string {
	return rotaHead + fmt.Sprintf("本部院区,测试科,测试%s,1103100%08d,副主任医师,%s,全天,,,,,,,,,停诊,,,\n", numeral(doctor), doctor, day)
}

func numeral(n int) string {
	rs := []rune("零一二三四五六七八九")
	out := ""
	for _, d := range fmt.Sprint(n) {
		out += string(rs[d-'0'])
	}
	return out
}

// InDays is a day from today, Shanghai's calendar.
func InDays(n int) clock.Date { return clock.DateOf(clock.System{}.Now()).Add(n) }

// FindSchedules waits for the sessions of a department on a day and gives them.
func FindSchedules(t testing.TB, c *client.Client, department string, day clock.Date) []client.Schedule {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ds, err := c.Departments(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		if d.Name != department {
			continue
		}
		found, err := c.Schedules(ctx, d.ID, day.String(), day.String())
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			t.Fatalf("no session of %s on %s", department, day)
		}
		return found
	}
	t.Fatalf("no department %s", department)
	return nil
}
