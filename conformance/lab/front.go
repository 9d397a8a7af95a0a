package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnsfake"
)

// A frontKind is a kind of recursive server.
type frontKind int

const (
	validating frontKind = iota
	plain
	stripping
	lying
	ignoringCD
	frontKinds
)

// A front is one recursive server, over UDP and TCP.
type front struct {
	kind  frontKind
	lab   *Lab
	addr  netip.AddrPort
	close func() error
}

// Sizes of answers over UDP in octets: what the lab's servers send at most (RFC 9715),
// and what a client without EDNS takes (RFC 1035 section 4.2.1).
const (
	maxUDP   = 1232
	plainUDP = 512
)

// listen starts the fronts.
func (l *Lab) listen() error {
	for k := range frontKinds {
		f := &front{kind: k, lab: l}
		at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 0)
		if l.real {
			at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 9, 0, byte(k) + 1}), 53)
		}
		var err error
		if f.addr, f.close, err = dnsfake.Serve(at, f); err != nil {
			return fmt.Errorf("lab: resolver: %w", l.inUse(err))
		}
		l.fronts[k] = f
	}
	if !l.real {
		return nil
	}
	for at, ep := range l.ports {
		if at.Addr().Is4() && !ep.refuses && !ep.swallows {
			if _, err := ep.listening(l); err != nil {
				return fmt.Errorf("lab: %w", l.inUse(err))
			}
		}
	}
	return nil
}

// inUse explains why an address of the lab cannot be bound. The real addresses are fixed, so
// a second lab fails at the first of them.
func (l *Lab) inUse(err error) error {
	if l.real && errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: only one lab with real ports can run on a machine at a time; wait for the other (mxconform lab, or a test) or stop it", err)
	}
	return err
}

// ServeDNS answers one message.
func (f *front) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	m.CheckingDisabled = q.CheckingDisabled
	m.Compress = true
	if len(q.Question) != 1 || q.Question[0].Qclass != dns.ClassINET {
		m.Rcode = dns.RcodeFormatError
		_ = w.WriteMsg(m)
		return
	}
	_, udp := w.RemoteAddr().(*net.UDPAddr)
	size, do := plainUDP, false
	opt := q.IsEdns0()
	if opt != nil {
		size, do = min(max(int(opt.UDPSize()), plainUDP), maxUDP), opt.Do()
		m.SetEdns0(maxUDP, do)
	}
	f.lab.mu.RLock()
	r := f.lab.tree.resolve(fqdn(q.Question[0].Name), q.Question[0].Qtype)
	f.lab.mu.RUnlock()
	switch r.fault {
	case Timeout:
		return
	case Malformed:
		if raw, err := m.Pack(); err == nil {
			raw[7]++ // an answer is announced that is not there
			_, _ = w.Write(raw)
		}
		return
	case ServFail:
		f.fail(m, verdict{ede: dns.ExtendedErrorCodeNoReachableAuthority})
	case RefusedQ:
		m.Rcode = dns.RcodeRefused
	default:
		f.fill(m, q, r, do)
	}
	if udp && (m.Len() > size || r.fault == LostOnUDP) {
		m.Answer, m.Ns, m.Truncated = nil, nil, true
	}
	_ = w.WriteMsg(m)
}

// fail turns m into SERVFAIL with an extended error.
func (f *front) fail(m *dns.Msg, v verdict) {
	m.Rcode, m.Answer, m.Ns = dns.RcodeServerFailure, nil, nil
	if o := m.IsEdns0(); o != nil {
		o.Option = append(o.Option, &dns.EDNS0_EDE{InfoCode: v.ede, ExtraText: v.text})
	}
}

// fill writes what was found into m, as this kind of server does.
func (f *front) fill(m, q *dns.Msg, r reply, do bool) {
	m.Rcode, m.Answer, m.Ns = r.rcode, r.answer, r.ns
	typ := q.Question[0].Qtype
	validates := f.kind == validating || f.kind == ignoringCD
	switch {
	case validates && r.looped:
		f.fail(m, verdict{ede: dns.ExtendedErrorCodeOther, text: "alias loop"})
		return
	case f.kind == ignoringCD && r.verdict.security == bogus,
		f.kind == validating && r.verdict.security == bogus && !q.CheckingDisabled:
		f.fail(m, r.verdict)
		return
	case validates && !q.CheckingDisabled:
		m.AuthenticatedData = r.verdict.security == secure && (do || q.AuthenticatedData)
	case f.kind == lying:
		m.AuthenticatedData = true
	}
	if f.kind == stripping || f.kind == lying {
		m.Answer = without(m.Answer, 0)
		m.Ns = without(m.Ns, 0)
	} else if !do {
		m.Answer = without(m.Answer, typ)
		m.Ns = without(m.Ns, typ)
	}
	if o := m.IsEdns0(); o != nil && validates && r.verdict.ede != 0 {
		o.Option = append(o.Option, &dns.EDNS0_EDE{InfoCode: r.verdict.ede, ExtraText: r.verdict.text})
	}
}

// without drops the records of DNSSEC, except those asked for: RRSIG, NSEC and NSEC3
// come only with DO (RFC 4035 section 3.2.1). With no type asked for, keys and DS go
// as well.
func without(rrs []dns.RR, asked uint16) []dns.RR {
	drop := []uint16{dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3}
	if asked == 0 {
		drop = append(drop, dns.TypeDNSKEY, dns.TypeDS)
	}
	return slices.DeleteFunc(slices.Clone(rrs), func(rr dns.RR) bool {
		t := rr.Header().Rrtype
		return t != asked && slices.Contains(drop, t)
	})
}

// String names the kind for error texts.
func (k frontKind) String() string {
	return strings.Fields("validating plain stripping lying ignoring-cd")[k]
}
