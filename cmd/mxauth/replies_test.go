package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/store"
)

// repliesFile has the answers to mail servers for each world of the lab.
const repliesFile = "testdata/replies.txt"

// besides are shapes that no world of the lab has: a host with DANE beside one that only
// MTA-STS protects, and hosts that an exception covers, all or some.
var besides = []lab.World{
	{
		Name: "mixed-methods", Domain: "mixed-methods.test", About: "DANE at one host, MTA-STS at the other",
		Zones: []lab.Zone{{Apex: "mixed-methods.test"}},
		STS:   &lab.STS{Mode: "enforce", MX: []string{"*.mixed-methods.test"}},
		Hosts: []lab.Host{{Name: "mx1.mixed-methods.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}}, {Name: "mx2.mixed-methods.test", Pref: 20}},
		Want:  lab.Want{Outcome: "authenticated"},
	},
	{
		Name: "excepted-all", Domain: "excepted-all.test", About: "TLSA records do not match, and an exception says encrypt",
		Zones: []lab.Zone{{Apex: "excepted-all.test"}},
		Hosts: []lab.Host{{Name: "mx.excepted-all.test", Pref: 10, TLSA: []string{"3 1 1 other"}}},
		Want:  lab.Want{Outcome: "encrypted"},
	},
	{
		Name: "excepted-some", Domain: "excepted-some.test", About: "the same for one of two hosts",
		Zones: []lab.Zone{{Apex: "excepted-some.test"}},
		Hosts: []lab.Host{{Name: "mx1.excepted-some.test", Pref: 10, TLSA: []string{"3 1 1 other"}}, {Name: "mx2.excepted-some.test", Pref: 20, TLSA: []string{"3 1 1 leaf"}}},
		Want:  lab.Want{Outcome: "encrypted"},
	},
}

// exceptedHosts are the exceptions of those worlds.
func exceptedHosts(t *testing.T) *exception.Set {
	t.Helper()
	var list []exception.Exception
	for _, h := range []string{"mx.excepted-all.test", "mx1.excepted-some.test"} {
		list = append(list, exception.Exception{ID: h, Domain: "*", MXHost: h, Effect: exception.EffectEncrypt, Reason: "test", Author: "test", Ends: time.Now().Add(time.Hour)})
	}
	set, err := exception.NewSet(list)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// planWorld makes the plan of a world as the demo does, without connecting to a mail host.
func (d *demo) planWorld(ctx context.Context, w lab.World, x *exception.Set, timeout time.Duration) (*engine.Plan, mtapolicy.Options, error) {
	var o mtapolicy.Options
	known, err := d.prime(ctx, w)
	if err != nil {
		return nil, o, err
	}
	kept, err := store.NewMemory(store.MemoryConfig{Now: d.e.now})
	if err != nil {
		return nil, o, err
	}
	defer kept.Close()
	if err := store.PutAll(ctx, kept, known); err != nil {
		return nil, o, err
	}
	config, err := d.config(w, kept, d.e.now, demoPatience)
	if err != nil {
		return nil, o, err
	}
	config.Timeout, config.Exceptions = timeout, func() *exception.Set { return x }
	c, err := mxauth.New(config)
	if err != nil {
		return nil, o, err
	}
	defer c.Close()
	o.HoldTLS = config.Memory != nil && config.Memory.Action == memory.Defer
	p, err := c.Plan(ctx, requestOf(w))
	return p, o, err
}

// repliesOf are the lines of a world: what each form says.
func repliesOf(w lab.World, p *engine.Plan, o mtapolicy.Options, err error) string {
	if err != nil {
		return fmt.Sprintf("%s: no plan\n", w.Name)
	}
	var b strings.Builder
	for i, form := range []mtapolicy.Form{mtapolicy.Plain, mtapolicy.Extended, mtapolicy.Sendmail} {
		o.Form = form
		r, err := mtapolicy.Postfix(p, o)
		if errors.Is(err, mtapolicy.ErrMessage) {
			return fmt.Sprintf("%s: for one message\n", w.Name)
		}
		if r.Row == mtapolicy.P12 {
			return fmt.Sprintf("%s: NO ROW\n", w.Name)
		}
		text := "NOTFOUND"
		switch r.Kind {
		case mtapolicy.Found:
			text = "OK " + r.Text
		case mtapolicy.TryLater:
			text = "TEMP " + string(r.Reason) // the text has ports of the lab
		}
		if i == 0 {
			fmt.Fprintf(&b, "%s: %s", w.Name, r.Row)
			if r.Would != "" {
				fmt.Fprintf(&b, " would be %s", r.Would)
			}
			for _, d := range r.Deviations {
				sign := "+"
				if d.Weaker {
					sign = "-"
				}
				fmt.Fprintf(&b, " %s%s", sign, d.ID)
				if d.Host != "" {
					fmt.Fprintf(&b, "(%s)", d.Host)
				}
			}
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "  %-8s %s\n", form, text)
	}
	return b.String()
}

// TestReplies: what each world of the lab is answered in each form, as written in
// testdata/replies.txt; `go test ./cmd/mxauth -run TestReplies -update` writes it.
// Each row but P12 is hit, every reply parses, and what keeps mail is explained in
// docs/operations.md.
func TestReplies(t *testing.T) {
	e := newEnv(strings.NewReader(""), io.Discard, io.Discard, func(string) string { return "" })
	e.flags.dnssec = modeValidate
	worlds := append(lab.Worlds(), besides...)
	d, err := e.startDemo(t.Context(), worlds)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	worlds = d.lab.Worlds()
	x := exceptedHosts(t)
	rows := waitRows(t)
	want, err := os.ReadFile(repliesFile)
	if err != nil {
		t.Fatal(err)
	}
	texts := make([]string, len(worlds))
	turns := make(chan struct{}, demoConcurrency)
	var wg sync.WaitGroup
	for i, w := range worlds {
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			p, o, err := d.planWorld(t.Context(), w, x, demoTimeout)
			texts[i] = repliesOf(w, p, o, err)
			if !strings.Contains(string(want), texts[i]) { // as the demo does: once more, with time for a busy machine
				p, o, err = d.planWorld(t.Context(), w, x, demoPatience)
				texts[i] = repliesOf(w, p, o, err)
			}
			if err != nil {
				return
			}
			if r, err := mtapolicy.Postfix(p, o); err == nil && r.Kind == mtapolicy.TryLater {
				onWaitPage(t, rows, r)
			}
		})
	}
	wg.Wait()
	slices.Sort(texts)
	got := strings.Join(texts, "")
	for _, row := range []mtapolicy.Row{mtapolicy.P2, mtapolicy.P3, mtapolicy.P4, mtapolicy.P5, mtapolicy.P6, mtapolicy.P7, mtapolicy.P8a, mtapolicy.P8b, mtapolicy.P9, mtapolicy.P10, mtapolicy.P11} {
		if !strings.Contains(got, ": "+string(row)) {
			t.Errorf("no world has row %s", row)
		}
	}
	if strings.Contains(got, "NO ROW") {
		t.Error("a world fits no row")
	}
	if *update {
		if err := os.WriteFile(repliesFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if *update {
		want = []byte(got)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the replies have changed (go test ./cmd/mxauth -run TestReplies -update): -want +got\n%s", diff)
	}
}
