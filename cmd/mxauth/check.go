package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/engine/probe"
)

// newCheck makes the verb check.
func newCheck(e *env) *cobra.Command {
	var d deliveryFlags
	cmd := &cobra.Command{
		Use:   "check DOMAIN...|-",
		Short: "Say whether a delivery to these domains would be authenticated, and why",
		Long: `Check looks up the mail hosts of each domain, its DANE records and its MTA-STS policy,
speaks with each host up to STARTTLS, and says whether a delivery would be
authenticated, by what, and if not, why. It sends no mail.

A domain may be one that is looked up (example.org, bücher.example), a host without
MX lookup ([relay.example] or [relay.example]:587) or an address ([192.0.2.1]).
With "-" domains are read from standard input, one a line.

--tlsrpt-socket is for testing a TLSRPT collector: check delivers nothing, so there is no
delivery to report. For each address that it connects to, and each host that it may not
connect to, it hands over what a delivery would have counted as (RFC 8460 section 4),
if the domain asks for reports. A collector that sends reports will count these
sessions among the real ones. One that does not answer costs a line on standard error.

--exceptions FILE lets pass for a while what a policy forbids. The file is TOML, with as
many exceptions as are wanted:

  [[exception]]
  id     = "ticket-4711"
  domain = "example.org"      # or "*.example.org", or "*"
  mx     = "mx1.example.org"  # may be left out
  method = "dane"             # dane, mta-sts or pkix; may be left out
  effect = "encrypt"          # or "may"
  reason = "their TLSA record is stale; they have been told"
  author = "postmaster"
  ends   = 2027-01-31T00:00:00Z

--watch TIME checks again and again, as often as that, and prints a line for each domain at
first and then only for what changes: an outcome, its reason, a host, a certificate. Each
round is a check of its own, with nothing cached but what --store keeps. Ctrl-C ends it
with the exit status of the last round.

A mail host can have two certificates, one with an RSA key and one with an ECDSA key,
and shows the one that a sender's TLS library prefers. Where the certificate counts,
check connects once more to each host for the other one, and the weaker of the two
decides. A host that has one, or that refuses the second connection, is judged by the
first. --one-certificate leaves the second connection out.

-4 and -6 connect to mail hosts over one family of addresses only; a host without an
address of it is not tried, and the answer says so.

--nagios prints one line for Nagios, Icinga and the like, with performance data: hosts,
authenticated hosts, days to the end of the first certificate that mail depends on, days
until senders forget the MTA-STS policy (U: there is none). Its status is 0 (OK) if the
domain is authenticated, 1 (WARNING) if the message would go and is not authenticated
everywhere, 2 (CRITICAL) if it would be refused, bounced or wait, 3 (UNKNOWN) if nothing
could be looked up, or for bad usage. Fewer days than --warn-days and --crit-days count
too: those of a certificate, and those of a policy that cannot be fetched now.

The exit status is 0 if every host that mail could reach would be authenticated, 1 if
the message may be sent anyway, 2 if it is refused or bounced, 3 if it is deferred;
over several domains the highest. 64: bad usage, 69: nothing could be looked up through a
fault on this side (no resolver, no network), 70: an internal error, 78: bad configuration.`,
		Example: `  mxauth check example.org
  mxauth check --json - < domains.txt
  mxauth check --resolver 127.0.0.1 --dnssec trust-ad example.org
  mxauth check --nagios --warn-days 21 --crit-days 7 example.org`,
		Args: arguments(0, many),
	}
	d.add(cmd.Flags())
	cmd.Flags().BoolVar(&d.short, "short", false, "one line a domain")
	cmd.Flags().StringVar(&d.evidence, "evidence", "", "write all that the answer rests on to `FILE`, for mxauth replay; one domain only")
	cmd.Flags().StringVar(&d.tlsrptSocket, "tlsrpt-socket", "", "hand what is found to the TLSRPT collector at this unix datagram socket (`PATH`), as libtlsrpt does; see above")
	d.monitor.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := d.monitor.check(cmd, e, &d, args); err != nil {
			return err
		}
		if d.monitor.nagios {
			return runNagios(cmd.Context(), e, &d, args)
		}
		if d.monitor.watch > 0 {
			return runWatch(cmd.Context(), e, &d, args)
		}
		return runCheck(cmd.Context(), e, &d, args, checkVerb)
	}
	return cmd
}

// A domainVerb is what check and plan differ in: what they ask the client, and what they print.
type domainVerb struct {
	ask   func(*mxauth.Client, context.Context, engine.Request) (mxauth.Verdict, error)
	human func(*verdict, *console)
	short func(*verdict) string
	row   func(*verdict) any
	exit  func(*verdict) int
}

var checkVerb = domainVerb{(*mxauth.Client).CheckRequest, (*verdict).human, (*verdict).short, (*verdict).row, (*verdict).exit}

// runCheck carries out check or plan.
func runCheck(ctx context.Context, e *env, d *deliveryFlags, args []string, l domainVerb) error {
	d.apply(e.set)
	r, err := newCheckRun(e, d, args, l)
	if err != nil {
		return err
	}
	if err := r.open(ctx); err != nil {
		return err
	}
	defer r.close()
	r.progress()
	if err := inOrder(ctx, e.flags.concurrency, argumentsOf(r.args, e.stdin), r.work, func(v *verdict) error { return r.done(ctx, v) }, r.waiting); err != nil {
		return err
	}
	if r.count == 0 {
		return errNoDomains
	}
	r.collector.tell(e.out)
	if r.nameDoubted {
		e.out.Hintf("give the full name of this machine in EHLO by --helo NAME")
	}
	if !r.alone {
		e.tellExceptions(r.client.Engine().ExceptionUses())
	}
	r.code = r.client.faults.status(r.code)
	return exitWith(r.code)
}

// A checkRun is one run of check or plan.
type checkRun struct {
	domainVerb
	e       *env
	flags   *deliveryFlags
	args    []string
	alone   bool // one domain, named by an argument
	request engine.Request
	config  mxauth.Config // what the flags of the verb say

	client    *client
	collector *collector // of --tlsrpt-socket; nil: there is none

	waits       waitList
	code, count int  // so far
	nameDoubted bool // a host may have refused the name given in EHLO
}

// newCheckRun reads the command line. Nothing is opened yet.
func newCheckRun(e *env, d *deliveryFlags, args []string, l domainVerb) (*checkRun, error) {
	r := &checkRun{domainVerb: l, e: e, flags: d, args: args}
	var err error
	if r.request, err = d.request(); err != nil {
		return nil, err
	}
	switch {
	case len(args) == 0 && r.request.Smarthost:
		r.args = []string{r.request.NextHop}
	case len(args) == 0:
		return nil, &exitError{code: exitUsage, err: errors.New("no domain given"),
			hint: "give domains as arguments, or - to read them from standard input"}
	}
	r.alone = len(r.args) == 1 && r.args[0] != "-"
	if r.alone {
		if err := checkArgument(r.args[0]); err != nil {
			return nil, usageError("%w", err)
		}
		e.policyHostNote("mxauth check", r.args[0])
	}
	if err := d.configure(&r.config, e.flags.store); err != nil {
		return nil, err
	}
	if d.evidence != "" {
		if !r.alone {
			return nil, usageError("--evidence needs one domain as its argument")
		}
		r.config.Record = &evidence.Recorder{Now: e.now}
	}
	r.config.Network = d.monitor.network()
	if d.monitor.oneCertificate {
		r.config.Certificates = probe.CertificatesFirst
	}
	r.config.Policies, r.config.Trace = r.waits.policies(), r.waits.plans()
	return r, nil
}

// open opens what the run needs. After an error there is nothing to close.
func (r *checkRun) open(ctx context.Context) (err error) {
	if r.client, err = r.e.open(ctx, storeFills, r.config); err != nil {
		return err
	}
	if r.collector, err = openCollector(r.flags.tlsrptSocket, r.client.Resolver()); err != nil {
		r.client.close()
		return err
	}
	return nil
}

func (r *checkRun) close() {
	r.e.out.EndProgress()
	r.collector.close()
	r.client.close()
}

// progress shows how far the run is, if there is more than one domain.
func (r *checkRun) progress() {
	switch {
	case r.alone:
	case slices.Contains(r.args, "-"):
		r.e.out.Progressf("%d checked", r.count)
	default:
		r.e.out.Progressf("%d of %d checked", r.count, len(r.args))
	}
}

// work looks at one domain.
func (r *checkRun) work(ctx context.Context, a argument) (*verdict, error) {
	if a.err != nil {
		return &verdict{asked: a.text, err: a.err}, nil
	}
	record := r.collector.record(ctx, cmp.Or(r.flags.smarthost, a.text))
	req := requestFor(r.request, a.text)
	found, err := r.ask(r.client.Client, ctx, req)
	r.waits.done(req.NextHop)
	text := record()
	v, err := verdictOf(a.text, found, err)
	if err != nil {
		return nil, err
	}
	v.record = text
	return v, nil
}

// requestFor is a request for what was asked, or for the smarthost that all mail goes by.
func requestFor(r engine.Request, asked string) engine.Request {
	if !r.Smarthost {
		r.NextHop = asked
	}
	return r
}

// rate puts the exit status of a verdict to that of the run. With --strict it says which
// host failed for which another one takes the mail; "" if none did.
func (r *checkRun) rate(v *verdict) (overtaken string) {
	r.code = worse(r.code, r.exit(v))
	if r.flags.monitor.strict {
		if overtaken = v.overtaken(); overtaken != "" {
			r.code = worse(r.code, exitDeliverable)
		}
	}
	return overtaken
}

// done prints one verdict and hands it on.
func (r *checkRun) done(ctx context.Context, v *verdict) error {
	r.count++
	r.nameDoubted = r.nameDoubted || v.nameDoubted()
	if r.alone && v.err != nil {
		return usageError("%w", v.err)
	}
	if text := r.rate(v); text != "" {
		r.e.out.Notef("%s: %s", v.asked, text)
	}
	r.collector.hand(v)
	if f := r.client.Evidence(ctx, v.Verdict); f != nil {
		if err := r.e.writeEvidence(r.flags.evidence, f); err != nil {
			return err
		}
	}
	if !r.flags.monitor.quiet {
		r.e.print(v, r.domainVerb, r.flags.short, r.count > 1)
	}
	if r.e.flags.json || r.flags.short || r.flags.monitor.quiet || !v.blamesResolver() {
		r.client.faults.complain(r.e.out)
	} else {
		r.client.faults.take() // the answer has said it
	}
	r.progress()
	return r.e.out.flushed()
}

// errNoDomains: an answer to no question is no answer.
var errNoDomains = usageError("no domain given on standard input")

// listError is what is wrong with one line of a list, with what may have been meant.
func listError(err error) error {
	var m *meantError
	if errors.As(err, &m) && m.domain != "" && !strings.Contains(err.Error(), "(want ") {
		return fmt.Errorf("%w (did you mean %s?)", err, m.domain)
	}
	return err
}

// print prints a verdict as the user asked for it: JSON, one line, or in full; more says
// that there is one above it.
func (e *env) print(v *verdict, l domainVerb, short, more bool) {
	switch {
	case e.flags.json:
		e.printJSON(l.row(v))
	case short:
		e.out.Linef("%s: %s", v.asked, l.short(v))
	default:
		if more {
			e.out.Linef("")
		}
		v.verbose = e.flags.verbose
		l.human(v, e.out)
	}
}

// outcomeStyle is how an outcome is painted.
func outcomeStyle(o engine.Outcome) style {
	switch {
	case o == engine.Authenticated:
		return good
	case slices.Contains([]engine.Outcome{engine.Encrypted, engine.Cleartext}, o):
		return fair
	}
	return bad
}
