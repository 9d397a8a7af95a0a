package replay

import (
	"fmt"
	"io"
	"strings"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/conformance/sets"
	"github.com/mxauth/mxauth/conformance/vectors/rpl"
	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/rfc6125"
)

// RunUnits judges a file of entries for the units below a resolver. What a file is
// about is seen from its records: DS records with keys, hashes of names as
// owners of AAAA records with an NSEC3 record, or messages whose signatures are to be
// checked with the keys of the first entry.
func RunUnits(file string, r io.Reader) ([]sets.Result, error) {
	entries, err := rpl.ParseEntries(r)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, nil
	}
	if len(entries[0].Question) == 0 {
		return nil, fmt.Errorf("replay: %s: an entry without a question", file)
	}
	_, typ, err := readQuestion(entries[0].Question[0])
	if err != nil {
		return nil, err
	}
	switch {
	case typ == dns.TypeDNSKEY:
		return unitSignatures(file, entries)
	case len(entries[0].Authority) > 0 && typ == dns.TypeAAAA:
		return unitHashes(file, entries), nil
	}
	return unitDS(file, entries), nil
}

// unitDS wants DS and DNSKEY of an entry to match if its question begins with yes.
func unitDS(file string, entries []rpl.Entry) []sets.Result {
	var out []sets.Result
	for i, e := range entries {
		res := sets.Result{Case: fmt.Sprintf("%s entry %d", file, i+1)}
		var ds, key string
		for _, l := range e.Answer {
			rr, err := readRecord(l)
			if err != nil {
				res.Got = err.Error()
				continue
			}
			switch rr.(type) {
			case *dns.DS:
				ds = l
			case *dns.DNSKEY:
				key = l
			}
		}
		if len(e.Question) > 0 {
			res.Want = match(strings.HasPrefix(strings.ToLower(e.Question[0]), "yes"))
		}
		if res.Got == "" {
			got, err := dsMatches(ds, key)
			if res.Got = match(got); err != nil {
				res.Got = err.Error()
			}
		}
		out = append(out, res)
	}
	return out
}

// unitHashes wants the question's name to hash to the first label of the answer's owner.
func unitHashes(file string, entries []rpl.Entry) []sets.Result {
	var out []sets.Result
	for i, e := range entries {
		res := sets.Result{Case: fmt.Sprintf("%s entry %d", file, i+1)}
		res.Got, res.Want = hashOf(e)
		out = append(out, res)
	}
	return out
}

func hashOf(e rpl.Entry) (got, want string) {
	if len(e.Question) == 0 || len(e.Answer) == 0 || len(e.Authority) == 0 {
		return "an entry without question, answer and authority", ""
	}
	name, _, err := readQuestion(e.Question[0])
	if err != nil {
		return err.Error(), ""
	}
	n, err := rfc6125.ParseName(name)
	if err != nil {
		return err.Error(), ""
	}
	owner, err := rfc6125.ParseName(strings.Fields(e.Answer[0])[0])
	if err != nil {
		return err.Error(), ""
	}
	want = owner.Label(0)
	rr, err := readRecord(e.Authority[0])
	if err != nil {
		return err.Error(), want
	}
	n3, ok := rr.(*dns.NSEC3)
	if !ok {
		return "no NSEC3 record", want
	}
	salt := n3.Salt
	if salt == "" {
		salt = "-"
	}
	s, err := readSalt(salt)
	if err != nil {
		return err.Error(), want
	}
	return proof.HashString(proof.HashName(n, n3.Iterations, s)), want
}

// unitSignatures wants each RRset to verify with the keys of the first entry, except
// where its owner or the question begins with "bogus", or it has no signature.
func unitSignatures(file string, entries []rpl.Entry) ([]sets.Result, error) {
	_, keys, err := gather(entries[0].Answer)
	if err != nil {
		return nil, err
	}
	now := someTime(&rpl.File{Ranges: []rpl.Range{{Entries: entries}}})
	various := false
	for _, k := range keys[min(1, len(keys)):] {
		various = various || k.Algorithm != keys[0].Algorithm
	}
	var out []sets.Result
	for i, e := range entries[1:] {
		bogusQuestion := len(e.Question) > 0 && strings.HasPrefix(strings.ToLower(e.Question[0]), "bogus")
		for _, section := range [][]string{e.Answer, e.Authority, e.Additional} {
			rrsets, _, err := gather(section)
			if err != nil {
				out = append(out, sets.Result{Case: fmt.Sprintf("%s entry %d", file, i+2), Got: err.Error()})
				continue
			}
			for j := range rrsets {
				set := &rrsets[j]
				if len(set.Data) == 0 {
					continue
				}
				res := sets.Result{
					Case: fmt.Sprintf("%s entry %d %s %s", file, i+2, set.Owner, typeName(set.Type)),
					Want: validity(!bogusQuestion && !strings.HasPrefix(set.Owner.Label(0), "bogus") && len(set.Sigs) > 0),
				}
				res.Got = validity(false)
				for _, s := range set.Sigs {
					if _, err := proof.NewKeySet(s.Signer, keys, Algorithms()).Verify(set, now, proof.NewBudget()); err == nil {
						res.Got = validity(true)
					}
				}
				if len(proof.SelfRevoked(set, Algorithms(), now, proof.NewBudget())) > 0 {
					res.Got = validity(true) // RFC 5011 section 2.1: the one thing such a key signs
				}
				if len(set.Sigs) > 0 {
					res.Skip = unsupported(set.Sigs[0].Algorithm)
				}
				if res.Got != res.Want && res.Got == validity(false) && byRevoked(set, keys) {
					res.Skip = "signed by a revoked key, which RFC 5011 section 2.1 lets sign nothing but its own set"
				}
				if res.Got != res.Want && res.Got == validity(true) && various {
					res.Skip = "every algorithm of the key set has to sign here, which RFC 6840 section 5.11 forbids a validator to insist on"
				}
				out = append(out, res)
			}
		}
	}
	return out, nil
}

// byRevoked reports whether a signature is by a key with the REVOKE bit.
func byRevoked(set *proof.RRset, keys []proof.Key) bool {
	for _, s := range set.Sigs {
		for _, k := range keys {
			if k.Tag == s.KeyTag && k.Algorithm == s.Algorithm && k.Revoked() {
				return true
			}
		}
	}
	return false
}
