package script

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/platform/db"
	"xinglin/internal/scheduling/rotagen"
	"xinglin/test/rig"
)

// channel pay PAYMENT, channel faults JSON: the other side of WeChat Pay.
func channel(ts *testscript.TestScript, neg bool, args []string) {
	c := client.Channel{Base: ts.Getenv("PAYSIM")}
	if neg || len(args) != 2 || c.Base == "" {
		ts.Fatalf("usage: channel pay PAYMENT | channel faults JSON, with a demo that serves")
	}
	switch args[0] {
	case "pay":
		ts.Check(c.Pay(context.Background(), args[1]))
	case "faults":
		ts.Check(c.Faults(context.Background(), args[1]))
	case "replay": // the last callback about a payment again, byte by byte
		ds, err := c.Deliveries(context.Background(), args[1])
		ts.Check(err)
		if len(ds) == 0 {
			ts.Fatalf("no callback about %s", args[1])
		}
		d := ds[len(ds)-1]
		hs := []client.Header{{Name: "Origin"}}
		for k, v := range d.Headers {
			hs = append(hs, client.Header{Name: k, Value: v})
		}
		s := on(ts)
		s.last, err = client.New(s.server(ts, "main").URL).Raw(context.Background(), "POST", "/callbacks/wechatpay", d.Body, hs...)
		ts.Check(err)
	default:
		ts.Fatalf("channel %s", args[0])
	}
}

// sql DIR/db/CONTEXT.db STATEMENT...: statements in one transaction, without CHECKs, as a
// broken program or a bad disk would. A SELECT prints its first column.
func sql(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sql DIR/db/CONTEXT.db STATEMENT...")
	}
	file := ts.MkAbs(args[0])
	if _, err := os.Stat(file); err != nil {
		ts.Fatalf("%v", err)
	}
	owner := strings.TrimSuffix(filepath.Base(file), ".db")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	o := db.Options{Dir: filepath.Dir(filepath.Dir(file)), Readers: 1}
	err := rig.Transact(ctx, o, owner, rig.Tenant{}, true, func(ctx context.Context, tx db.Tx) error {
		if _, err := tx.Exec(ctx, "PRAGMA ignore_check_constraints = ON"); err != nil {
			return err
		}
		for _, text := range args[1:] {
			if err := statement(ctx, ts, tx, text); err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
		}
		return nil
	})
	ts.Check(err)
}

// stored DIR/db/CONTEXT.db VALUE SELECT reads until the first row's first column is the value, at most as long as until:
// for what a context hears of another and no answer shows.
func stored(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: stored DIR/db/CONTEXT.db VALUE SELECT")
	}
	file := ts.MkAbs(args[0])
	owner := strings.TrimSuffix(filepath.Base(file), ".db")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var got string
	err := client.Until(ctx, args[2], func(ctx context.Context) (bool, error) {
		err := rig.Transact(ctx, db.Options{Dir: filepath.Dir(filepath.Dir(file)), Readers: 1}, owner, rig.Tenant{}, false, func(ctx context.Context, tx db.Tx) error {
			return tx.QueryRow(ctx, args[2]).Scan(&got)
		})
		return got == args[1], err
	})
	if err != nil {
		ts.Fatalf("%v (it is %q)", err, got)
	}
}

func statement(ctx context.Context, ts *testscript.TestScript, tx db.Tx, text string) error {
	if !strings.HasPrefix(text, "SELECT") {
		n, err := tx.Exec(ctx, text)
		if err == nil && n == 0 && !strings.HasPrefix(text, "DROP") && !strings.HasPrefix(text, "ALTER") && !strings.HasPrefix(text, "CREATE") {
			err = fmt.Errorf("no row was changed")
		}
		return err
	}
	rows, err := tx.Query(ctx, text)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var v any
		if err := rows.Scan(&v); err != nil {
			return err
		}
		if b, ok := v.([]byte); ok {
			v = string(b)
		}
		fmt.Fprintln(ts.Stdout(), v)
	}
	return rows.Err()
}

// rota FILE [rows=N] [errors] [gbk]: a hospital's rota from Monday of this week.
func rota(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: rota FILE [rows=N] [errors] [gbk] [xlsx]")
	}
	today := clock.DateOf(clock.System{}.Now())
	o := rotagen.Options{Seed: 11, From: today.Add(-(int(today.Weekday()) + 6) % 7), Rows: 420}
	book := false
	for _, a := range args[1:] {
		switch name, value, _ := strings.Cut(a, "="); name {
		case "rows":
			n, err := strconv.Atoi(value)
			ts.Check(err)
			o.Rows = n
		case "errors":
			o.Errors = true
		case "gbk":
			o.GBK = true
		case "xlsx":
			book = true
		default:
			ts.Fatalf("rota: %s", a)
		}
	}
	var b bytes.Buffer
	_, err := rotagen.Write(&b, o)
	ts.Check(err)
	file := b.Bytes()
	if book {
		file = rig.Workbook(on(ts).tb, b.String())
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), file, 0o600))
}

// clinic FILE DOCTOR DAY SEATS FEE [weekly]: a rota with one session, DAY as YYYY-MM-DD, or with one each week.
// clinic FILE DOCTOR DAY leave: a rota in which the doctor is away on that day.
func clinic(ts *testscript.TestScript, neg bool, args []string) {
	away := len(args) == 4 && args[3] == "leave"
	weekly := len(args) == 6 && args[5] == "weekly"
	if neg || len(args) != 5 && !away && !weekly {
		ts.Fatalf("usage: clinic FILE DOCTOR DAY SEATS FEE [weekly], or clinic FILE DOCTOR DAY leave")
	}
	doctor, err := strconv.Atoi(args[1])
	ts.Check(err)
	var day clock.Date
	ts.Check(day.UnmarshalText([]byte(args[2])))
	text := ""
	if away {
		text = rig.Leave(doctor, day)
	} else {
		seats, err := strconv.Atoi(args[3])
		ts.Check(err)
		text = rig.Rota(rig.Clinic{Doctor: doctor, Day: day, Seats: seats, Fee: args[4]})
		if weekly {
			text = rig.Weekly(doctor, day, seats, args[4])
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// fresh NAME sets a variable to a new UUIDv7.
func fresh(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fresh NAME")
	}
	ts.Setenv(args[0], client.NewKey())
}
