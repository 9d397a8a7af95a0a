package replay

import (
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/conformance/sets"
	"github.com/mxauth/mxauth/conformance/vectors/dnssecfacts"
	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

// unsupported names the algorithms that no verifier is at hand for.
func unsupported(algorithm uint8) string {
	if Algorithms()[algorithm] != nil {
		return ""
	}
	return fmt.Sprintf("algorithm %d is not supported, here or by mxauth", algorithm)
}

// RunSignature judges one signature.
func RunSignature(row dnssecfacts.Signature) sets.Result {
	res := sets.Result{Case: "signatures " + row.ID, Want: validity(row.Valid)}
	set, keys, err := gather(append(append([]string{row.RRSIG}, row.RRset...), row.DNSKEY...))
	if err != nil {
		res.Got = err.Error()
		return res
	}
	if len(set) == 0 || len(set[0].Sigs) == 0 {
		res.Got = "no signature"
		return res
	}
	sig := set[0].Sigs[0]
	res.Skip = unsupported(sig.Algorithm)
	ks := proof.NewKeySet(sig.Signer, keys, Algorithms())
	signed, err := ks.Verify(&set[0], time.Unix(row.Time, 0), proof.NewBudget())
	_ = signed
	res.Got = validity(err == nil)
	return res
}

func validity(ok bool) string {
	if ok {
		return "valid"
	}
	return "invalid"
}

// gather reads records: RRsets (those of the first record's kind first, DNSKEYs apart
// unless they are signed) and keys.
func gather(lines []string) ([]proof.RRset, []proof.Key, error) {
	var rrs []wire.RR
	var keys []proof.Key
	for _, l := range lines {
		rr, err := readRecord(l)
		if err != nil {
			return nil, nil, err
		}
		if rr == nil {
			continue
		}
		w, err := toWire(rr)
		if err != nil {
			return nil, nil, err
		}
		if w.Type == wire.TypeDNSKEY {
			if k, ok := proof.ParseKey(w.Data); ok {
				keys = append(keys, k)
			}
		}
		rrs = append(rrs, w)
	}
	return proof.Group(rrs), keys, nil
}

// judged is the result of a case whose outcome is a word, or an error.
func judged(name, want string, got func() (string, error)) sets.Result {
	res := sets.Result{Case: name, Want: want}
	var err error
	if res.Got, err = got(); err != nil {
		res.Got = err.Error()
	}
	return res
}

// RunDS judges whether a DS is the digest of a key.
func RunDS(row dnssecfacts.DS) sets.Result {
	return judged("ds "+row.DS, match(row.Match), func() (string, error) {
		ok, err := dsMatches(row.DS, row.DNSKEY)
		return match(ok), err
	})
}

func match(ok bool) string {
	if ok {
		return "match"
	}
	return "no match"
}

func covering(ok bool) string {
	if ok {
		return "covered"
	}
	return "not covered"
}

func dsMatches(dsLine, keyLine string) (bool, error) {
	rr, err := readRecord(dsLine)
	if err != nil {
		return false, err
	}
	d, err := toWire(rr)
	if err != nil {
		return false, err
	}
	if rr, err = readRecord(keyLine); err != nil {
		return false, err
	}
	k, err := toWire(rr)
	if err != nil {
		return false, err
	}
	ds, ok1 := proof.ParseDS(d.Data)
	key, ok2 := proof.ParseKey(k.Data)
	return ok1 && ok2 && ds.Matches(k.Owner, key), nil
}

// RunHash judges one NSEC3 hash.
func RunHash(row dnssecfacts.Hash) sets.Result {
	return judged(fmt.Sprintf("nsec3hash %s %d %s", row.Name, row.Iterations, row.Salt), row.Hash, func() (string, error) {
		n, err := rfc6125.ParseName(row.Name)
		if err != nil {
			return "", err
		}
		salt, err := readSalt(row.Salt)
		if err != nil {
			return "", err
		}
		return proof.HashString(proof.HashName(n, row.Iterations, salt)), nil
	})
}

func readSalt(s string) ([]byte, error) {
	if s == "-" {
		return nil, nil
	}
	return hex.DecodeString(s)
}

// RunCover judges whether an NSEC3 record covers a name.
func RunCover(row dnssecfacts.Cover) sets.Result {
	return judged(fmt.Sprintf("nsec3cover %s %s", row.Owner, row.Name), covering(row.Covers), func() (string, error) {
		ok, err := covers(row)
		return covering(ok), err
	})
}

// covers builds the record and asks whether it covers the name. A record that is none
// (its owner has no hash), or is of another zone, covers nothing.
func covers(row dnssecfacts.Cover) (bool, error) {
	owner, err := rfc6125.ParseName(row.Owner)
	if err != nil {
		return false, err
	}
	name, err := rfc6125.ParseName(row.Name)
	if err != nil {
		return false, err
	}
	salt, err := readSalt(row.Salt)
	if err != nil {
		return false, err
	}
	next, err := base32.HexEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(row.Next))
	if err != nil {
		return false, err
	}
	data := []byte{1, row.Flags, byte(row.Iterations >> 8), byte(row.Iterations), byte(len(salt))}
	data = append(append(append(data, salt...), byte(len(next))), next...)
	rec, ok := proof.ParseNSEC3(owner.Parent(), owner, data)
	return ok && name.IsSubdomainOf(owner.Parent()) && rec.CoversName(name), nil
}

// typeName is used in the names of cases.
func typeName(t uint16) string { return dns.Type(t).String() }
