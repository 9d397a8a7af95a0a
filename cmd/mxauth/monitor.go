package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// monitorFlags are the flags of check for scripts and monitoring.
type monitorFlags struct {
	quiet, strict, nagios bool
	warnDays, critDays    int
	watch                 time.Duration // 0: once
	only4, only6          bool
	oneCertificate        bool
}

// minWatch bounds --watch: a mail host takes connections from mail servers, which come back
// after minutes.
const minWatch = 10 * time.Second

// add defines the flags of cmd.
func (m *monitorFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVarP(&m.quiet, "quiet", "q", false, "print no answer; the exit status is the answer")
	f.BoolVar(&m.strict, "strict", false, "status 1, not 0, if a host with a better preference failed and another one took the mail")
	f.BoolVar(&m.nagios, "nagios", false, "one line with performance data and the statuses of a Nagios plugin")
	f.IntVar(&m.warnDays, "warn-days", defaultWarnDays, "with --nagios: WARNING if a certificate ends in fewer `DAYS`")
	f.IntVar(&m.critDays, "crit-days", defaultCritDays, "with --nagios: CRITICAL if a certificate ends in fewer `DAYS`")
	f.DurationVar(&m.watch, "watch", 0, "check again after each `TIME`, such as 10m, and print only what changes")
	f.BoolVarP(&m.only4, "ipv4", "4", false, "connect to IPv4 addresses of mail hosts only")
	f.BoolVar(&m.oneCertificate, "one-certificate", false, "take the first certificate that a host shows for its only one: one connection less")
	f.BoolVarP(&m.only6, "ipv6", "6", false, "connect to IPv6 addresses of mail hosts only")
}

// check says which of the flags exclude each other, or want another argument.
func (m *monitorFlags) check(cmd *cobra.Command, e *env, d *deliveryFlags, args []string) error {
	changed := cmd.Flags().Changed
	var forms []string // each is another form of the answer
	for _, f := range []struct {
		name string
		set  bool
	}{{"--nagios", m.nagios}, {"--quiet", m.quiet}, {"--json", e.flags.json}, {"--short", d.short}} {
		if f.set {
			forms = append(forms, f.name)
		}
	}
	switch list := slices.Contains(args, "-"); {
	case len(forms) > 1 && (m.nagios || m.quiet):
		return usageError("%s and %s exclude each other", forms[0], forms[1])
	case m.only4 && m.only6:
		return usageError("-4 and -6 exclude each other")
	case !m.nagios && (changed("warn-days") || changed("crit-days")):
		return usageError("--warn-days and --crit-days count with --nagios alone")
	case m.nagios && (len(args) > 1 || list):
		return &exitError{code: exitUsage, err: fmt.Errorf("--nagios needs one domain as its argument"), hint: "define a service for each domain"}
	case m.nagios && (m.critDays < 0 || m.warnDays < m.critDays):
		return usageError("--warn-days %d and --crit-days %d: want 0 <= --crit-days <= --warn-days", m.warnDays, m.critDays)
	case !changed("watch"):
		return nil
	case m.watch < minWatch:
		return usageError("--watch: %v is less than %v", m.watch, minWatch)
	case m.nagios || m.quiet:
		return usageError("--watch and %s exclude each other", forms[0])
	case d.evidence != "" || d.tlsrptSocket != "":
		return usageError("--watch goes with neither --evidence nor --tlsrpt-socket")
	case list:
		return usageError("--watch needs its domains as arguments")
	}
	return nil
}

// network is the network of the flags -4 and -6, as in mxauth.Config.
func (m *monitorFlags) network() string {
	switch {
	case m.only4:
		return "tcp4"
	case m.only6:
		return "tcp6"
	}
	return ""
}

// overtaken says that a host failed although it has a better preference than the first that
// takes the mail; "" if none did.
func (v *verdict) overtaken() string {
	if v.err != nil {
		return ""
	}
	for i, h := range v.Plan.Hosts {
		if !v.Hosts[i].Decision.Deliver {
			continue
		}
		for j := range i {
			if b := v.Plan.Hosts[j]; b.Preference < h.Preference {
				return fmt.Sprintf("%s (preference %d) failed, and %s (preference %d) takes the mail", b.String(), b.Preference, h.String(), h.Preference)
			}
		}
		return ""
	}
	return ""
}
