package survey

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/specialaddr"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
	"github.com/mxauth/mxauth/tlsrpt"
)

// What a domain publishes beyond what a sender asks for: records at names where no sender
// looks, a policy that nothing announces, the addresses of the policy host one by one.

// dialTimeout is how long an address of the policy host has to accept a connection; a sender
// waits about as long before it tries the next one.
const dialTimeout = 5 * time.Second

// maxPolicyAddresses bounds the addresses of a policy host that are tried.
const maxPolicyAddresses = 8

// maxCandidates bounds the names that are looked up because they may have been meant.
const maxCandidates = 16

// ask looks one question up.
func ask(ctx context.Context, r dnssec.Resolver, n rfc6125.Name, t dnssec.Type) dane.Lookup {
	if !n.IsValid() {
		return dane.Lookup{}
	}
	a, err := r.Resolve(ctx, dnssec.Question{Name: n, Type: t})
	return dane.Lookup{Answer: a, Err: err}
}

// below puts labels in front of a name; the zero Name if that is too long.
func below(n rfc6125.Name, labels ...string) rfc6125.Name {
	for _, l := range slices.Backward(labels) {
		var err error
		if n, err = n.Child(l); err != nil {
			return rfc6125.Name{}
		}
	}
	return n
}

// Texts are the TXT records of an answer, each with its strings joined.
func Texts(l dane.Lookup) []string {
	var out []string
	for _, rr := range l.Answer.Records {
		if parts, err := rr.TXT(); err == nil {
			out = append(out, strings.Join(parts, ""))
		}
	}
	return out
}

// records asks for both TXT records, and where one is missing for names at which it may
// have been put by mistake.
func (s *Snapshot) records(ctx context.Context, c Config) {
	dom := s.Plan.Orig.Name()
	s.STSRecord = ask(ctx, c.Client.Resolver(), below(dom, "_mta-sts"), dnssec.TypeTXT)
	s.TLSRPTRecord = ask(ctx, c.Client.Resolver(), below(dom, "_smtp", "_tls"), dnssec.TypeTXT)
	first := dom.Label(0)
	// The domain's own name at the end of a name that lacks its dot: _mta-sts.X.X.
	twice := below(dom, labels(dom)...)
	search := func(standard string, here dane.Lookup, means func(string) bool, names ...rfc6125.Name) {
		if here.Err != nil || slices.ContainsFunc(Texts(here), means) {
			return
		}
		for _, n := range names {
			l := ask(ctx, c.Client.Resolver(), n, dnssec.TypeTXT)
			for _, t := range Texts(l) {
				// What a wildcard or an alias brings to any name is not put here.
				if l.Err == nil && means(t) {
					s.Elsewhere = append(s.Elsewhere, Misplaced{standard, n, t})
				}
			}
		}
	}
	search("MTA-STS", s.STSRecord, sts.MeansRecord, dom, below(dom, "mta-sts"), below(dom, "_mta_sts"), below(dom, "_mtasts"), below(dom, "_sts"),
		below(dom, "_mta-sts", "_tls"), below(dom, "_mta-sts", "mta-sts"), below(dom, "_mta-sts", first), below(twice, "_mta-sts"))
	search("TLSRPT", s.TLSRPTRecord, tlsrpt.MeansRecord, dom, below(dom, "_tls"), below(dom, "_tlsrpt"), below(dom, "_smtp"), below(dom, "_smtp-tls"), below(dom, "_smtp_tls"),
		below(dom, "smtp", "_tls"), below(dom, "_smtp", "tls"), below(dom, "_smtp-tlsrpt"), below(dom, "_mta-sts"), below(dom, "_smtp", "_tls", first), below(twice, "_smtp", "_tls"))
}

// labels are those of a name, the first first.
func labels(n rfc6125.Name) []string {
	out := make([]string, n.NumLabels())
	for i := range out {
		out[i] = n.Label(i)
	}
	return out
}

// policyHost asks for the addresses of the policy host, and tries each.
func (s *Snapshot) policyHost(ctx context.Context, c Config) {
	if !s.Plan.Orig.IsValid() {
		return
	}
	n := below(s.Plan.Orig.Name(), "mta-sts")
	s.PolicyHost = [2]dane.Lookup{ask(ctx, c.Client.Resolver(), n, dnssec.TypeA), ask(ctx, c.Client.Resolver(), n, dnssec.TypeAAAA)}
	if c.Dial == nil || s.Plan.STS.TXTErr != nil {
		return
	}
	const https = 443
	tried, alive := 0, 0
	var dead []DeadAddress
	for _, l := range s.PolicyHost {
		for _, rr := range l.Answer.Records {
			a := rr.Addr()
			if len(special([]netip.Addr{a}, c.Allow)) > 0 || tried == maxPolicyAddresses {
				continue
			}
			tried++
			at := netip.AddrPortFrom(a.Unmap(), https)
			dctx, cancel := context.WithTimeout(ctx, dialTimeout)
			conn, err := c.Dial(dctx, at)
			cancel()
			switch {
			case err == nil:
				alive++
				_ = conn.Close() // nothing was written
			case !ownFault(err):
				dead = append(dead, DeadAddress{at, err})
			}
		}
	}
	if alive > 0 {
		s.DeadPolicyHost = dead
	}
}

// ownFault reports whether a connection failed because this machine has no such network.
func ownFault(err error) bool {
	for _, e := range []error{syscall.ENETUNREACH, syscall.EAFNOSUPPORT, syscall.EADDRNOTAVAIL, syscall.EPERM, syscall.EACCES, context.Canceled} {
		if errors.Is(err, e) {
			return true
		}
	}
	return dnssec.IsShortage(err)
}

// served fetches the policy that senders do not take, to see what is wrong with it.
func (s *Snapshot) served(ctx context.Context, c Config) {
	r := &s.Plan.STS
	if !s.Plan.Orig.IsValid() || r.Pending {
		return
	}
	noRecord := errors.Is(r.TXTErr, sts.ErrNoRecord)
	if !noRecord && !errors.Is(r.FetchErr, sts.ErrPolicy) {
		return
	}
	if len(s.PolicyHost[0].Answer.Records)+len(s.PolicyHost[1].Answer.Records) == 0 {
		return
	}
	f, err := c.Client.Policies().Fetch(ctx, s.Plan.Orig)
	if err == nil || errors.Is(err, sts.ErrPolicy) {
		s.Served = &f
	}
}

// exists looks up names that may have been meant by an MX record, or that are missing in
// the MX records.
func (s *Snapshot) exists(ctx context.Context, c Config) {
	s.Exists = map[rfc6125.Host]bool{}
	for _, h := range candidates(s) {
		if _, known := s.Exists[h]; known || len(s.Exists) == maxCandidates {
			continue
		}
		a, aaaa := ask(ctx, c.Client.Resolver(), h.Name(), dnssec.TypeA), ask(ctx, c.Client.Resolver(), h.Name(), dnssec.TypeAAAA)
		s.Exists[h] = len(a.Answer.Records)+len(aaaa.Answer.Records) > 0
	}
}

// candidates are the names that exists looks up.
func candidates(s *Snapshot) []rfc6125.Host {
	if !s.Plan.Orig.IsValid() {
		return nil
	}
	var out []rfc6125.Host
	for i := range s.Plan.Hosts {
		if h, ok := Meant(s.Plan.Hosts[i].Name, s.Plan.Orig); ok {
			out = append(out, h)
		}
	}
	if pol := s.Plan.STS.Policy; pol != nil && s.Plan.MX.Row == "M5" {
		for _, m := range pol.MX {
			if h, err := rfc6125.ParseHost(m.String()); err == nil {
				out = append(out, h)
			}
		}
	}
	if s.Plan.MX.Row == "M5" {
		for _, l := range []string{"mail", "mx", "mx1", "smtp"} {
			if h, err := rfc6125.HostFromName(below(s.Plan.Orig.Name(), l)); err == nil {
				out = append(out, h)
			}
		}
	}
	return out
}

// Meant is the host that an MX record means which was entered as a relative name: mail. for
// mail.X, or mx.X.X. for mx.X (a name without its final dot in the zone file of X). ok is
// false for names that show no such mistake.
func Meant(host, domain rfc6125.Host) (meant rfc6125.Host, ok bool) {
	if !host.IsValid() || !domain.IsValid() {
		return rfc6125.Host{}, false
	}
	n, dom := host.Name(), domain.Name()
	switch {
	case host.String() == "localhost":
		return rfc6125.Host{}, false
	case n.NumLabels() == 1:
		n = below(dom, n.Label(0))
	case strings.HasSuffix("."+host.String(), "."+domain.String()+"."+domain.String()):
		n = below(rfc6125.RootName(), labels(n)[:n.NumLabels()-dom.NumLabels()]...)
	default:
		return rfc6125.Host{}, false
	}
	h, err := rfc6125.HostFromName(n)
	return h, err == nil
}

// special are the addresses that the rest of the Internet does not reach.
func special(addrs []netip.Addr, allow []netip.Prefix) []SpecialAddress {
	var out []SpecialAddress
	for _, a := range addrs {
		use := specialaddr.Purpose(a)
		if use != "" && !slices.ContainsFunc(allow, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) }) {
			out = append(out, SpecialAddress{a, use})
		}
	}
	return out
}
