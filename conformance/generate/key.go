package generate

import (
	"math/rand/v2"
	"sync"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// Algorithms are those that the zones are signed with.
var Algorithms = []uint8{dns.ECDSAP256SHA256, dns.ED25519, dns.ECDSAP384SHA384, dns.RSASHA256, dns.RSASHA512}

// strangers holds a key an algorithm that is no zone's.
var strangers = sync.OnceValues(func() (map[uint8]dnstree.Key, error) {
	rng := rand.New(rand.NewPCG(0, 0))
	out := map[uint8]dnstree.Key{}
	for _, a := range Algorithms {
		k, err := dnstree.SeededKey(rng, "stranger.", a, dnstree.FlagZone+dnstree.FlagSEP)
		if err != nil {
			return nil, err
		}
		out[a] = k
	}
	return out, nil
})

// header is that of a record with the usual TTL.
func header(owner string, typ uint16) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: typ, Class: dns.ClassINET, Ttl: usualTTL}
}

// usualTTL is the TTL of records in seconds.
const usualTTL = 300
