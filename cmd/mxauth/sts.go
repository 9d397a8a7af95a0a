package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// Exit statuses of the verbs of sts.
const (
	exitSTSAdvice = 1 // lint: valid, with advice; fetch: the domain has no MTA-STS record
	exitSTSBroken = 2 // senders do not take it
	exitSTSFailed = 3 // it could not be looked at
)

// newSTS makes the verb sts and its own verbs.
func newSTS(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "sts",
		Short: "Make, fetch or check an MTA-STS policy",
	}, newSTSMake(e), newSTSFetch(e), newSTSLint(e))
}

func newSTSFetch(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "fetch DOMAIN...",
		Short: "Fetch the policy of a domain now, past every cache, and show how it went",
		Long: `Fetch asks for the TXT record of a domain and fetches its policy as a sending server does:
over TLS that proves mta-sts.DOMAIN, without redirects, text/plain, at most 64 KiB. It
changes no cache.

The exit status is 0 if there is a record and a policy, 1 if there is no record, 2 if the
policy could not be fetched or is invalid, 3 if the record could not be looked up or a
limit of this machine kept the policy from being fetched, 69 if nothing could be looked up
through a fault on this side.`,
		Args: arguments(1, many),
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := parseDomains(args)
			if err != nil {
				return err
			}
			c, err := e.open(cmd.Context(), storeSpare, mxauth.Config{})
			if err != nil {
				return err
			}
			defer c.close()
			code := 0
			for _, d := range names {
				code = worse(code, e.fetchOne(cmd.Context(), c.Policies(), d))
			}
			c.faults.complain(e.out)
			return exitWith(c.faults.status(code))
		},
	}
}

// A fetchRow is what `sts fetch --json` prints of one domain.
type fetchRow struct {
	V           int           `json:"v"`
	Domain      rfc6125.Host  `json:"domain"`
	Record      string        `json:"record,omitempty"`
	ID          string        `json:"id,omitempty"`
	RecordError string        `json:"record_error,omitempty"`
	Host        rfc6125.Host  `json:"host"`
	Address     string        `json:"address,omitempty"`
	TLS         string        `json:"tls,omitempty"`
	NotAfter    *time.Time    `json:"certificate_ends,omitempty"`
	ContentType string        `json:"content_type,omitempty"`
	TookMS      int64         `json:"took_ms"`
	Mode        *sts.Mode     `json:"mode,omitempty"`
	MaxAge      int64         `json:"max_age,omitempty"` // seconds
	MX          []sts.Pattern `json:"mx,omitempty"`
	Policy      string        `json:"policy,omitempty"`
	Error       string        `json:"error,omitempty"`
	ErrorKind   string        `json:"error_kind,omitempty"` // a word of sts.FetchWord

	unknown bool   // the record could not be looked up
	record  string // the record's fault in words
	fetch   string // the fetch's
}

func (e *env) fetchOne(ctx context.Context, c *sts.Client, d rfc6125.Host) int {
	row := fetchRow{V: 1, Domain: d}
	rec, _, rerr := c.Record(ctx, d)
	row.Record, row.ID = rec.Text, rec.ID
	code := 0
	switch {
	case rerr == nil:
	case errors.Is(rerr, sts.ErrNoRecord):
		row.RecordError, code = errorText(rerr), exitSTSAdvice
	default:
		row.RecordError, row.unknown, code = errorText(rerr), true, exitSTSFailed
		row.record = explain.LookupFault(rerr, "the TXT records of _mta-sts."+d.String())
	}
	f, err := c.Fetch(ctx, d)
	row.Host, row.ContentType, row.TookMS, row.Policy = f.Host, f.ContentType, f.Took.Milliseconds(), f.Policy.Text
	if f.Addr.IsValid() {
		row.Address = f.Addr.String()
	}
	if f.TLSVersion != 0 {
		row.TLS = tls.VersionName(f.TLSVersion)
	}
	if len(f.Chain) > 0 {
		row.NotAfter = &f.Chain[0].NotAfter
	}
	if err != nil {
		row.Error, row.ErrorKind, row.fetch = errorText(err), sts.FetchWord(err), explain.FetchFault(d, err, f.Chain, e.now())
		switch {
		case !errors.Is(err, sts.ErrFetch):
			code = exitSTSFailed // by a limit of this machine: nothing is known
		case rerr == nil:
			code = exitSTSBroken
		}
	} else {
		row.Mode, row.MaxAge, row.MX = &f.Policy.Mode, int64(f.Policy.MaxAge/time.Second), f.Policy.MX
	}
	if e.flags.json {
		e.printJSON(row)
		return code
	}
	e.showFetch(row)
	return code
}

func (e *env) showFetch(r fetchRow) {
	switch {
	case r.unknown && r.Error == "":
		e.out.Linef("%s: a policy of mode %s is served; whether a record announces it could not be looked up", r.Domain, *r.Mode)
	case r.unknown:
		e.out.Linef("%s: neither the record could be looked up nor the policy fetched", r.Domain)
	case r.Error == "" && r.RecordError == "":
		e.out.Linef("%s: policy of mode %s, id %s", r.Domain, *r.Mode, r.ID)
	case r.Error == "":
		e.out.Linef("%s: a policy of mode %s is served, and no record announces it: senders ignore it", r.Domain, *r.Mode)
	case r.RecordError == "":
		e.out.Linef("%s: a policy is announced (id %s) and cannot be fetched", r.Domain, r.ID)
	default:
		e.out.Linef("%s: no record and no policy", r.Domain)
	}
	if r.RecordError != "" {
		e.out.Linef("  record   %s", cmp.Or(r.record, r.RecordError))
	} else {
		e.out.Linef("  record   %s", r.Record)
	}
	if r.Error != "" {
		e.out.Linef("  fetch    %s", r.fetch)
	}
	if r.Address != "" {
		e.out.Linef("  host     %s at %s", r.Host, r.Address)
	}
	if r.TLS != "" && r.NotAfter != nil {
		e.out.Linef("  tls      %s, certificate ends %s", r.TLS, day(*r.NotAfter))
	}
	if r.ContentType != "" {
		e.out.Linef("  type     %s, %d ms", r.ContentType, r.TookMS)
	}
	e.quote(r.Policy)
}

// quote prints the text of a policy.
func (e *env) quote(policy string) {
	for line := range strings.Lines(policy) {
		e.out.Linef("  | %s", strings.TrimRight(line, "\r\n"))
	}
}

func newSTSLint(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "lint FILE|DOMAIN...",
		Short: "List every deviation of a policy, and of a domain's record, with line and cure",
		Long: `Lint reads a policy from a file ("-": standard input), or the record and policy of a domain
as they are published, and lists every breach of the grammar (error) and what is valid and
unwise (advice), each with its line and what to write instead.

What has a slash in it, or is the name of a file that is there, is a file; all else is a
domain.

The exit status is 0 if there is nothing to say, 1 if there is advice, 2 if senders do not
take what is published, 3 if it could not be looked at, 69 if nothing could be looked up
through a fault on this side.`,
		Example: `  mxauth sts lint ./mta-sts.txt
  mxauth sts lint example.org`,
		Args: arguments(1, many),
		RunE: func(cmd *cobra.Command, args []string) error {
			var c *client
			code := 0
			for _, a := range args {
				if _, err := os.Stat(a); errors.Is(err, fs.ErrNotExist) && a != "-" && looksLikeFile(a) && noDomainOfURL(a) {
					return noFile(a)
				}
				if a == "-" || isPolicyFile(a) {
					body, err := e.readPolicy(a)
					if err != nil {
						return usageError("%w", err)
					}
					code = worse(code, e.printLint(a, "policy", sts.Lint(body)))
					continue
				}
				names, err := parseDomains([]string{a})
				if err != nil {
					return err
				}
				if c == nil {
					if c, err = e.open(cmd.Context(), storeSpare, mxauth.Config{}); err != nil {
						return err
					}
					defer c.close()
				}
				code = worse(code, e.lintDomain(cmd.Context(), c.Policies(), names[0]))
				c.faults.complain(e.out)
			}
			if c != nil {
				code = c.faults.status(code)
			}
			return exitWith(code)
		},
	}
}

// noDomainOfURL reports whether a text with a slash is no address of a policy without its
// scheme: mta-sts.example.org/.well-known/mta-sts.txt.
func noDomainOfURL(a string) bool {
	return !strings.HasSuffix(a, "/.well-known/mta-sts.txt") || strings.HasPrefix(a, ".") || strings.HasPrefix(a, "/")
}

func isPolicyFile(name string) bool {
	st, err := os.Stat(name)
	if err != nil && (strings.Contains(name, "://") || !noDomainOfURL(name)) {
		return false
	}
	if strings.ContainsRune(name, os.PathSeparator) {
		return true
	}
	return err == nil && st.Mode().IsRegular() || errors.Is(err, fs.ErrPermission)
}

// readPolicy reads a file, one octet more than a policy may have.
func (e *env) readPolicy(name string) ([]byte, error) {
	in, err := e.input(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(io.LimitReader(in, sts.MaxPolicySize+1))
}

func (e *env) lintDomain(ctx context.Context, c *sts.Client, d rfc6125.Host) int {
	_, ans, err := c.Record(ctx, d)
	code := 0
	switch {
	case err != nil && !errors.Is(err, sts.ErrNoRecord):
		e.out.Errorf("%s: %s", d, explain.LookupFault(err, "the TXT records of _mta-sts."+d.String()))
		code = exitSTSFailed
	default:
		code = e.printLint(d.String(), "record", sts.LintRecord(recordTexts(ans)))
	}
	f, err := c.Fetch(ctx, d)
	var fe *sts.FetchError
	switch {
	case err == nil || errors.Is(err, sts.ErrPolicy):
		code = worse(code, e.printLint(d.String(), "policy", sts.Lint([]byte(f.Policy.Text))))
	case errors.As(err, &fe):
		code = worse(code, e.printLint(d.String(), "fetch", []sts.Finding{{Why: explain.FetchFault(d, err, f.Chain, e.now()), Fatal: true}}))
	}
	return code
}

// recordTexts are the TXT records of an answer, each joined.
func recordTexts(a dnssec.Answer) []string {
	var out []string
	for _, r := range a.Records {
		if parts, err := r.TXT(); err == nil {
			out = append(out, strings.Join(parts, ""))
		}
	}
	return out
}

// A lintRow is what `sts lint --json` prints of one finding.
type lintRow struct {
	V       int    `json:"v"`
	Subject string `json:"subject"` // the file or domain
	About   string `json:"about"`   // "record", "policy" or "fetch"
	Level   string `json:"level"`   // "error" or "advice"
	Line    int    `json:"line,omitempty"`
	Field   string `json:"field,omitempty"`
	Text    string `json:"text,omitempty"`
	Why     string `json:"why"`
	Cure    string `json:"cure,omitempty"`
}

// printLint prints findings and returns the exit status that they make.
func (e *env) printLint(subject, about string, fs []sts.Finding) int {
	code := 0
	if len(fs) == 0 && !e.flags.json {
		e.out.Linef("%s: the %s is good", subject, about)
	}
	for _, f := range fs {
		row := lintRow{1, subject, about, "advice", f.Line, f.Field, f.Text, f.Why, f.Cure}
		code = worse(code, exitSTSAdvice)
		if f.Fatal {
			row.Level, code = "error", exitSTSBroken
		}
		if e.flags.json {
			e.printJSON(row)
			continue
		}
		e.showFinding(row)
	}
	return code
}

func (e *env) showFinding(r lintRow) {
	mark := paint(fair, r.Level)
	if r.Level == "error" {
		mark = paint(bad, r.Level)
	}
	switch {
	case r.Line > 0:
		e.out.Linef("%s:%d: %s: %s", r.Subject, r.Line, mark, r.Why)
	default:
		e.out.Linef("%s: %s: %s: %s", r.Subject, r.About, mark, r.Why)
	}
	if r.Text != "" {
		e.out.Linef("    found: %s", strconv.QuoteToASCII(r.Text))
	}
	if r.Cure != "" {
		e.out.Linef("    cure:  %s", r.Cure)
	}
}
