package engine

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
)

// An mxReading is what section 2 of the table makes of a next hop: rows M1 to M10.
type mxReading struct {
	state MXState
	exp   rfc6125.Name // after the domain's aliases
	sec   mxSec
	viaMX bool   // the hosts are from MX records, neither configured nor implicit
	hosts []Host // names, preferences and ports; none where the message ends here
}

// An mxQuestion is what the reading of MX records depends on in addition to the records.
type mxQuestion struct {
	request *Request
	next    nextHop
	own     []rfc6125.Host
	shuffle func(int, func(i, j int)) // nil: math/rand/v2
}

// withoutMX is rows M1 and M2, for which no MX records are looked up.
func withoutMX(n nextHop) mxReading {
	if n.kind == kindLiteral {
		return mxReading{sec: mxNone, state: MXState{Row: "M1", Records: "M1"},
			hosts: []Host{{Literal: n.address, Port: n.port, Addresses: []netip.Addr{n.address}}}}
	}
	return mxReading{sec: mxSecure, exp: n.host.Name(), state: MXState{Row: "M2", Records: "M2", Status: dnssec.Secure},
		hosts: []Host{{Name: n.host, Port: n.port}}}
}

// readMX is rows M3 to M10. Of hosts that may not be used all are named; where none is
// left it says what becomes of the message.
func readMX(q mxQuestion, l dane.Lookup) mxReading {
	m := mxReading{exp: l.Answer.Final, sec: mxInsecure}
	m.state.Lookup = l
	if l.Err != nil {
		m.failed(q, l.Err)
		return m
	}
	m.state.Status = l.Answer.Status
	if l.Answer.Status == dnssec.Secure {
		m.sec = mxSecure
	}
	switch l.Answer.Kind {
	case dnssec.NXDomain:
		// SMTP5321-5.1-03: RFC 5321 section 5.1
		m.bounce("M4", reasonOf(reason.NoSuchDomain, q.next.host, &reason.Denied{Name: m.exp, Status: l.Answer.Status}))
	case dnssec.NoData:
		// The host is the name as given: were it the end of the alias chain, a forged
		// alias would choose the name that has to be proved.
		m.state.Row = "M5"
		m.hosts = []Host{{Name: q.next.host, Port: q.next.port}}
		m = m.withoutOwnNames(q)
	default:
		m.viaMX = true
		m = m.withRecords(q, l.Answer)
	}
	m.state.Records = m.state.Row
	if m.state.Outcome != OutcomeNone {
		m.hosts = nil
	}
	return m
}

// failed is row M3: the message waits; the domain's own address is no substitute.
func (m *mxReading) failed(q mxQuestion, err error) {
	id := reason.MXLookupFailed
	switch {
	case errors.Is(err, dnssec.ErrBudget):
		id = reason.Budget
	case errors.Is(err, dnssec.ErrBogus):
		id = reason.MXBogus
	}
	var le *dnssec.LookupError
	if errors.As(err, &le) {
		m.state.Status = le.Status()
	}
	// DANE7672-2.1.2-01: RFC 7672 section 2.1.2; SMTP5321-5.1-04: RFC 5321 section 5.1
	m.state.Row, m.state.Records, m.state.Outcome = "M3", "M3", Deferred
	m.state.Reason = reasonOf(id, q.next.host, &reason.LookupFailed{Err: err})
}

// withRecords takes the hosts from the records: rows M6 to M10.
func (m mxReading) withRecords(q mxQuestion, a dnssec.Answer) mxReading {
	m.state.Row = "M9"
	roots := 0
	for _, rec := range a.Records {
		mx, err := rec.MX()
		if err != nil {
			m.unused(reason.UnusedMX{Why: reason.MXMalformed})
			continue
		}
		if mx.Host.IsRoot() {
			roots++
			continue
		}
		h, err := rfc6125.HostFromName(mx.Host)
		if err != nil {
			// M8: an address in text form, or what no host can be called. Nothing could
			// be proved of it.
			m.unused(reason.UnusedMX{Why: reason.MXNotHost, Row: "M8", Name: mx.Host, Preference: mx.Preference})
			continue
		}
		m.addHost(h, mx.Preference, q.next.port)
	}
	switch {
	case len(m.hosts) == 0 && roots > 0 && roots == len(a.Records):
		m.bounce("M6", reasonOf(reason.NullMX, q.next.host, &reason.Denied{Status: a.Status}))
		return m
	case roots > 0:
		// M7: a publisher's error; the others are used.
		m.unused(reason.UnusedMX{Why: reason.MXRoot, Row: "M7"}) // NULLMX7505-3-02: RFC 7505 section 3
	}
	if len(m.hosts) == 0 {
		// SMTP5321-5.1-06: RFC 5321 section 5.1
		m.bounce("M8", reasonOf(reason.NoUsableMX, q.next.host, nil))
		if q.request.Options.NoAddressDefer {
			m.state.Outcome = Deferred
		}
		return m
	}
	// The order is that of preference, equal ones at random or, where the request asks for
	// it, by name. No policy ever changes it (RFC 7672 section 2.2.1, RFC 8461 section 8.4).
	slices.SortStableFunc(m.hosts, byName)
	slices.SortStableFunc(m.hosts, byPreference) // DANE7672-2.2.1-02: RFC 7672 section 2.2.1
	if !q.request.Sorted {
		shuffleTies(m.hosts, q.shuffle) // SMTP5321-5.1-09: RFC 5321 section 5.1
	}
	for i := range m.hosts[:min(len(m.hosts), maxListed)] {
		m.state.Listed = append(m.state.Listed, MXHost{m.hosts[i].Name, m.hosts[i].Preference})
	}
	m.state.More = len(m.hosts) - len(m.state.Listed)
	m = m.withoutOwnNames(q)
	if len(m.hosts) > MaxHosts {
		m.hosts = m.hosts[:MaxHosts]
		m.unused(reason.UnusedMX{Why: reason.MXTooMany})
	}
	return m
}

// addHost adds a host, or lowers the preference of one that is there.
func (m *mxReading) addHost(h rfc6125.Host, preference, port uint16) {
	for i := range m.hosts {
		if m.hosts[i].Name == h {
			m.hosts[i].Preference = min(m.hosts[i].Preference, preference)
			return
		}
	}
	m.hosts = append(m.hosts, Host{Name: h, Preference: preference, Port: port})
}

// withoutOwnNames is row M10 for names: a relay that finds itself in the list drops
// itself and everything that is no better.
func (m mxReading) withoutOwnNames(q mxQuestion) mxReading {
	return m.without(q.next, false, func(h *Host) bool { return slices.Contains(q.own, h.Name) })
}

// withoutOwnAddresses is row M10 for addresses, once they are known. A configured host
// is not looked at: routing back to a port of this machine is how filters are fed.
func (m mxReading) withoutOwnAddresses(n nextHop, own []netip.Addr) mxReading {
	return m.without(n, true, func(h *Host) bool {
		for _, a := range h.Addresses {
			for _, o := range own {
				if a.Unmap() == o.Unmap() {
					return true
				}
			}
		}
		return false
	})
}

// without drops the hosts that are this server and all of the same or a worse
// preference. Policies have dropped none before, so this always sees the whole list
// (RFC 8461 section 8.4).
func (m mxReading) without(n nextHop, late bool, own func(*Host) bool) mxReading {
	limit, self := -1, rfc6125.Host{}
	for i := range m.hosts {
		h := &m.hosts[i]
		if own(h) && (limit < 0 || int(h.Preference) < limit) {
			limit, self = int(h.Preference), h.Name
		}
	}
	if limit < 0 {
		return m
	}
	// SMTP5321-5.1-10: RFC 5321 section 5.1
	m.hosts = slices.DeleteFunc(m.hosts, func(h Host) bool { return int(h.Preference) >= limit })
	m.unused(reason.UnusedMX{Why: reason.MXSelf, Row: "M10", Self: self, Preference: uint16(limit), Late: late})
	if len(m.hosts) == 0 {
		// SMTP5321-5.1-11: RFC 5321 section 5.1
		m.bounce("M10", reasonOf(reason.MailLoop, n.host, &reason.SelfListed{Self: self}))
	}
	return m
}

// bounce says that the message ends here.
func (m *mxReading) bounce(row string, why Reason) {
	m.state.Row, m.state.Outcome, m.state.Reason = row, Bounced, why
}

// unused notes an MX record that is not used.
func (m *mxReading) unused(u reason.UnusedMX) { m.state.Unused = append(m.state.Unused, u) }
