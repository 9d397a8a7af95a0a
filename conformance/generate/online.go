package generate

import (
	"encoding/base32"
	"math/big"
	"strings"

	"github.com/miekg/dns"
)

// made makes the record that denies something of a name, or the name itself, for one
// answer. exact means that it is the name's own.
func (z *zone) made(name string) (l *link, exact bool) {
	rank := z.rank(name)
	var rr dns.RR
	switch exact = z.names[name]; {
	case z.Denial == Compact:
		rr = z.linkAt(name, "", join(`\000`, name), "")
		if !exact { // RFC 9824 section 3.1
			rr.(*dns.NSEC).TypeBitMap = []uint16{dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNXNAME}
		}
		exact = true
	case exact:
		rr = z.linkAt(name, rank, "", beside(rank, 1))
	default:
		rr = z.nsec3(beside(rank, -1), beside(rank, 1), nil)
	}
	s, err := z.sign(rr.Header().Name, rr.Header().Rrtype, []dns.RR{rr}, z.Sets)
	if err != nil {
		panic(err) // what can not be signed was met when the zone was sealed
	}
	return &link{rank, s}, exact
}

// expanded signs what a wildcard makes under the name that was asked for, as those do who
// sign each answer.
func (z *zone) expanded(sets map[uint16]*set, name string) map[uint16]*set {
	out := map[uint16]*set{}
	for typ, made := range sets {
		s, err := z.sign(name, typ, renamed(made.rrs, name), z.Sets)
		if err != nil {
			panic(err) // as above
		}
		out[typ] = s
	}
	return out
}

// beside is the hash that is so many steps away.
func beside(hash string, steps int64) string {
	enc := base32.HexEncoding.WithPadding(base32.NoPadding)
	b, err := enc.DecodeString(strings.ToUpper(hash))
	if err != nil {
		panic(err) // a fault of this package
	}
	n := new(big.Int).SetBytes(b)
	n.Add(n, big.NewInt(steps))
	return strings.ToLower(enc.EncodeToString(n.FillBytes(b)))
}
