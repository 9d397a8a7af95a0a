package main

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/pflag"

	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/engine/probe"
)

// The two sources of a security status, in the words that evidence is written with.
const (
	modeValidate = evidence.ModeValidate
	modeTrustAD  = evidence.ModeTrustAD
)

// Bounds of --concurrency. The default keeps a laptop's resolver at ease; the upper
// end keeps sockets under the usual limit of 1024 open files.
const (
	defaultConcurrency = 16
	maxConcurrency     = 200
)

// sharedFlags are the flags of every verb, as typed.
type sharedFlags struct {
	resolvers   []string
	dnssec      string
	trustAnchor string
	caFile      string
	store       string
	timeout     time.Duration
	helo        string
	probeTime   time.Duration
	json        bool
	concurrency int
	allow       []string
	deny        []string
	exceptions  string
	verbose     bool
}

// add defines the flags in f.
func (s *sharedFlags) add(f *pflag.FlagSet) {
	f.StringArrayVar(&s.resolvers, "resolver", nil, "recursive resolver to ask: `ADDR[:PORT]`, tls://HOST or https://HOST/PATH (repeatable; default: those of /etc/resolv.conf)")
	f.StringVar(&s.dnssec, "dnssec", modeValidate, "`SOURCE` of the security status: validate (proved here) or trust-ad (believe the resolver)")
	f.StringVar(&s.trustAnchor, "trust-anchor", "", "`FILE` with DS or DNSKEY lines to trust in place of the root's built-in keys")
	f.StringVar(&s.caFile, "ca-file", "", "PEM `FILE` of the certification authorities to trust in place of the system's")
	f.StringVar(&s.store, "store", "memory", "where MTA-STS policies are kept: memory, bolt:FILE, or a redis:// or rediss:// `URL`")
	f.DurationVar(&s.timeout, "timeout", 0, "longest `TIME` to wait for one DNS answer, one policy fetch or one mail host (default: 10s or so, as fits each)")
	f.StringVar(&s.helo, "helo", "", "`NAME` of this machine to give to mail hosts in EHLO, or its address in brackets (default: its full name, if it knows one)")
	f.DurationVar(&s.probeTime, "probe-time", probe.DefaultPlanTimeout, "longest `TIME` for connecting to all mail hosts of one domain")
	f.BoolVar(&s.json, "json", false, "print JSON, one object a line")
	f.IntVar(&s.concurrency, "concurrency", defaultConcurrency, fmt.Sprintf("`NUMBER` of domains looked at side by side, up to %d", maxConcurrency))
	f.StringVar(&s.exceptions, "exceptions", "", "TOML `FILE` of exceptions: what may pass for a while although a policy forbids it")
	f.StringArrayVar(&s.allow, "allow-address", nil, "a policy host may lie in this special-purpose `PREFIX`, such as 127.0.0.0/8 (repeatable)")
	f.StringArrayVar(&s.deny, "deny-address", nil, "a policy host may not lie in this `PREFIX`, whatever is allowed (repeatable)")
	f.BoolVarP(&s.verbose, "verbose", "v", false, "print every step of an answer, and log to standard error what is being done")
}

// A setting is the shared flags once read.
type setting struct {
	servers []upstream.Server // empty: the system's
	allow   []netip.Prefix
	deny    []netip.Prefix
	helo    string             // "": that of the machine
	record  *evidence.Recorder // nil: nothing is recorded
}

// parse reads the flags; an error is a usage error that names the flag.
func (s *sharedFlags) parse() (setting, error) {
	var out setting
	if s.dnssec != modeValidate && s.dnssec != modeTrustAD {
		return out, usageError("--dnssec: %.40q is neither %s nor %s", s.dnssec, modeValidate, modeTrustAD)
	}
	for _, r := range s.resolvers {
		srv, err := upstream.ParseServer(r)
		if err != nil {
			return out, usageError("--resolver: %w", err)
		}
		out.servers = append(out.servers, srv)
	}
	for _, l := range []struct {
		flag  string
		texts []string
		to    *[]netip.Prefix
	}{{"allow-address", s.allow, &out.allow}, {"deny-address", s.deny, &out.deny}} {
		for _, a := range l.texts {
			p, err := parsePrefix(a)
			if err != nil {
				return out, usageError("--%s: %.60q is no address prefix such as 127.0.0.0/8", l.flag, a)
			}
			*l.to = append(*l.to, p)
		}
	}
	if s.helo != "" {
		name, err := probe.ParseHELO(s.helo)
		if err != nil {
			return out, usageError("--helo: %w", err)
		}
		out.helo = name
	}
	if s.probeTime <= 0 {
		return out, usageError("--probe-time: %v is not positive", s.probeTime)
	}
	if s.timeout < 0 {
		return out, usageError("--timeout: %v is negative", s.timeout)
	}
	if s.concurrency < 1 || s.concurrency > maxConcurrency {
		return out, usageError("--concurrency: %d is not from 1 to %d", s.concurrency, maxConcurrency)
	}
	return out, nil
}

// parsePrefix reads a prefix, or an address as the prefix of it alone.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}
