package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/policydiff"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/socketmap"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// compareFlags are the flags of compare, as typed.
type compareFlags struct {
	wait    time.Duration // for an answer of the other server
	with    string
	form    string
	level   string
	log     string
	program string
	csv     bool
}

// Exit statuses of compare.
const exitCompareDiffers = 1

// newCompare makes the verb compare.
func newCompare(e *env) *cobra.Command {
	var f compareFlags
	cmd := &cobra.Command{
		Use:   "compare --with TABLE DOMAIN...|- or compare --postfix-log FILE",
		Short: "Compare mxauth's answers with those of another policy server, or with a mail log",
		Long: `Compare asks mxauth and another policy server of Postfix about the same domains, and says of
each whether mxauth's answer demands the same, more (stronger), less (weaker), or something
else (other), and why. TABLE is what main.cf has for the other server:

  socketmap:inet:127.0.0.1:8642:QUERYwithTLSRPT
  socketmap:unix:/run/other/policy.sock:QUERY

mxauth's form is that of the map's name, or of --form. Where neither has an entry main.cf
decides: --level-of-main-cf is its smtp_tls_security_level. The other server has the time of
--wait for an answer. A summary goes to standard error.

With --postfix-log FILE (- is standard input) it takes the domains from a log of Postfix, and
says which of those deliveries mxauth would have held, and why. "unsure" are deliveries of
which the log does not say enough, since nothing was checked then: mxauth check says of such
a domain whether it passes now. Mail that went to a relay counts under its recipient's domain.

mxauth is the daemon that runs, or, where none runs, this program with the same settings.

The exit status is 0 if every answer is equal or stronger, or no delivery would have been
held; 1 if some is weaker or other, or would have been held; 64 for bad usage or a line that
names no domain, 69 if the other server cannot be reached, 78 if the configuration cannot be
used.`,
		Example: `  mxauth compare --with socketmap:inet:127.0.0.1:8461:postfix - < domains.txt
  mxauth compare --csv --with socketmap:inet:127.0.0.1:8642:QUERYwithTLSRPT - \
    < domains.txt
  mxauth compare --postfix-log /var/log/mail.log`,
		Args: arguments(0, many),
		RunE: func(cmd *cobra.Command, args []string) error { return runCompare(cmd.Context(), e, &f, args) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.with, "with", "", "`TABLE` of the other server: socketmap:inet:HOST:PORT:MAP or socketmap:unix:PATH:MAP")
	fs.StringVar(&f.form, "form", "", "`WORD`: plain or extended, the form of mxauth's answer")
	fs.DurationVar(&f.wait, "wait", otherTime, "`DURATION` that the other server may take for an answer")
	fs.StringVar(&f.level, "level-of-main-cf", "dane", "`LEVEL` for domains without an entry: smtp_tls_security_level")
	fs.StringVar(&f.log, "postfix-log", "", "`FILE` with Postfix's log")
	fs.StringVar(&f.program, "syslog-name", "postfix", "`NAME` with which Postfix begins its lines (syslog_name)")
	fs.BoolVar(&f.csv, "csv", false, "print comma-separated values with a heading")
	e.addDaemonFlags(cmd)
	return cmd
}

func runCompare(ctx context.Context, e *env, f *compareFlags, args []string) error {
	switch {
	case f.csv && e.flags.json:
		return usageError("--csv and --json are two forms of the same answer")
	case f.log != "" && f.with != "":
		return usageError("--with and --postfix-log are two things to compare with: run compare twice")
	case f.log != "" && len(args) > 0:
		return usageError("the domains come from the log: leave the arguments out")
	case f.log != "":
		return runCompareLog(ctx, e, f)
	case f.with == "":
		return &exitError{code: exitUsage, err: errors.New("compare needs --with TABLE or --postfix-log FILE"),
			hint: "TABLE is what smtp_tls_policy_maps has now, such as socketmap:inet:127.0.0.1:8642:QUERYwithTLSRPT"}
	case len(args) == 0:
		return &exitError{code: exitUsage, err: errors.New("no domain given"), hint: "give domains as arguments, or - to read them from standard input"}
	case f.wait <= 0:
		return usageError("--wait: %v is no time to wait", f.wait)
	case !slices.Contains(policydiff.Levels(), f.level):
		return usageError("--level-of-main-cf: %.40q is not one of %s", f.level, strings.Join(policydiff.Levels(), ", "))
	}
	r, err := newCompareRun(ctx, e, f)
	if err != nil {
		return err
	}
	defer r.close()
	return r.run(ctx, args)
}

// otherTime is how long the other server may take for an answer, unless --wait says
// otherwise. It may fetch a policy from a host that hangs.
const otherTime = 30 * time.Second

// A compareRun compares with another server.
type compareRun struct {
	e      *env
	f      *compareFlags
	ours   *asker
	theirs *socketmap.Client
	table  string

	count   map[policydiff.Verdict]int
	reasons map[policydiff.Reason]int
	n       int
	refused bool // a line names no domain
}

func newCompareRun(ctx context.Context, e *env, f *compareFlags) (*compareRun, error) {
	r := &compareRun{e: e, f: f, count: map[policydiff.Verdict]int{}, reasons: map[policydiff.Reason]int{}}
	rest, ok := strings.CutPrefix(strings.TrimPrefix(f.with, "proxy:"), "socketmap:")
	i := strings.LastIndexByte(rest, ':')
	if !ok || i < 0 || rest[i+1:] == "" {
		return nil, usageError("--with: %.100q is neither socketmap:inet:HOST:PORT:MAP nor socketmap:unix:PATH:MAP", f.with)
	}
	address := settings.Listen{Door: "http", Address: rest[:i]} // of which any address is taken
	network, where, err := address.Network()
	if err != nil {
		return nil, usageError("--with: %w", err)
	}
	r.theirs, r.table = &socketmap.Client{Network: network, Address: where, Time: f.wait}, rest[i+1:]
	ask := askFlags{table: "QUERY"}
	switch f.form {
	case "plain":
	case "extended":
		ask.table = "QUERYwithTLSRPT"
	case "":
		if strings.EqualFold(r.table, "QUERYwithTLSRPT") {
			ask.table = "QUERYwithTLSRPT"
		}
	default:
		return nil, usageError("--form: %.40q is neither plain nor extended", f.form)
	}
	// A server that does not answer is reported before a thousand domains are looked up. One
	// that closes the connection may not like this question, and answer others.
	switch _, err := r.theirs.Ask(ctx, r.table, nowhere); {
	case err == nil, errors.Is(err, socketmap.ErrClosed):
	case ctx.Err() != nil:
		return nil, err
	default:
		return nil, &exitError{code: exitUnavailable, err: fmt.Errorf("the other server does not answer at %s: %w", rest[:i], err),
			hint: "is it running, and is --with what smtp_tls_policy_maps has?"}
	}
	if r.ours, err = e.newAsker(ctx, ask); err != nil {
		r.theirs.Close()
		return nil, err
	}
	return r, nil
}

func (r *compareRun) close() {
	r.ours.close()
	r.theirs.Close()
}

// A compareRow is what compare prints of one domain.
type compareRow struct {
	V          int                   `json:"v"`
	Domain     string                `json:"domain"`
	Verdict    policydiff.Verdict    `json:"verdict"` // of our answer
	ReasonID   policydiff.Reason     `json:"reason_id"`
	Reason     string                `json:"reason"`
	Ours       string                `json:"ours"`
	Theirs     string                `json:"theirs"`
	Why        string                `json:"why"` // the reason of our answer
	Row        mtapolicy.Row         `json:"row"`
	Deviations []mtapolicy.Deviation `json:"deviations,omitempty"`

	refused bool // the line names no domain
}

// compareReasons say what a reason of package policydiff means.
var compareReasons = map[policydiff.Reason]string{
	policydiff.Same:         "both demand the same",
	policydiff.NoAnswer:     "the other server gave no answer",
	policydiff.Unreadable:   "Postfix would not take the other answer",
	policydiff.WeNothing:    "mxauth has no entry, so main.cf decides; the other answer demands something",
	policydiff.TheyNothing:  "the other server has no entry, so main.cf decides; mxauth's answer demands something",
	policydiff.WeWait:       "mxauth holds the message, the other server delivers it",
	policydiff.TheyWait:     "the other server holds the message, mxauth delivers it",
	policydiff.DANENotSTS:   "mxauth has DANE decide, the other server MTA-STS, which overrides TLSA records that do not match",
	policydiff.STSNotDANE:   "mxauth has MTA-STS decide, the other server DANE",
	policydiff.LevelHigher:  "mxauth's level demands more",
	policydiff.LevelLower:   "the other level demands more",
	policydiff.LevelDiffers: "the levels demand different things",
	policydiff.NamesFewer:   "mxauth names the mail hosts; the other answer takes certificates with further names",
	policydiff.NamesMore:    "mxauth takes certificates with further names",
	policydiff.NamesDiffer:  "each takes certificates with names that the other refuses",
	policydiff.HostsFewer:   "mxauth lets fewer mail hosts be used",
	policydiff.HostsMore:    "mxauth lets more mail hosts be used",
	policydiff.HostsDiffer:  "each lets mail hosts be used that the other does not",
	policydiff.SNI:          "one of the answers names no host in the TLS handshake",
	policydiff.Protocols:    "one of the answers demands TLS 1.2 or later, the other what main.cf demands",
}

// work asks both servers, side by side.
func (r *compareRun) work(ctx context.Context, a argument) (*compareRow, error) {
	if a.err != nil {
		return &compareRow{V: 1, Domain: a.text, ReasonID: policydiff.NoAnswer, Reason: errorText(a.err), refused: true}, nil
	}
	type got struct {
		reply socketmap.Reply
		err   error
	}
	their := make(chan got, 1)
	go func() {
		reply, err := r.theirs.Ask(ctx, r.table, a.text)
		their <- got{reply, err}
	}()
	ours, err := r.ours.settled(ctx, a.text)
	t := <-their
	if err != nil {
		return nil, err
	}
	row := &compareRow{V: 1, Domain: a.text, Ours: ours.Reply, Why: ours.why(), Row: ours.Row, Deviations: ours.Deviations}
	theirs := policydiff.Answer{Text: t.reply.Text}
	switch t.reply.Status {
	case socketmap.OK:
		theirs.Kind = policydiff.Found
	case socketmap.NotFound:
		theirs.Kind = policydiff.NotFound
	case socketmap.Temp, socketmap.Timeout:
		theirs.Kind = policydiff.Wait
	}
	row.Theirs = t.reply.Status + t.reply.Text
	row.Verdict, row.ReasonID = policydiff.Compare(answerOf(&ours), theirs, r.f.level)
	row.Reason = compareReasons[row.ReasonID]
	if t.err != nil {
		row.Reason = "the other server gave no answer: " + errorText(t.err)
	}
	return row, nil
}

// answerOf is an answer of mxauth.
func answerOf(r *askRow) policydiff.Answer {
	switch r.Kind {
	case mtapolicy.Found:
		return policydiff.Answer{Kind: policydiff.Found, Text: strings.TrimPrefix(r.Reply, socketmap.OK)}
	case mtapolicy.NotFound:
		return policydiff.Answer{Kind: policydiff.NotFound}
	}
	return policydiff.Answer{Kind: policydiff.Wait}
}

func (r *compareRun) run(ctx context.Context, args []string) error {
	if r.f.csv {
		r.e.printCSV("domain", "verdict", "reason_id", "reason", "ours", "theirs", "why")
	}
	if err := inOrder(ctx, r.e.flags.concurrency, argumentsOf(args, r.e.stdin), r.work, r.done, nil); err != nil {
		return err
	}
	if r.n == 0 {
		return errNoDomains
	}
	if r.ours.faults != nil {
		r.ours.faults.complain(r.e.out)
	}
	r.summary()
	if r.refused {
		return exitWith(exitUsage)
	}
	if r.count[policydiff.Weaker]+r.count[policydiff.Other] > 0 {
		return exitWith(exitCompareDiffers)
	}
	return nil
}

func (r *compareRun) done(row *compareRow) error {
	r.n++
	r.count[row.Verdict]++
	r.reasons[row.ReasonID]++
	r.refused = r.refused || row.refused
	out := r.e.out
	switch {
	case r.e.flags.json:
		r.e.printJSON(row)
	case r.f.csv:
		r.e.printCSV(row.Domain, row.Verdict.String(), string(row.ReasonID), row.Reason, row.Ours, row.Theirs, row.Why)
	case row.Verdict == policydiff.Equal:
		out.Linef("%s: %s: %s", paint(strong, row.Domain), paint(good, row.Verdict.String()), row.Ours)
	default:
		style := fair
		if row.Verdict == policydiff.Weaker {
			style = bad
		}
		out.Linef("%s: %s: %s", paint(strong, row.Domain), paint(style, row.Verdict.String()), row.Reason)
		for _, x := range []struct{ label, text string }{{"mxauth", row.Ours}, {"other", row.Theirs}, {"why", row.Why}} {
			if x.text != "" {
				block(out, 2, pad(x.label), x.text)
			}
		}
	}
	return out.flushed()
}

func (r *compareRun) summary() {
	out := r.e.out
	out.Notef("%d domains: %d equal, %d stronger, %d weaker, %d other", r.n, r.count[policydiff.Equal], r.count[policydiff.Stronger], r.count[policydiff.Weaker], r.count[policydiff.Other])
	for _, id := range policydiff.Reasons() {
		if n := r.reasons[id]; n > 0 && id != policydiff.Same {
			out.Notef("  %d %s: %s", n, string(id), compareReasons[id])
		}
	}
}

// printCSV prints a line of comma-separated values. A cell that a spreadsheet would take for a
// formula is preceded by an apostrophe.
func (e *env) printCSV(cells ...string) {
	for i, c := range cells {
		cells[i] = csvCell(c)
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(cells) // into memory
	w.Flush()
	e.out.answer(b.String())
}
