package dane

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/rfc6125"
)

// A State says what DANE means for one host (decision table section 4). The zero
// State is Failed, the safe one.
type State uint8

// DANE states.
const (
	Failed   State = iota // a lookup failed: the host may not be used (T1)
	NA                    // DANE does not apply: addresses insecure, no secure first alias (A6, A9), or not looked up
	None                  // looked up: no secure TLSA records (T3)
	Unusable              // a secure TLSA RRset, nothing in it usable
	Usable                // a secure TLSA RRset with usable records
)

// String returns "error", "na", "none", "unusable" or "usable".
func (s State) String() string {
	switch s {
	case NA:
		return "na"
	case None:
		return "none"
	case Unusable:
		return "unusable"
	case Usable:
		return "usable"
	}
	return "error"
}

// AddressState says what the address lookups of a host came to. The zero value is
// AddressFailed.
type AddressState uint8

// Address states: rows A1 to A9 of the decision table.
const (
	AddressFailed AddressState = iota // A1: deferred
	AddressNone                       // A3: no addresses at all: unusable
	AddressAlias                      // A4: an alias, and the options refuse aliases: unusable
	AddressOK
)

// A Host holds the DNS data of one host, addresses and TLSA.
type Host struct {
	Name      rfc6125.Host
	Addresses []netip.Addr // IPv6 and IPv4 as they came, usable ones
	Address   AddressState
	// Row is the row of the decision table, section 4, that decided: "A5"; "A2 A5" if one
	// family failed and the other decided, "A2b A5" if their statuses differ.
	Row string
	// Answers of the address questions, for the trace; Err is set for one that failed.
	A, AAAA Lookup
	// Final is the end of the alias chain; the host's own name if it is no alias.
	Final rfc6125.Name

	State State
	// Base is the TLSA base domain (RFC 7672 section 2.2.2), if State is Usable or
	// Unusable.
	Base rfc6125.Host
	Set  Set
	// TLSA are the TLSA questions that were asked, in order. The records that Set holds
	// have no Data here: it is held once.
	TLSA []Lookup
	// Expires is the earliest end of the answers that this rests on; the zero time if
	// there are none.
	Expires time.Time
}

// A Lookup is one question with its outcome. The zero Lookup was not asked.
type Lookup struct {
	Answer dnssec.Answer
	Err    error
}

// DiscoverOptions of [Discover].
type DiscoverOptions struct {
	Port        uint16 // of the TLSA owner name; 0 means 25
	RefuseAlias bool   // mx-alias = refuse
	SkipTLSA    bool   // ask for addresses only; State is then NA
	Policy      UsePolicy
}

// Discover asks for the addresses of host (both families in parallel) and then,
// where section 2.2.2 of RFC 7672 lets it, for TLSA records at the candidate base
// domains, expanded name first. It never fails: what failed is in the Host. It may be
// called by many goroutines at once, and returns soon after ctx is done.
func Discover(ctx context.Context, r dnssec.Resolver, host rfc6125.Host, o DiscoverOptions) Host {
	h := Host{Name: host, Final: host.Name()}
	candidates := h.addresses(ctx, r, o) // DANE7672-2.2.2-01: RFC 7672 section 2.2.2
	if h.Address != AddressOK {
		if h.Address != AddressFailed {
			h.State = NA
		}
		return h
	}
	if o.SkipTLSA || len(candidates) == 0 {
		h.State = NA
		return h
	}
	h.State = None
	for _, base := range candidates { // DANE7672-2.1.2-03: RFC 7672 section 2.1.2
		if h.tlsa(ctx, r, base, o) {
			break
		}
	}
	return h
}

// addresses asks for both families and fills the address part of h. It returns the
// candidate base domains, in order.
func (h *Host) addresses(ctx context.Context, r dnssec.Resolver, o DiscoverOptions) []rfc6125.Host {
	done := make(chan Lookup, 1)
	go func() { done <- lookup(ctx, r, dnssec.Question{Name: h.Name.Name(), Type: dnssec.TypeAAAA}) }()
	h.A = lookup(ctx, r, dnssec.Question{Name: h.Name.Name(), Type: dnssec.TypeA})
	h.AAAA = <-done

	var by *Lookup // the family that decides
	mixed := false // both have addresses, and one status is better than the other
	for _, l := range [...]*Lookup{&h.AAAA, &h.A} {
		if l.Err != nil {
			continue
		}
		h.limitExpiry(l.Answer)
		found := addrs(l.Answer)
		if len(found) == 0 {
			continue
		}
		h.Addresses = append(h.Addresses, found...)
		if by == nil {
			by = l
			continue
		}
		mixed = rank(l.Answer) != rank(by.Answer)
		if rank(l.Answer) > rank(by.Answer) {
			by = l
		}
	}
	failed := h.A.Err != nil || h.AAAA.Err != nil
	switch {
	case by == nil && failed:
		h.Row = "A1"
		return nil
	case by == nil:
		// RFC 7672 section 2.2.2: the host cannot be reached, and no TLSA query follows.
		h.Address, h.Row = AddressNone, "A3"
		return nil
	}
	a := by.Answer
	h.Final = a.Final
	if len(a.Chain) > 0 && o.RefuseAlias {
		h.Address, h.Row = AddressAlias, "A4"
		return nil
	}
	h.Address = AddressOK
	candidates, row := h.candidates(a)
	switch {
	case failed:
		h.Row = "A2 " + row
	case mixed:
		h.Row = "A2b " + row
	default:
		h.Row = row
	}
	return candidates
}

// rank orders the answers by what they allow: nothing, the host's own name, all.
func rank(a dnssec.Answer) int {
	switch {
	case a.Status == dnssec.Secure:
		return 2
	case a.FirstStatus() == dnssec.Secure:
		return 1
	}
	return 0
}

// candidates are the names that may have TLSA records (RFC 7672 section 2.2.2),
// by the answer with the addresses. Names in the middle of an alias chain never are
// (section 2.2.3).
func (h *Host) candidates(a dnssec.Answer) ([]rfc6125.Host, string) {
	alias := len(a.Chain) > 0
	switch rank(a) {
	case 2:
		if !alias {
			return []rfc6125.Host{h.Name}, "A5"
		}
		// RFC 6698 section 3: a base domain is a host name; an alias may end at a name
		// that is none, and then only the host's own name is left.
		// TLSA6698-3-02: RFC 6698 section 3
		if f, err := rfc6125.HostFromName(a.Final); err == nil {
			return []rfc6125.Host{f, h.Name}, "A7"
		}
		return []rfc6125.Host{h.Name}, "A7"
	case 1:
		return []rfc6125.Host{h.Name}, "A8"
	}
	if alias {
		return nil, "A9"
	}
	return nil, "A6"
}

// tlsa asks for TLSA records at one candidate. It reports whether that settled the
// state of h (rows T1 and T2), or the next candidate is to be tried (T3).
func (h *Host) tlsa(ctx context.Context, r dnssec.Resolver, base rfc6125.Host, o DiscoverOptions) bool {
	port := o.Port
	if port == 0 {
		port = DefaultPort
	}
	owner, err := Owner(base, port)
	if err != nil {
		return false // longer than a name can be: there can be no record
	}
	l := lookup(ctx, r, dnssec.Question{Name: owner, Type: dnssec.TypeTLSA})
	a := l.Answer
	if l.Err == nil && a.Status == dnssec.Insecure && a.Reason.Code == dnssec.ReasonNSEC3Iterations {
		// Doubt D6: the host is secure, so its zone is signed, and a denial that cannot
		// be proved, because an NSEC3 proof asks for more iterations than are computed,
		// must not switch DANE off.
		l.Err = &dnssec.LookupError{Question: a.Question, Kind: dnssec.ErrIndeterminate, Reason: a.Reason, Server: a.Server, EDE: a.EDE}
	}
	h.TLSA = append(h.TLSA, l)
	if l.Err != nil {
		// RFC 7672 section 2.1.2 and RFC 6698 section 4.1: the host may not be used, and
		// the other candidate is not asked for.
		h.State = Failed
		return true
	}
	h.limitExpiry(a)
	// DANE7672-2.2.3-04: RFC 7672 section 2.2.3; TLSA6698-4.1-02: RFC 6698 section 4.1
	if a.Kind != dnssec.Data || a.Status != dnssec.Secure || len(a.Records) == 0 {
		return false
	}
	// TLSA6698-4.1-01: RFC 6698 section 4.1
	h.Base, h.Set = base, setFromDNS(a.Records, o.Policy)
	h.TLSA[len(h.TLSA)-1].Answer.Records = withoutData(a.Records)
	h.State = Unusable
	if len(h.Set.usable) > 0 {
		h.State = Usable
	}
	return true
}

// withoutData returns copies of records with their type and TTL only. A set of 64 KiB at
// each of many hosts is what a plan consists of if a zone's owner wants it, so it is held
// once.
func withoutData(records []dnssec.Record) []dnssec.Record {
	out := slices.Clone(records)
	for i := range out {
		out[i].Data = nil
	}
	return out
}

// Owner returns the owner name of the TLSA records of a TCP service: "_25._tcp."
// before the base domain (RFC 6698 section 3). An error wraps [rfc6125.ErrName]: the
// name would be too long, or base is the zero Host.
func Owner(base rfc6125.Host, port uint16) (rfc6125.Name, error) {
	if !base.IsValid() {
		return rfc6125.Name{}, fmt.Errorf("%w: no base domain", rfc6125.ErrName)
	}
	// DANE7672-2.2.3-01: RFC 7672 section 2.2.3
	return rfc6125.ParseName("_" + strconv.Itoa(int(port)) + "._tcp." + base.String())
}

// lookup asks r and holds it to its contract: an answer that is neither secure nor
// insecure, or of no kind, is a failure whatever the resolver says.
func lookup(ctx context.Context, r dnssec.Resolver, q dnssec.Question) Lookup {
	a, err := r.Resolve(ctx, q)
	// DANE7672-2.1.1-03: RFC 7672 section 2.1.1
	if err == nil && (a.Status != dnssec.Secure && a.Status != dnssec.Insecure || a.Kind == 0) {
		kind := dnssec.ErrIndeterminate
		if a.Status == dnssec.Bogus {
			kind = dnssec.ErrBogus
		}
		err = &dnssec.LookupError{Question: q, Kind: kind, Reason: a.Reason, Server: a.Server, EDE: a.EDE}
	}
	if err == nil && a.Kind == dnssec.Data && q.Type != dnssec.TypeTLSA && (len(a.Records) == 0 || len(addrs(a)) < len(a.Records)) {
		// The addresses that can be read are only a part of the set.
		err = &dnssec.LookupError{Question: q, Kind: dnssec.ErrMalformed, Server: a.Server, Reason: dnssec.Reason{
			Code: dnssec.ReasonMalformed, Name: a.Final, Type: q.Type, Text: "a malformed " + q.Type.String() + " record at " + a.Final.String()}}
	}
	return Lookup{Answer: a, Err: err}
}

// addrs lists the addresses of an answer; a denial has no records.
func addrs(a dnssec.Answer) []netip.Addr {
	out := make([]netip.Addr, 0, len(a.Records))
	for _, r := range a.Records {
		if ip := r.Addr(); ip.IsValid() {
			out = append(out, ip)
		}
	}
	return out
}

// limitExpiry cuts the expiry of h to that of an answer that it depends on.
func (h *Host) limitExpiry(a dnssec.Answer) {
	if h.Expires.IsZero() || a.Expires.Before(h.Expires) {
		h.Expires = a.Expires
	}
}
