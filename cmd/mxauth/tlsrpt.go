package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/advise/reports"
	"github.com/mxauth/mxauth/internal/zonefile"
	"github.com/mxauth/mxauth/tlsrpt"
)

// exitReportsFailures is the exit status of tlsrpt read where sessions failed, and some of
// the failures are not over.
const exitReportsFailures = 1

// newTLSRPT makes the verb tlsrpt and its own verbs.
func newTLSRPT(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "tlsrpt",
		Short: "Read the reports that senders mail to you, or make the record that asks for them",
	}, newTLSRPTRead(e), newTLSRPTMake(e))
}

func newTLSRPTRead(e *env) *cobra.Command {
	return &cobra.Command{
		Use:         "read FILE...",
		Annotations: map[string]string{ownSettings: "yes"},
		Short:       "Sum up TLSRPT reports: what failed, since when, and what to do",
		Long: `Read takes reports as senders deliver them (RFC 8460): the JSON text, gzip, or the whole
message with one; "-" is standard input. It sums over all files, counts a report that is
there twice only once, and prints each way in which deliveries failed with its cure, the
present ones first.

Nothing in a report is proved. Read does not verify DKIM signatures: let your mail server
do that before it stores the message.

The exit status is 0 if no delivery failed, or each failure has ended (its senders have
reported later days without it); 1 if some still fail; 64 if a file holds no report (the
other files are read nevertheless).`,
		Example: `  mxauth tlsrpt read google.com!example.org!1777593600!1777679999.json.gz
  mxauth tlsrpt read --json - < report.eml`,
		Args: arguments(1, many),
		RunE: func(_ *cobra.Command, args []string) error {
			var c reports.Collector
			bad := 0
			for _, name := range args {
				r, err := e.readReport(name)
				if err != nil {
					bad++
					e.out.Errorf("%s: %s", name, errorText(err))
					continue
				}
				c.Add(r)
			}
			s := c.Summary()
			switch {
			case e.flags.json:
				e.printJSON(struct {
					V int `json:"v"`
					reports.Summary
				}{1, s})
			case s.Reports > 0:
				e.printReports(s)
			}
			if err := e.out.flushed(); err != nil {
				return err
			}
			if bad > 0 {
				return &exitError{code: exitUsage, err: fmt.Errorf("%d of %d files hold no report", bad, len(args)),
					hint: "a report is JSON, gzip of it, or a message with an attachment of type " + tlsrpt.MediaTypeGzip}
			}
			for _, f := range s.Faults {
				if !f.Over {
					return exitWith(exitReportsFailures)
				}
			}
			return nil
		},
	}
}

// readReport reads the report in a file.
func (e *env) readReport(name string) (tlsrpt.Report, error) {
	in, err := e.input(name)
	if err != nil {
		return tlsrpt.Report{}, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, tlsrpt.MaxMessage+1))
	if err != nil {
		return tlsrpt.Report{}, err
	}
	return tlsrpt.Parse(b)
}

// printReports prints a summary for people.
func (e *env) printReports(s reports.Summary) {
	span := s.Begin.UTC().Format(time.DateOnly)
	if end := s.End.UTC().Format(time.DateOnly); end != span {
		span += " to " + end
	}
	e.out.Linef("%s of %s, %s", counted(s.Reports, "report"), counted(len(s.Senders), "sender"), span)
	if s.Duplicates > 0 {
		e.out.Linef("%s left out: they were there already", counted(s.Duplicates, "report"))
	}
	for _, d := range s.Domains {
		if d.Success == 0 && d.Failure == 0 {
			continue
		}
		verdict := paint(good, "none failed")
		if d.Failure > 0 {
			verdict = paint(bad, fmt.Sprintf("%d failed", d.Failure))
		}
		e.out.Linef("  %s, %s: %d sessions, %s", cmp.Or(d.Domain, "(no domain)"), policyWords[d.Policy], d.Success+d.Failure, verdict)
	}
	for _, f := range s.Faults {
		e.out.Linef("")
		block(e.out, 0, "", f.Cause)
		when := "since " + f.First.UTC().Format(time.DateOnly) + ", last on " + f.Last.UTC().Format(time.DateOnly)
		if f.First.UTC().Format(time.DateOnly) == f.Last.UTC().Format(time.DateOnly) {
			when = "on " + f.First.UTC().Format(time.DateOnly)
		}
		if f.Over {
			when += "; no longer in later reports"
		}
		block(e.out, 2, pad("sessions"), fmt.Sprintf("%d, %s", f.Sessions, when))
		from := strings.Join(f.Senders, ", ")
		block(e.out, 2, pad("reported by"), from+" as "+strings.Join(append([]string{string(f.Type)}, f.Codes...), ", "))
		if !f.Over {
			block(e.out, 2, "what to do: ", f.Cure)
		}
	}
	if s.Left > 0 {
		e.out.Linef("")
		e.out.Linef("%d further failed sessions in more kinds than are told apart", s.Left)
	}
}

// policyWords are the policy types of RFC 8460 in words.
var policyWords = map[tlsrpt.PolicyType]string{
	tlsrpt.PolicyTLSA: "DANE", tlsrpt.PolicySTS: "MTA-STS", tlsrpt.PolicyNoFound: "without a policy",
}

func newTLSRPTMake(e *env) *cobra.Command {
	var rua []string
	cmd := &cobra.Command{
		Use:         "make DOMAIN",
		Annotations: map[string]string{ownSettings: "yes"},
		Short:       "Print the record that asks senders for reports, ready to paste",
		Long: `Make prints the TXT record _smtp._tls.DOMAIN (RFC 8460 section 3). Senders that check DANE
or MTA-STS then mail a report each day to the address; have somebody, or mxauth tlsrpt
read, look at them. The address may be of another domain; choose one whose mail does not
depend on what the reports are about.`,
		Example: `  mxauth tlsrpt make example.org
  mxauth tlsrpt make --to mailto:tls@reports.example.net example.org`,
		Args: arguments(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			names, err := parseDomains(args)
			if err != nil {
				return err
			}
			d := names[0]
			owner, err := tlsrpt.RecordName(d)
			if err != nil {
				return usageError("%w", err)
			}
			to := rua
			if len(to) == 0 {
				to = []string{"mailto:tlsrpt@" + d.String()}
			}
			text := "v=TLSRPTv1; rua=" + strings.Join(to, ",")
			record, err := tlsrpt.ParseRecord(text)
			if err != nil || len(record.Destinations()) != len(to) {
				return &exitError{code: exitUsage, err: fmt.Errorf("--to: senders would not take %q", strings.Join(to, ",")),
					hint: "an address is mailto:NAME@DOMAIN or https://HOST/PATH; a comma, semicolon or exclamation point in it is written %2C, %3B or %21"}
			}
			line := fmt.Sprintf("%s. 3600 IN TXT %s", strings.TrimSuffix(owner.String(), "."), zonefile.TXT(text))
			if e.flags.json {
				e.printJSON(struct {
					V      int    `json:"v"`
					Owner  string `json:"owner"`
					Type   string `json:"type"`
					Text   string `json:"text"`
					Record string `json:"record"`
				}{1, strings.TrimSuffix(owner.String(), ".") + ".", "TXT", text, line})
			} else {
				e.out.Linef("%s", line)
			}
			return e.out.flushed()
		},
	}
	cmd.Flags().StringArrayVar(&rua, "to", nil, "`URI` that reports are sent to, mailto: or https: (repeatable; default mailto:tlsrpt@DOMAIN)")
	return cmd
}
