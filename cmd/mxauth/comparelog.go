package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/maillog"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// A fate is what would have become of the deliveries in a log.
type fate string

// Fates, the worst first.
const (
	fateHeld   fate = "held"   // they would have waited
	fateUnsure fate = "unsure" // it would have been checked what nothing checked then
	fateGoes   fate = "goes"   // they would have gone
)

// A deliveryCount is how many deliveries to one domain have one fate, and why.
type deliveryCount struct {
	Host string `json:"host"`
	TLS  string `json:"tls"` // what Postfix said
	N    int    `json:"deliveries"`
	Fate fate   `json:"fate"`
	Why  string `json:"why,omitempty"`
}

// A logRow is what compare --postfix-log prints of one domain.
type logRow struct {
	V        int             `json:"v"`
	Domain   string          `json:"domain"`
	Fate     fate            `json:"fate"` // the worst of its deliveries
	Sent     int             `json:"sent"`
	Held     int             `json:"held"`
	Unsure   int             `json:"unsure"`
	Deferred int             `json:"deferred,omitempty"` // attempts then
	Ours     string          `json:"ours"`
	Why      string          `json:"why"`
	Counts   []deliveryCount `json:"by_host,omitempty"`
}

func runCompareLog(ctx context.Context, e *env, f *compareFlags) error {
	in, err := e.input(f.log)
	if err != nil {
		return usageError("%w", err)
	}
	log, err := maillog.Read(in, f.program)
	in.Close()
	if err != nil {
		return usageError("%s: %w", nameOf(f.log, ""), err)
	}
	if len(log.Domains) == 0 {
		return &exitError{code: exitUsage, err: fmt.Errorf("%s has no delivery by %s/smtp in %d lines", nameOf(f.log, ""), f.program, log.Lines),
			hint: "the lines begin with syslog_name of main.cf: name it by --syslog-name; systemd's journal is read by: journalctl -o short -t postfix/smtp | mxauth compare --postfix-log -"}
	}
	form := askFlags{table: "QUERY"}
	if f.form == "extended" {
		form.table = "QUERYwithTLSRPT"
	} else if f.form != "" && f.form != "plain" {
		return usageError("--form: %.40q is neither plain nor extended", f.form)
	}
	ours, err := e.newAsker(ctx, form)
	if err != nil {
		return err
	}
	defer ours.close()
	if f.csv {
		e.printCSV("domain", "fate", "sent", "held", "unsure", "deferred", "ours", "why")
	}
	sum := map[fate]int{}
	work := func(ctx context.Context, d *maillog.Domain) (*logRow, error) {
		row, err := ours.settled(ctx, d.Name)
		if err != nil {
			return nil, err
		}
		return judgeLog(d, &row), nil
	}
	done := func(r *logRow) error {
		sum[fateHeld] += r.Held
		sum[fateUnsure] += r.Unsure
		sum[fateGoes] += r.Sent - r.Held - r.Unsure
		e.printLogRow(f, r)
		return e.out.flushed()
	}
	if err := inOrder(ctx, e.flags.concurrency, each(log.Domains), work, done, nil); err != nil {
		return err
	}
	if ours.faults != nil {
		ours.faults.complain(e.out)
	}
	e.out.Notef("%d deliveries to %d domains: %d would go as they went, %d would wait, of %d the log does not say enough", log.Deliveries, len(log.Domains), sum[fateGoes], sum[fateHeld], sum[fateUnsure])
	for _, x := range []struct {
		n    int
		text string
	}{{log.TooLong, "lines are longer than 64 KB and were passed over"}, {log.TooMany, "deliveries are to further domains than a million and were passed over"}} {
		if x.n > 0 {
			e.out.Notef("%d %s", x.n, x.text)
		}
	}
	if sum[fateHeld] > 0 {
		return exitWith(exitCompareDiffers)
	}
	return nil
}

// judgeLog says what would have become of the deliveries to one domain.
func judgeLog(d *maillog.Domain, ours *askRow) *logRow {
	r := &logRow{V: 1, Domain: d.Name, Fate: fateGoes, Deferred: d.Deferred, Ours: ours.Reply, Why: ours.why()}
	for _, h := range d.Hosts {
		for t, n := range h.Sent {
			if n == 0 {
				continue
			}
			c := deliveryCount{Host: h.Name, TLS: maillog.TLS(t).String(), N: n}
			c.Fate, c.Why = fateOf(ours, h.Name, maillog.TLS(t))
			r.Sent += n
			switch c.Fate {
			case fateHeld:
				r.Held += n
				r.Fate = fateHeld
			case fateUnsure:
				r.Unsure += n
				if r.Fate == fateGoes {
					r.Fate = fateUnsure
				}
			}
			r.Counts = append(r.Counts, c)
		}
	}
	return r
}

// fateOf is the fate of deliveries to one host with one word of Postfix.
func fateOf(ours *askRow, host string, t maillog.TLS) (fate, string) {
	switch {
	case ours.Kind == mtapolicy.TryLater:
		return fateHeld, ours.why()
	case ours.Plan == nil:
		return fateUnsure, "there is no plan: " + ours.PlanError
	case ours.Kind == mtapolicy.NotFound:
		return fateGoes, ""
	}
	i := slices.IndexFunc(ours.Plan.Hosts, func(h planHost) bool { return strings.EqualFold(strings.Trim(h.Host, "[]"), strings.Trim(host, "[]")) })
	if i < 0 {
		return fateUnsure, "this host is not among the mail hosts now"
	}
	h := &ours.Plan.Hosts[i]
	needs := func(part string) bool { return slices.Contains(strings.Split(h.Requirement, "+"), part) }
	switch {
	case h.Requirement == "skip":
		return fateHeld, h.Reason
	case h.Requirement == "may":
		return fateGoes, ""
	case t == maillog.Clear:
		return fateHeld, "it went without TLS, which is demanded now: " + h.Reason
	case h.Requirement == "encrypt":
		return fateGoes, ""
	case t == maillog.Verified:
		return fateGoes, ""
	case needs("dane") || needs("half-dane"):
		return fateUnsure, "the certificate was not compared with the TLSA records"
	case t == maillog.Trusted:
		return fateUnsure, "the name in the certificate was not checked"
	}
	return fateUnsure, "the certificate led to no authority that Postfix trusted then; without smtp_tls_CAfile it trusts none"
}

func (e *env) printLogRow(f *compareFlags, r *logRow) {
	switch {
	case e.flags.json:
		e.printJSON(r)
		return
	case f.csv:
		e.printCSV(r.Domain, string(r.Fate), strconv.Itoa(r.Sent), strconv.Itoa(r.Held), strconv.Itoa(r.Unsure), strconv.Itoa(r.Deferred), r.Ours, r.Why)
		return
	}
	style := map[fate]style{fateHeld: bad, fateUnsure: fair, fateGoes: good}[r.Fate]
	e.out.Linef("%s: %s (%d sent, %d would wait, %d unsure)", paint(strong, r.Domain), paint(style, string(r.Fate)), r.Sent, r.Held, r.Unsure)
	if r.Fate == fateGoes {
		return
	}
	block(e.out, 2, pad("mxauth"), r.Ours)
	for _, c := range r.Counts {
		if c.Why != "" {
			block(e.out, 2, pad("why"), fmt.Sprintf("%d to %s, TLS %s: %s", c.N, c.Host, c.TLS, c.Why))
		}
	}
	if r.Fate == fateUnsure {
		block(e.out, 2, pad("try"), "mxauth check "+shellWord(r.Domain))
	}
}
