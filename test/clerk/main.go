// Command clerk does the main job of the product once, through the API of a running
// server: log in, book, pay at the simulator, cancel, refund; and prints how long each
// step took. On a demo:
//
//	go run ./test/clerk --base http://127.0.0.1:8080
//
// On another installation the texts come from the SMS simulator's signed inbox.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"xinglin/internal/demo/client"
	"xinglin/internal/kernel/clock"
	"xinglin/internal/kernel/secret"
	"xinglin/internal/platform/config"
	"xinglin/internal/platform/sms/signed"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "clerk:", err)
		os.Exit(1)
	}
}

func run() error {
	base := flag.String("base", "http://127.0.0.1:8080", "public address of the server")
	person := flag.Int("person", int(clock.System{}.Now().Unix()%1_000_000), "which invented person")
	days := flag.Int("days", 7, "how many days ahead to look")
	smsURL := flag.String("sms-url", "", "the SMS simulator; the demo's inbox when empty")
	keyID := flag.String("sms-key-id", "", "key id at the SMS simulator")
	key := flag.String("sms-key", "", "reference of the key: file:PATH or env:NAME")
	flag.Parse()
	var in client.Inbox = client.DemoInbox{Client: client.New(*base)}
	if *smsURL != "" {
		raw, err := config.Secret(*key)
		if err != nil {
			return err
		}
		c, err := signed.NewClient(signed.Options{
			URL: *smsURL, Key: signed.Key{ID: *keyID, Secret: secret.New(strings.TrimSpace(string(raw)))}, Clock: clock.System{},
		})
		if err != nil {
			return err
		}
		defer c.Close()
		in = inbox{c}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	steps, err := client.Walk(ctx, *base, in, *person, *days)
	for _, s := range steps {
		fmt.Printf("%-14s %8s  %s\n", s.Name, s.Took.Round(time.Millisecond), s.Note)
	}
	return err
}

// inbox is the simulator's, over its signed door.
type inbox struct{ c *signed.Client }

// Texts implements client.Inbox.
func (i inbox) Texts(ctx context.Context, phone string) ([]string, error) {
	var list struct {
		Messages []struct {
			Phone string `json:"phone"`
			Text  string `json:"text"`
		} `json:"messages"`
	}
	if err := i.c.Do(ctx, http.MethodGet, "/inbox?limit=100", nil, &list); err != nil {
		return nil, err
	}
	var out []string
	for _, m := range list.Messages {
		if strings.TrimPrefix(m.Phone, "+86") == phone {
			out = append(out, m.Text)
		}
	}
	return out, nil
}
