package peers_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/mta"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/sts"
)

// TestMTA sends a real message to each of the deliveries with the example MTA of
// engine/mta, and looks into Postfix's log: it arrives where it may go, over each
// method, and nothing but a conversation arrives where it must not.
func TestMTA(t *testing.T) {
	w := start(t)
	roots, err := pkix.LoadRoots(w.ca)
	if err != nil {
		t.Fatal(err)
	}
	anchors, err := anchor.Load(w.anchor)
	if err != nil {
		t.Fatal(err)
	}
	server, err := upstream.ParseServer(plainAddress)
	if err != nil {
		t.Fatal(err)
	}
	up, err := upstream.New(upstream.Config{Servers: []upstream.Server{server}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { up.Close() })
	resolver, err := dnssec.NewValidator(dnssec.ValidatorConfig{Upstream: up, Anchors: anchors})
	if err != nil {
		t.Fatal(err)
	}
	policies, err := sts.NewClient(sts.Config{Resolver: resolver, Roots: roots, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { policies.Close() })
	e, err := engine.New(engine.Config{Resolver: resolver, STS: policies, Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	client := &mta.Client{Engine: e, HELO: "out.sender.example"}
	for _, d := range deliveries {
		t.Run(d.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			from := d.name + "@sender.example"
			fate, err := client.Send(ctx, engine.Request{NextHop: d.name + ".test"}, mta.Message{
				From: from, To: []string{"rcpt@" + d.name + ".test"},
				Data: []byte("From: <" + from + ">\r\nSubject: " + d.name + "\r\n\r\nA real message.\r\n"),
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := fate.Action == engine.Delivered; got != d.want.Deliver {
				t.Fatalf("%s: %s; may be delivered: %v", fate.Action, explain.Text(fate.Reason), d.want.Deliver)
			}
			if bounced := d.want.Outcome == "bounced"; (fate.Action == engine.Bounce) != bounced {
				t.Errorf("%s, and the domain is %s", fate.Action, d.want.Outcome)
			}
			line := "from=<" + from + ">"
			if d.want.Deliver {
				w.postfix.WaitFor(t, "the message in Postfix's log", func(context.Context) error {
					if !strings.Contains(w.postfix.Output(), line) {
						return fmt.Errorf("no %s yet", line)
					}
					return nil
				})
				return
			}
			if strings.Contains(w.postfix.Output(), line) {
				t.Errorf("Postfix was given a message that must not go: %s", explain.Text(fate.Reason))
			}
		})
	}
}
