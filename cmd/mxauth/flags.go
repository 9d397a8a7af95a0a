package main

import (
	"net/netip"
	"time"

	"github.com/spf13/pflag"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
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
	password    string // file with that of the store
	timeout     time.Duration
	helo        string
	probeTime   time.Duration
	json        bool
	concurrency int
	allow       []string
	deny        []string
	exceptions  string
	verbose     bool
	config      string // file of settings
	storeNamed  bool   // store is that of --store, not of the configuration
}

// sharedSettings are the flags of every verb that are settings, too.
var sharedSettings = []string{"resolver", "dnssec", "trust-anchor", "ca-file", "store", "timeout", "helo", "probe-time", "concurrency", "exceptions", "allow-address", "deny-address"}

// add defines the flags in f. Those that are settings get their values by apply.
func (s *sharedFlags) add(f *pflag.FlagSet) {
	s.apply(settings.Defaults())
	settings.Bind(f, sharedSettings)
	f.BoolVar(&s.json, "json", false, "print JSON, one object a line")
	f.BoolVarP(&s.verbose, "verbose", "v", false, "print every step of an answer, and log to standard error what is being done")
	f.StringVar(&s.config, "config", "", "`FILE` to read in place of "+settings.SystemFile)
}

// apply takes the values from settings.
func (f *sharedFlags) apply(s *settings.Settings) {
	f.resolvers, f.dnssec, f.trustAnchor, f.caFile = s.Servers, s.DNSSEC, s.TrustAnchor, s.CAFile
	f.store, f.timeout, f.concurrency, f.allow, f.deny, f.exceptions = s.Store, s.Timeout, s.Concurrency, s.Allow, s.Deny, s.Exceptions
	f.helo, f.probeTime, f.password = s.HELO, s.CheckTime, s.StorePassword
	f.storeNamed = s.Origin("store.path") == "--store"
}

// flagValues are the shared flags that were read from text.
type flagValues struct {
	servers []upstream.Server // empty: the system's
	allow   []netip.Prefix
	deny    []netip.Prefix
	helo    string // "": that of the machine
}

// parse reads the flags; an error is a usage error that names the flag.
func (s *sharedFlags) parse() (flagValues, error) {
	var out flagValues
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
