package dnstree

import (
	"time"

	"github.com/miekg/dns"
)

// rootKeyTTL is the TTL of the root's keys in seconds: two days.
const rootKeyTTL = 172800

// RootKey makes a key for the root that signs its keys.
func RootKey() (Key, error) {
	k, err := NewKey(".", dns.ED25519, FlagZone+FlagSEP, 0)
	if err == nil {
		k.Hdr.Ttl = rootKeyTTL
	}
	return k, err
}

// SignKeys returns the records of the root's keys with the signatures of some of them over
// all, valid between the two times.
func SignKeys(keys, by []Key, from, until time.Time) ([]dns.RR, error) {
	var set []dns.RR
	for _, k := range keys {
		set = append(set, k.DNSKEY)
	}
	all := append([]dns.RR{}, set...)
	for _, k := range by {
		s, err := k.Sign(".", set, from, until)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}
