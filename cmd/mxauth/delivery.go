package main

import (
	"cmp"
	"encoding"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/rfc6125"
)

// deliveryFlags describe the delivery that check and plan ask about: local policy,
// route and the flags of the message.
type deliveryFlags struct {
	level         string
	smarthost     string
	port          uint16
	requireTLS    bool
	tlsRequiredNo bool
	nullReturn    bool
	report        bool
	insecureMX    string
	daneAndSTS    string
	undetermined  string
	mxAlias       string
	names         []string
	noCNID        bool
	noClear       bool
	audit         bool
	noAddrDefer   bool
	lowerAll      bool
	own           []string
	short         bool // of the answer
	evidence      string
	lost          string        // what the loss of a protection does
	hold          time.Duration // for how long
	tlsrptSocket  string
	monitor       monitorFlags // of check
}

// The words of the flags that take one, for help and errors; package engine reads them.
const (
	levels        = "default, opportunistic, dane, dane-only, sts or secure"
	insecureMXs   = "dane, encrypt or may"
	daneAndSTSs   = "dane-first or both"
	undetermineds = "proceed or defer"
	losses        = "accept, alert or defer"
)

// deliverySettings are the flags of check and plan that are settings, too.
var deliverySettings = []string{"level", "insecure-mx", "dane-and-sts", "sts-undetermined", "mx-alias", "name", "no-cn-id", "no-clear-fallback",
	"no-address-defer", "lower-all", "own", "memory", "memory-hold", "audit"}

// add defines the flags in f. Those that are settings get their values by apply.
func (d *deliveryFlags) add(f *pflag.FlagSet) {
	settings.Bind(f, deliverySettings)
	f.StringVar(&d.smarthost, "smarthost", "", "all mail is routed to this `NEXTHOP`: a domain, or [HOST] or [HOST]:PORT without MX lookup")
	f.Uint16Var(&d.port, "port", 0, "`PORT` of the MX hosts (default 25, or that of the next hop)")
	f.BoolVar(&d.requireTLS, "requiretls", false, "the message has the REQUIRETLS parameter (RFC 8689)")
	f.BoolVar(&d.tlsRequiredNo, "tls-required-no", false, "the message has the header field TLS-Required: No (RFC 8689)")
	f.BoolVar(&d.nullReturn, "null-return-path", false, "the message is a bounce, its return path is null")
	f.BoolVar(&d.report, "tlsrpt-report", false, "the message is a TLSRPT report (RFC 8460)")
}

// apply takes the values from settings.
func (d *deliveryFlags) apply(s *settings.Settings) {
	d.level, d.insecureMX, d.daneAndSTS, d.undetermined, d.mxAlias = s.Level, s.InsecureMX, s.DANEAndSTS, s.STSUndetermined, s.MXAlias
	d.names, d.noCNID, d.noClear, d.noAddrDefer, d.lowerAll, d.audit = s.Names, s.NoCNID, s.NoClearFallback, s.NoAddressDefer, s.LowerAll, s.Audit
	d.own, d.lost, d.hold = s.Own, s.Memory, s.MemoryHold
}

// defaults puts the default of each word that is not given, for flags that did not come
// from a command line.
func (d *deliveryFlags) defaults() {
	for _, w := range []struct {
		to   *string
		word string
	}{
		{&d.level, "default"}, {&d.insecureMX, "dane"}, {&d.daneAndSTS, "dane-first"},
		{&d.undetermined, "proceed"}, {&d.mxAlias, "follow"}, {&d.lost, memory.Accept.String()},
	} {
		*w.to = cmp.Or(*w.to, w.word)
	}
}

// request makes the request of the flags, without the next hop unless there is a
// smarthost. An error is a usage error that names the flag.
func (d *deliveryFlags) request() (engine.Request, error) {
	r := engine.Request{
		Port: d.port, RequireTLS: d.requireTLS, TLSRequiredNo: d.tlsRequiredNo,
		NullReturnPath: d.nullReturn, TLSRPTReport: d.report, Sorted: true,
	}
	for _, w := range []struct {
		flag, value string
		to          encoding.TextUnmarshaler
		words       string
	}{
		{"level", d.level, &r.Level, levels},
		{"insecure-mx", d.insecureMX, &r.Options.InsecureMX, insecureMXs},
		{"dane-and-sts", d.daneAndSTS, &r.Options.DANEAndSTS, daneAndSTSs},
		{"sts-undetermined", d.undetermined, &r.Options.STSUndetermined, undetermineds},
	} {
		if err := w.to.UnmarshalText([]byte(w.value)); err != nil {
			return r, usageError("--%s: %.40q is not %s", w.flag, w.value, w.words)
		}
	}
	switch d.mxAlias {
	case "follow":
	case "refuse":
		r.Options.RefuseMXAlias = true
	default:
		return r, usageError("--mx-alias: %.40q is neither follow nor refuse", d.mxAlias)
	}
	r.Options.NoCNID, r.Options.NoClearFallback, r.Options.Audit = d.noCNID, d.noClear, d.audit
	r.Options.NoAddressDefer, r.Options.LowerAll = d.noAddrDefer, d.lowerAll
	if d.lowerAll && r.Level != engine.LevelDANEOnly && r.Level != engine.LevelSecure {
		return r, usageError("--lower-all counts at --level dane-only or secure alone")
	}
	if len(d.names) > 0 && r.Level != engine.LevelSecure && !d.requireTLS {
		return r, usageError("--name counts at --level secure, or with --requiretls, alone")
	}
	for _, n := range d.names {
		h, err := rfc6125.ParseHost(n)
		if err != nil {
			return r, usageError("--name: %w", err)
		}
		r.Options.Names = append(r.Options.Names, h)
	}
	if d.smarthost != "" {
		r.Smarthost, r.NextHop = true, d.smarthost
		if err := checkNextHop(d.smarthost); err != nil {
			return r, usageError("--smarthost: %w", err)
		}
	}
	return r, nil
}

// configure puts into the configuration of a client what the flags say of this MTA and of
// what it remembers in the store that --store names.
func (d *deliveryFlags) configure(c *mxauth.Config, store string) (err error) {
	for _, o := range d.own {
		if a, err := netip.ParseAddr(o); err == nil {
			c.OwnAddresses = append(c.OwnAddresses, a)
			continue
		}
		h, err := rfc6125.ParseHost(o)
		if err != nil {
			return usageError("--own: %w", err)
		}
		c.OwnHosts = append(c.OwnHosts, h)
	}
	c.Memory, err = d.memory(store)
	return err
}

// memory reads what is remembered in a store; nil: nothing is, since a store in memory
// forgets at the end of the program.
func (d *deliveryFlags) memory(store string) (*memory.Config, error) {
	m := &memory.Config{Hold: d.hold}
	if err := m.Action.UnmarshalText([]byte(d.lost)); err != nil {
		return nil, usageError("--memory: %.40q is not %s", d.lost, losses)
	}
	if d.hold < time.Second || d.hold > memory.MaxHold {
		return nil, usageError("--memory-hold: %v is not from 1s to %v", d.hold, memory.MaxHold)
	}
	if store != storeMemory {
		return m, nil
	}
	if m.Action != memory.Accept {
		return nil, &exitError{code: exitUsage, err: fmt.Errorf("--memory %s: a store in memory forgets at the end", m.Action),
			hint: "name a persistent store with --store bolt:FILE or --store redis://HOST"}
	}
	return nil, nil
}

// checkDomain says that a text is no domain, which a next hop in brackets is not.
func checkDomain(s string) error {
	if strings.HasPrefix(s, "[") {
		return fmt.Errorf("%.80q is a host or an address; want the domain after the @", s)
	}
	return checkNextHop(s)
}

// checkNextHop says at once, before anything is opened or asked, that a text is no
// domain. Text in brackets is left to the engine.
func checkNextHop(s string) error {
	if strings.HasPrefix(s, "[") {
		return nil
	}
	if err := noDomain(s); err != nil {
		return err
	}
	_, err := rfc6125.ParseHost(s)
	return err
}
