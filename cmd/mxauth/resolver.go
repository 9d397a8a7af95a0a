package main

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/dnssec/probe"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/rfc6125"
)

// newResolver makes the verb resolver.
func newResolver(e *env) *cobra.Command {
	var f resolverFlags
	cmd := &cobra.Command{
		Use:   "resolver [ADDR...]",
		Short: "Say what a recursive resolver is good for",
		Long: `Resolver sends each server about twenty queries. They show whether it returns DNSSEC
signatures and proofs of absence, obeys the CD bit, validates, refuses broken answers,
leaves AD clear on unsigned answers, and answers over TCP, and how fast it is. Each
finding is one line, with what to change in which file; then follows the verdict:

  good for validation              for --dnssec validate: mxauth validates
  good for trust-ad (on this host) for --dnssec trust-ad: AD can be trusted
  not usable
  cannot be judged                 the names of the queries do not exist there

Without an address it asks those of --resolver, else those of /etc/resolv.conf. The
names in the queries are public: a signed zone, an unsigned one, one that is broken on
purpose, and a name that does not exist; name others where these cannot be reached, or
do not exist because the resolver has a root of its own.

The exit status is 0 if every server is good for what --dnssec says, 78 if one is not or
cannot be judged, 3 if one does not answer.`,
		Example: `  mxauth resolver
  mxauth resolver 127.0.0.1 tls://192.0.2.1#dns.example
  mxauth resolver --dnssec trust-ad 127.0.0.53`,
		Args: arguments(0, many),
	}
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return runResolver(cmd.Context(), e, &f, args) }
	return cmd
}

// resolverFlags name the zones to ask about, as typed.
type resolverFlags struct{ signed, unsigned, broken, missing string }

func (f *resolverFlags) add(cmd *cobra.Command) {
	d := probe.DefaultNames()
	fs := cmd.Flags()
	fs.StringVar(&f.signed, "signed", d.Signed.String(), "a `ZONE` that is signed")
	fs.StringVar(&f.unsigned, "unsigned", d.Unsigned.String(), "a `ZONE` that is not signed")
	fs.StringVar(&f.broken, "broken", d.Broken.String(), "a `ZONE` whose signatures are wrong on purpose")
	fs.StringVar(&f.missing, "missing", d.Missing.String(), "a `NAME` in a signed zone that does not exist")
}

func (f *resolverFlags) names() (probe.Names, error) {
	var n probe.Names
	for _, x := range []struct {
		flag, text string
		to         *rfc6125.Name
	}{{"signed", f.signed, &n.Signed}, {"unsigned", f.unsigned, &n.Unsigned}, {"broken", f.broken, &n.Broken}, {"missing", f.missing, &n.Missing}} {
		name, err := rfc6125.ParseName(x.text)
		if err != nil {
			return n, usageError("--%s: %w", x.flag, err)
		}
		*x.to = name
	}
	return n, nil
}

// maxResolvers bounds how many servers are asked side by side: each is asked one
// question at a time.
const maxResolvers = 8

func runResolver(ctx context.Context, e *env, f *resolverFlags, args []string) error {
	set, err := e.flags.parse()
	if err != nil {
		return err
	}
	names, err := f.names()
	if err != nil {
		return err
	}
	servers, err := e.probed(set, args)
	if err != nil {
		return err
	}
	pool, err := e.certPool()
	if err != nil {
		return err
	}
	code := 0
	work := func(ctx context.Context, s upstream.Server) (probe.Report, error) {
		return probe.Run(ctx, probe.Config{Server: s, Names: names, Timeout: e.flags.timeout, RootCAs: pool})
	}
	done := func(r probe.Report) error {
		code = max(code, e.resolverCode(r))
		if e.flags.json {
			e.printResolverJSON(r)
		} else {
			e.printResolver(r)
		}
		return nil
	}
	if err := inOrder(ctx, min(maxResolvers, e.flags.concurrency), each(servers), work, done, nil); err != nil {
		return err
	}
	return exitWith(code)
}

// probed are the servers of the arguments, of --resolver, or of the host.
func (e *env) probed(set flagValues, args []string) ([]upstream.Server, error) {
	servers := set.servers
	if len(args) > 0 {
		servers = nil
	}
	for _, a := range args {
		s, err := upstream.ParseServer(a)
		if err != nil {
			return nil, &exitError{code: exitUsage, err: err, hint: "a server is an address such as 127.0.0.1, 127.0.0.1:5300, tls://192.0.2.1#dns.example or https://dns.example/dns-query"}
		}
		servers = append(servers, s)
	}
	if len(servers) > 0 {
		return servers, nil
	}
	servers, _, err := upstream.System("")
	if err != nil {
		return nil, configError("name a resolver as an argument", "%w", err)
	}
	return servers, nil
}

// each yields all of list, without an error.
func each[T any](list []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, x := range list {
			if !yield(x, nil) {
				return
			}
		}
	}
}

// resolverCode is the exit status of one report: whether the server is good for the mode
// that --dnssec names.
func (e *env) resolverCode(r probe.Report) int {
	switch {
	case e.flags.dnssec == modeTrustAD && r.TrustAD, e.flags.dnssec != modeTrustAD && r.Validation:
		return 0
	case !r.Reached():
		return exitDeferred
	}
	return exitConfig
}

func (e *env) printResolver(r probe.Report) {
	software := ""
	if r.Software != "" {
		software = " (" + r.Software + ")"
	}
	e.out.Linef("%s%s", paint(strong, r.Server.String()), software)
	for _, f := range r.Findings {
		e.out.Linef("  %s  %s", paint(styleOfLevel(f.Level), fmt.Sprintf("%-8s", f.Level)), f.Text)
		for _, line := range resolverCure(r, f.Cure) {
			e.out.Linef("  %-8s  -> %s", "", line)
		}
	}
	st := good
	if !r.Validation && !r.TrustAD {
		st = bad
	}
	e.out.Linef("  %s", paint(st, resolverVerdict(r)))
}

func styleOfLevel(l probe.Level) style {
	switch l {
	case probe.Good:
		return good
	case probe.Bad:
		return bad
	}
	return fair
}

// A resolverRow is a report as --json prints it.
type resolverRow struct {
	V          int               `json:"v"`
	Server     string            `json:"server"`
	Software   string            `json:"software,omitempty"`
	Verdicts   []string          `json:"verdicts"`
	Validation bool              `json:"validation"`
	TrustAD    bool              `json:"trust_ad"`
	RTT        float64           `json:"rtt_ms,omitempty"`
	Findings   []resolverFinding `json:"findings"`
}

// A resolverFinding is a finding as --json prints it: with the cure in words.
type resolverFinding struct {
	probe.Finding
	Cure string `json:"cure,omitempty"`
}

func (e *env) printResolverJSON(r probe.Report) {
	findings := make([]resolverFinding, len(r.Findings))
	for i, f := range r.Findings {
		findings[i] = resolverFinding{f, strings.Join(resolverCure(r, f.Cure), " | ")}
	}
	e.printJSON(resolverRow{V: 1, Server: r.Server.String(), Software: r.Software, Verdicts: r.Verdicts(),
		Validation: r.Validation, TrustAD: r.TrustAD, RTT: float64(r.RTT) / float64(time.Millisecond), Findings: findings})
}
