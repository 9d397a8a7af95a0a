package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Published is what DNS and the policy host of a world say:
//
//	dane-ee.test. MX 10 mx.dane-ee.test.
//	mx.dane-ee.test. A 127.16.1.1
//	_25._tcp.mx.dane-ee.test. TLSA {3 1 1 leaf mx.dane-ee.test}
type Published struct {
	// Records are lines of a zone file, without what every zone has (SOA, NS and the
	// records of DNSSEC). The data of TLSA records is of keys that each lab makes for
	// itself, so it is named in braces: usage, selector, matching type, of which
	// certificate, and of which host. An address in the braces says which of several
	// servers of one name is meant.
	Records []string `json:"records"`
	Policy  *Policy  `json:"policy,omitempty"` // nil: there is no policy host
}

// A Policy is what a policy host of MTA-STS serves (RFC 8461 section 3.3).
type Policy struct {
	URL    string     `json:"url"`
	Host   netip.Addr `json:"address"` // that of the web server
	Answer HTTP       `json:"answer"`
	Body   Body       `json:"body"` // as it is served where Answer is "200"
}

// Describe returns the worlds as [Lab.Worlds] of a lab of them would: with what is
// published, the addresses of hosts, the zones of a world that names none, and addresses
// in place of braces in requests. It listens nowhere. Addresses follow from the place of a
// world in the slice. It fails as [Start] does where a world is not well described.
func Describe(ctx context.Context, worlds []World) ([]World, error) {
	l, err := newLab(ctx, Config{Worlds: worlds})
	if err != nil {
		return nil, err
	}
	return l.Worlds(), nil
}

// describe fills in what follows from the state that was made of a spec. The slices of the
// spec may belong to other worlds as well.
func (s *World) describe(b *builder) {
	s.Published = &b.published
	if s.Zones == nil {
		s.Zones = []Zone{{Apex: strings.TrimSuffix(b.world.domain, ".")}}
	}
	s.Hosts = slices.Clone(s.Hosts)
	for n := range s.Hosts {
		s.Hosts[n].Addresses = b.addrs[n]
	}
}

// TLSA returns the data of a TLSA record made from the chain that a host of the lab
// shows: "3 1 1 leaf", in the words of [Host].TLSA.
func (l *Lab) TLSA(host, spec string) (string, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, w := range l.worlds {
		if c := w.state().chains[fqdn(host)]; c != nil {
			return c.tlsa(spec)
		}
	}
	return "", fmt.Errorf("lab: no host %q", host)
}
