package generate

import (
	"encoding/base32"
	"math/big"
	"strings"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnstree"
)

// made makes the record that denies something of a name, or the name itself, for one
// answer. exact means that it is the name's own.
func (z *zone) made(name string) (l dnstree.Link, exact bool) {
	d := z.denial()
	hash := d.Rank(name)
	var rr dns.RR
	switch exact = z.names[name]; {
	case z.Denial == Compact:
		nsec := d.NSEC(name, dnstree.Join(`\000`, name), z.types(name))
		if !exact { // RFC 9824 section 3.1
			nsec.TypeBitMap = []uint16{dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNXNAME}
		}
		rr, exact = nsec, true
	case exact:
		rr = d.Hashed(hash, beside(hash, 1), z.types(name))
	default:
		rr = d.Hashed(beside(hash, -1), beside(hash, 1), nil)
	}
	return dnstree.Link{Rank: hash, Name: name, RR: rr}, exact
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
