package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/advise/lint"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// stsMakeFlags are the flags of sts make, as typed.
type stsMakeFlags struct {
	mx        []string
	mode      string
	maxAge    string
	server    string
	noConnect bool
}

func newSTSMake(e *env) *cobra.Command {
	var f stsMakeFlags
	cmd := &cobra.Command{
		Use:   "make DOMAIN",
		Short: "Print the policy for a domain's mail hosts, its record and web-server lines",
		Long: `Make looks up the mail hosts of a domain and prints the MTA-STS policy that lists them, the
TXT record that announces it, lines for the web server, and what to see in TLSRPT reports
before the policy is enforced and before senders remember it for longer. It changes
nothing.

A first policy is of mode testing and has a max_age of a day. Where the domain has a
policy, its mode and max_age stay unless flags say otherwise, and make says what changes.
A mail host that would get no mail once the policy is enforced is named, with the cure.

With --mx nothing is looked up and no connection is made.

The exit status is 0 if the policy can be served as it is, 1 if a mail host has to be
corrected before the policy is enforced, 2 if it is of mode enforce and would stop mail
to a host, or no policy can be made, 3 if a lookup fails. 64: bad usage.`,
		Example: `  mxauth sts make example.org
  mxauth sts make --mode enforce example.org
  mxauth sts make --mode enforce --max-age 30d example.org
  mxauth sts make --mx mx1.example.org --mx mx2.example.org example.org`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return runSTSMake(cmd.Context(), e, &f, args[0]) },
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.mx, "mx", nil, "`HOST` that takes mail for the domain (repeatable; default: as looked up)")
	fl.StringVar(&f.mode, "mode", "", "`MODE` of the policy: testing, enforce or none (default: the present one, or testing)")
	fl.StringVar(&f.maxAge, "max-age", "", "how long senders remember the policy: a `TIME` such as 30d, 36h or 86400 (default: the present one, or 1d)")
	fl.StringVar(&f.server, "server", "", "web `SERVER` to print lines for: "+strings.Join(webServers, ", ")+", all or none (default: all, or none where a policy is served)")
	fl.BoolVar(&f.noConnect, "no-connect", false, "connect to no mail host, say nothing of certificates")
	return cmd
}

// request reads --mode and --max-age.
func (f *stsMakeFlags) request() (lint.PolicyRequest, error) {
	q := lint.PolicyRequest{Unseen: f.noConnect, Offline: len(f.mx) > 0}
	if f.mode != "" {
		if err := q.Mode.UnmarshalText([]byte(f.mode)); err != nil {
			return q, usageError("--mode: %.40q is neither testing, enforce nor none", f.mode)
		}
	}
	if f.maxAge != "" {
		d, err := parseAge(f.maxAge)
		if err != nil || d < time.Second || d > sts.MaxMaxAge || d%time.Second != 0 {
			return q, usageError("--max-age: %.40q is no time between one second and a year, such as 1d, 36h or 86400", f.maxAge)
		}
		q.MaxAge = d
	}
	if f.server != "" && f.server != "all" && f.server != "none" && !slices.Contains(webServers, f.server) {
		return q, usageError("--server: %.40q is neither %s, all nor none", f.server, strings.Join(webServers, ", "))
	}
	return q, nil
}

// parseAge reads a time as people say it for policies: days ("30d"), seconds ("86400"), or as
// time.ParseDuration has it.
func parseAge(s string) (time.Duration, error) {
	number, unit := s, time.Second
	if days, ok := strings.CutSuffix(s, "d"); ok {
		number, unit = days, 24*time.Hour
	}
	if n, err := strconv.ParseUint(number, 10, 32); err == nil {
		return time.Duration(min(n, uint64(sts.MaxMaxAge/unit)+1)) * unit, nil // no more, so that it does not overflow
	}
	return time.ParseDuration(s)
}

func runSTSMake(ctx context.Context, e *env, f *stsMakeFlags, arg string) error {
	q, err := f.request()
	if err != nil {
		return err
	}
	names, err := parseDomains([]string{arg})
	if err != nil {
		return err
	}
	domain := names[0]
	e.policyHostNote("mxauth sts make", arg)
	snap, faults, err := e.lookForPolicy(ctx, f, domain)
	if err != nil {
		return err
	}
	p := lint.MakePolicy(snap, q)
	e.printProposal(domain, p, f.servers(p))
	if err := e.out.flushed(); err != nil {
		return err
	}
	return exitWith(faults.status(proposalExit(p)))
}

// lookForPolicy looks at the domain, or takes its mail hosts from --mx; then faults is nil.
func (e *env) lookForPolicy(ctx context.Context, f *stsMakeFlags, domain rfc6125.Host) (_ survey.Snapshot, faults *resolverFaults, err error) {
	if len(f.mx) > 0 {
		hosts, err := mxFlags(f.mx)
		return survey.Given(domain, hosts, e.now()), nil, err
	}
	c, config, err := e.openSurvey(ctx)
	if err != nil {
		return survey.Snapshot{}, nil, err
	}
	defer c.close()
	if config.NoConnect = f.noConnect; f.noConnect {
		config.Dial = nil
	}
	snap, err := survey.Collect(ctx, config, domain.String())
	c.faults.complain(e.out)
	return snap, c.faults, err
}

// mxFlags reads the hosts of --mx.
func mxFlags(list []string) ([]rfc6125.Host, error) {
	var out []rfc6125.Host
	for _, s := range list {
		h, err := rfc6125.ParseHost(s)
		if err != nil {
			return nil, usageError("--mx: %w", err)
		}
		if !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out, nil
}

// servers are the web servers to print lines for.
func (f *stsMakeFlags) servers(p lint.Proposal) []string {
	switch {
	case p.Blocked != "" || f.server == "none":
		return nil
	case f.server == "all" || f.server == "" && p.State != lint.StateAnnounced && p.State != lint.StateUnannounced:
		return webServers
	case f.server == "":
		return nil
	}
	return []string{f.server}
}

// proposalExit is the exit status of sts make.
func proposalExit(p lint.Proposal) int {
	switch {
	case p.Failed:
		return exitDeferred
	case p.Blocked != "":
		return exitSTSBroken
	case len(p.Problems) > 0 && p.Mode == sts.ModeEnforce:
		return exitSTSBroken
	case len(p.Problems) > 0:
		return exitSTSAdvice
	}
	return 0
}

// stageCommand is the command that makes the policy of a stage.
func stageCommand(domain rfc6125.Host, s lint.Stage) string {
	age := fmt.Sprint(s.MaxAge)
	if day := int64(24 * time.Hour / time.Second); s.MaxAge%day == 0 {
		age = fmt.Sprintf("%dd", s.MaxAge/day)
	}
	return fmt.Sprintf("mxauth sts make --mode %s --max-age %s %s", s.Mode, age, domain)
}

// A proposalRow is what `sts make --json` prints.
type proposalRow struct {
	V      int          `json:"v"`
	Domain rfc6125.Host `json:"domain"`
	lint.Proposal
	Commands   []string            `json:"then_commands"` // as Then
	WebServers map[string][]string `json:"web_servers,omitempty"`
}

func (e *env) printProposal(domain rfc6125.Host, p lint.Proposal, servers []string) {
	if p.Then == nil {
		p.Then = []lint.Stage{} // a list in JSON, too
	}
	row := proposalRow{V: 1, Domain: domain, Proposal: p, Commands: []string{}}
	for _, s := range p.Then {
		row.Commands = append(row.Commands, stageCommand(domain, s))
	}
	if e.flags.json {
		for _, s := range servers {
			if row.WebServers == nil {
				row.WebServers = map[string][]string{}
			}
			row.WebServers[s] = webServerLines(s, domain)
		}
		e.printJSON(row)
		return
	}
	if p.Blocked != "" {
		e.out.Linef("%s: no policy can be made", paint(strong, domain.String()))
		block(e.out, 2, "", p.Blocked)
		return
	}
	block(e.out, 0, "", p.Text)
	for _, s := range p.Problems {
		when := "before the policy is enforced, or mail stops: "
		if p.Mode == sts.ModeEnforce {
			when = "mail stops: "
		}
		block(e.out, 2, pad("warning"), when+s.Text)
	}
	for _, c := range p.Changes {
		block(e.out, 2, pad("change"), c)
	}
	e.printSteps(p.Steps)
	for _, s := range servers {
		e.paste("web server", s+", with the file in "+webRoot(domain)+"/.well-known/mta-sts.txt:", webServerLines(s, domain))
	}
	for i, s := range p.Then {
		e.out.Linef("")
		block(e.out, 0, "", fmt.Sprintf("After %s: %s", counted(int(s.After/int64(24*time.Hour/time.Second)), "day"), s.Text))
		for _, l := range s.LookFor {
			block(e.out, 2, pad("first see"), l)
		}
		e.paste("then", "type:", []string{row.Commands[i]})
	}
}
