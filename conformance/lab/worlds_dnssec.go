package lab

import (
	"slices"
)

// dnssecWorlds have DANE at its plainest, over zones that are signed in every way, or
// broken in every way.
func dnssecWorlds() []World {
	return slices.Concat(signedWorlds(), delegationWorlds(), brokenWorlds(), denialWorlds())
}

// dane is a world of one MX host with DANE-EE, in the zone given; more may be said of
// it by the edits.
func dane(name, about string, z Zone, want Want, edits ...func(*World)) World {
	domain := name + ".test"
	z.Apex = domain
	w := World{
		Name: name, Domain: domain, About: about, Want: want,
		Zones: []Zone{z},
		Hosts: []Host{{Name: "mx." + domain, Pref: 10, Chain: selfSigned, TLSA: []string{"3 1 1 leaf"}}},
	}
	for _, e := range edits {
		e(&w)
	}
	return w
}

// asks adds questions about the world's domain ("" is the domain, "mx" a name in it).
func asks(a ...Ask) func(*World) {
	return func(w *World) {
		for _, q := range a {
			if q.Name == "" {
				q.Name = w.Domain
			} else {
				q.Name += "." + w.Domain
			}
			w.Asks = append(w.Asks, q)
		}
	}
}

func rows(r ...string) func(*World) {
	return func(w *World) { w.Rows = append(w.Rows, r...) }
}

// tlsaOfMX is the owner of the usual TLSA record, below the domain.
const tlsaOfMX = "_25._tcp.mx"

// signedWorlds are sound.
func signedWorlds() []World {
	all := []Ask{
		{Name: "", Type: "MX", Status: "secure", Kind: "data"},
		{Name: tlsaOfMX, Type: "TLSA", Status: "secure", Kind: "data"},
		{Name: "mx", Type: "AAAA", Status: "secure", Kind: "nodata"},
		{Name: "_tcp.mx", Type: "A", Status: "secure", Kind: "nodata"},
		{Name: "nothing", Type: "A", Status: "secure", Kind: "nxdomain"},
		{Name: "a.b.c", Type: "A", Status: "secure", Kind: "nxdomain"},
	}
	optOut := slices.Clone(all)
	optOut[4].Status, optOut[4].Reason = "insecure", "opt-out"
	optOut[5].Status, optOut[5].Reason = "insecure", "opt-out"
	return []World{
		dane("zone-nsec", "a zone signed with ECDSA P-256 and NSEC", Zone{}, byDANEEE, asks(all...), rows("A5", "T2")),
		dane("zone-nsec3", "a zone with NSEC3", Zone{Sign: NSEC3}, byDANEEE, asks(all...)),
		dane("zone-nsec3-salt", "a zone with NSEC3, a salt and ten iterations", Zone{Sign: NSEC3, Salt: "aabbccdd", Iterations: 10}, byDANEEE, asks(all...)),
		dane("zone-opt-out", "a zone with NSEC3 and opt-out", Zone{Sign: OptOut}, byDANEEE, asks(optOut...)),
		dane("zone-split", "a zone with a key-signing and a zone-signing key", Zone{Split: true}, byDANEEE, asks(all...)),
		dane("zone-rsa", "a zone signed with RSA and SHA-256", Zone{Algorithm: 8}, byDANEEE, asks(all...)),
		dane("zone-rsa512", "a zone signed with RSA and SHA-512", Zone{Algorithm: 10, Sign: NSEC3}, byDANEEE, asks(all...)),
		dane("zone-p384", "a zone signed with ECDSA P-384", Zone{Algorithm: 14}, byDANEEE, asks(all...)),
		dane("zone-ed25519", "a zone signed with Ed25519", Zone{Algorithm: 15, Split: true}, byDANEEE, asks(all...)),
		dane("zone-colliding", "another key of the zone has the same tag", Zone{Algorithm: 15, Colliding: 1}, byDANEEE, asks(all...)),
		dane("zone-lasting-an-hour", "signatures that end in an hour", Zone{Lasts: Hour}, byDANEEE, asks(all[:2]...)),
		dane("tlsa-wildcard", "a wildcard TLSA record for all ports", Zone{}, byDANEEE, wildcardTLSA,
			asks(Ask{Name: tlsaOfMX, Type: "TLSA", Status: "secure", Kind: "data"},
				Ask{Name: tlsaOfMX, Type: "A", Status: "secure", Kind: "nodata"})),
		dane("tlsa-wildcard-nsec3", "a wildcard TLSA record, in a zone with NSEC3", Zone{Sign: NSEC3}, byDANEEE, wildcardTLSA,
			asks(Ask{Name: tlsaOfMX, Type: "TLSA", Status: "secure", Kind: "data"},
				Ask{Name: tlsaOfMX, Type: "A", Status: "secure", Kind: "nodata"})),
		dane("mx-wildcard", "the MX record comes from a wildcard", Zone{}, byDANEEE, func(w *World) {
			w.Domain = "any." + w.Domain
			w.NoMX = true
			w.Records = []string{"*.mx-wildcard.test. MX 10 mx.mx-wildcard.test."}
			w.Asks = []Ask{{Name: "any.mx-wildcard.test", Type: "MX", Status: "secure", Kind: "data"}}
		}),
		{
			Name: "deep-zones", Domain: "a.b.deep-zones.test",
			About: "three signed zones, each below the other, one with NSEC3",
			Zones: []Zone{{Apex: "deep-zones.test"}, {Apex: "b.deep-zones.test", Sign: NSEC3}, {Apex: "a.b.deep-zones.test", Algorithm: 15}},
			Hosts: []Host{{Name: "mx.b.deep-zones.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}}},
			Asks: []Ask{
				{Name: "a.b.deep-zones.test", Type: "DS", Status: "secure", Kind: "data"},
				{Name: "a.b.deep-zones.test", Type: "MX", Status: "secure", Kind: "data"},
				{Name: "b.deep-zones.test", Type: "A", Status: "secure", Kind: "nodata"},
			},
			Want: byDANEEE,
		},
	}
}

// wildcardTLSA moves the TLSA record to a wildcard.
func wildcardTLSA(w *World) {
	mx := &w.Hosts[0]
	mx.TLSA = nil
	w.Records = []string{"*._tcp." + mx.Name + ". TLSA {3 1 1 leaf " + mx.Name + "}"}
}

// delegationWorlds differ in what the parent says of them.
func delegationWorlds() []World {
	status := func(s, reason string) func(*World) {
		return asks(Ask{Name: "", Type: "MX", Status: s, Reason: reason}, Ask{Name: tlsaOfMX, Type: "TLSA", Status: s, Reason: reason})
	}
	return []World{
		dane("ds-missing", "a signed zone without DS in the parent zone: its signatures do not count", Zone{DS: DSMissing}, encrypted,
			status("insecure", "unsigned-delegation"), rows("A6", "R9", "C6/nothing"),
			asks(Ask{Name: "", Type: "DS", Status: "secure", Kind: "nodata"})),
		dane("ds-wrong", "a DS of another key", Zone{DS: DSWrong}, deferred, status("bogus", "no-key-for-ds"), rows("M3")),
		dane("ds-other-algorithm", "a DS of an algorithm that no key of the zone has", Zone{DS: DSOtherAlgorithm}, deferred,
			status("bogus", "no-key-for-ds")),
		dane("ds-unsupported", "a DS of an algorithm that no program implements", Zone{DS: DSUnsupported}, encrypted,
			status("insecure", "unsupported-algorithm")),
		dane("ds-unknown-digest", "a DS of a digest type that no program implements", Zone{DS: DSUnknownDigest}, encrypted,
			status("insecure", "unsupported-algorithm")),
		dane("ds-of-nothing", "a DS for a zone that is not signed", Zone{Sign: Unsigned, DS: DSOfNothing}, deferred,
			status("bogus", "keys-missing")),
		dane("zone-unknown-algorithm", "a zone signed by an algorithm that no program implements", Zone{Algorithm: 240}, encrypted,
			status("insecure", "unsupported-algorithm")),
		{
			Name: "optout-tld", Domain: "optout-tld.optout",
			About: "an unsigned zone under a top-level domain with opt-out",
			Zones: []Zone{{Apex: "optout-tld.optout", Sign: Unsigned}},
			Hosts: []Host{{Name: "mx.optout-tld.optout", Pref: 10, TLSA: []string{"3 1 1 leaf"}}},
			Asks: []Ask{
				{Name: "optout-tld.optout", Type: "MX", Status: "insecure", Kind: "data"},
				{Name: "optout-tld.optout", Type: "DS", Status: "insecure", Kind: "nodata", Reason: "opt-out"},
			},
			Want: encrypted,
		}, {
			Name: "optout-tld-signed", Domain: "optout-tld-signed.optout",
			About: "a signed zone under a top-level domain with opt-out",
			Zones: []Zone{{Apex: "optout-tld-signed.optout"}},
			Hosts: []Host{{Name: "mx.optout-tld-signed.optout", Pref: 10, TLSA: []string{"3 1 1 leaf"}}},
			Asks:  []Ask{{Name: "optout-tld-signed.optout", Type: "MX", Status: "secure", Kind: "data"}},
			Want:  byDANEEE,
		}, {
			Name: "unsigned-tld", Domain: "unsigned-tld.unsigned",
			About: "a signed zone under an unsigned top-level domain",
			Zones: []Zone{{Apex: "unsigned-tld.unsigned"}},
			Hosts: []Host{{Name: "mx.unsigned-tld.unsigned", Pref: 10, TLSA: []string{"3 1 1 leaf"}}},
			Asks:  []Ask{{Name: "unsigned-tld.unsigned", Type: "MX", Status: "insecure", Kind: "data", Reason: "unsigned-delegation"}},
			Want:  encrypted,
		}, {
			Name: "ds-expired", Domain: "child.ds-expired.test",
			About: "the signature of the DS has expired",
			Zones: []Zone{
				{Apex: "ds-expired.test", Break: []Break{{What: Expired, Name: "child.ds-expired.test", Type: "DS"}}},
				{Apex: "child.ds-expired.test"},
			},
			Hosts: []Host{{Name: "mx.child.ds-expired.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}}},
			Asks:  []Ask{{Name: "child.ds-expired.test", Type: "MX", Status: "bogus", Reason: "signature-expired"}},
			Want:  deferred,
		}, {
			Name: "ds-denied", Domain: "child.ds-denied.test",
			About: "a delegation without DS, and without proof that there is none",
			Zones: []Zone{
				{Apex: "ds-denied.test", Break: []Break{{What: NoDenial, Name: "child.ds-denied.test", Type: "DS"}}},
				{Apex: "child.ds-denied.test", Sign: Unsigned},
			},
			Hosts: []Host{{Name: "mx.child.ds-denied.test", Pref: 10}},
			Asks:  []Ask{{Name: "child.ds-denied.test", Type: "MX", Status: "bogus", Reason: "denial-missing"}},
			Want:  deferred,
		}, {
			Name: "ds-forged-away", Domain: "child.ds-forged-away.test",
			About: "the DS is denied with the proof of another name",
			Zones: []Zone{
				{Apex: "ds-forged-away.test", Break: []Break{{What: ForgedDenial, Name: "child.ds-forged-away.test", Type: "DS"}}},
				{Apex: "child.ds-forged-away.test", DS: DSWrong},
			},
			Hosts: []Host{
				{Name: "mx.child.ds-forged-away.test", Pref: 10},
				{Name: "www.ds-forged-away.test", NotMX: true},
			},
			Asks: []Ask{{Name: "child.ds-forged-away.test", Type: "MX", Status: "bogus", Reason: "denial-invalid"}},
			Want: deferred,
		},
	}
}

// brokenWorlds have zones, or single RRsets, with signatures that are worth nothing.
func brokenWorlds() []World {
	var out []World
	for _, b := range []struct {
		word        BreakWord
		zone, rrset string // the validator's reason
		about       string
	}{
		{Expired, "signature-expired", "signature-expired", "signatures have expired"},
		{NotYetValid, "signature-not-yet-valid", "signature-not-yet-valid", "signatures are not valid before tomorrow"},
		{WrongKey, "signature-key", "signature-key", "signed by a key that the zone does not have"},
		{BadSignature, "signature-invalid", "signature-invalid", "a bit of each signature is changed"},
		{Stripped, "signature-missing", "signature-missing", "signatures are missing"},
		// the parent is asked for the key by which its name signed, and has none
		{WrongSigner, "signature-key", "signature-key", "signed in the name of the parent"},
	} {
		whole := dane("zone-"+string(b.word), "the whole zone: "+b.about, Zone{Break: []Break{{What: b.word}}}, deferred,
			asks(Ask{Name: "", Type: "MX", Status: "bogus", Reason: b.zone}), rows("M3"))
		one := dane("tlsa-"+string(b.word), "the TLSA records alone: "+b.about, Zone{}, deferred,
			asks(Ask{Name: "", Type: "MX", Status: "secure"}, Ask{Name: tlsaOfMX, Type: "TLSA", Status: "bogus", Reason: b.rrset}),
			rows("T1", "R1", "C1/nothing"))
		one.Zones[0].Break = []Break{{What: b.word, Name: tlsaOfMX + "." + one.Domain, Type: "TLSA"}}
		out = append(out, whole, one)
	}
	broken := func(name, about string, what BreakWord, owner, typ, reason string, want Want, edits ...func(*World)) {
		w := dane(name, about, Zone{}, want, asks(Ask{Name: owner, Type: typ, Status: "bogus", Reason: reason}))
		w.Zones[0].Break = []Break{{What: what, Name: dotted(owner, w.Domain), Type: typ}}
		for _, e := range edits {
			e(&w)
		}
		out = append(out, w)
	}
	broken("tlsa-forged", "the TLSA records are changed in transit", Forged, tlsaOfMX, "TLSA", "signature-invalid", deferred, rows("T1"))
	broken("a-forged", "the address is changed in transit", Forged, "mx", "A", "signature-invalid", deferred, rows("A1"))
	broken("mx-forged", "the MX record of a signed zone is changed in transit", Forged, "", "MX", "signature-invalid", deferred, rows("M3"))
	broken("mx-stripped", "the MX record of a signed zone has no signature", Stripped, "", "MX", "signature-missing", deferred, rows("M3"))
	broken("tlsa-denied-nsec", "the TLSA records are denied with the proof of another name", ForgedDenial, tlsaOfMX, "TLSA", "denial-invalid", deferred, rows("T1"))
	broken("mx-denied", "the MX records are denied with the proof of another name", ForgedDenial, "", "MX", "denial-invalid", deferred, rows("M3"))
	out = append(out,
		dane("tlsa-denied-nsec3", "the TLSA records are denied with the proof of another name, in a zone with NSEC3", Zone{Sign: NSEC3, Break: []Break{{What: ForgedDenial, Name: tlsaOfMX + ".tlsa-denied-nsec3.test", Type: "TLSA"}}}, deferred,
			asks(Ask{Name: tlsaOfMX, Type: "TLSA", Status: "bogus", Reason: "denial-invalid"}), rows("T1")),
		dane("zone-keytrap", "forty keys with one key tag, and forty signatures: too much work", Zone{Algorithm: 15, Colliding: 40}, deferred,
			asks(Ask{Name: "", Type: "MX", Status: "indeterminate", Reason: "budget-exceeded"}), rows("M3")),
	)
	return out
}

// dotted joins an owner below a domain.
func dotted(owner, domain string) string {
	if owner == "" {
		return domain
	}
	return owner + "." + domain
}

// denialWorlds have no TLSA records, and deny them in every way.
func denialWorlds() []World {
	noTLSA := func(w *World) { w.Hosts[0].TLSA = nil }
	return []World{
		dane("tlsa-none-nsec", "a signed zone without TLSA records", Zone{}, encrypted, noTLSA, rows("T3", "R4", "C6/nothing"),
			asks(Ask{Name: tlsaOfMX, Type: "TLSA", Status: "secure", Kind: "nxdomain"})),
		dane("tlsa-none-nsec3", "a signed zone with NSEC3, without TLSA records", Zone{Sign: NSEC3}, encrypted, noTLSA, rows("T3", "R4", "C6/nothing"),
			asks(Ask{Name: tlsaOfMX, Type: "TLSA", Status: "secure", Kind: "nxdomain"})),
		dane("tlsa-none-opt-out", "a signed zone with opt-out, without TLSA records", Zone{Sign: OptOut}, encrypted, noTLSA, rows("T3", "C6/nothing"),
			asks(Ask{Name: tlsaOfMX, Type: "TLSA", Status: "insecure", Kind: "nxdomain", Reason: "opt-out"})),
		dane("tlsa-other-port", "TLSA records for port 587 only", Zone{}, encrypted, func(w *World) {
			w.Hosts[0].TLSA = nil
			w.Records = []string{"_587._tcp.mx.tlsa-other-port.test. TLSA {3 1 1 leaf mx.tlsa-other-port.test}"}
		}, rows("T3"), asks(Ask{Name: tlsaOfMX, Type: "TLSA", Status: "secure", Kind: "nxdomain"})),
		dane("tlsa-unproved", "the absence of TLSA records is not proved", Zone{Break: []Break{{What: NoDenial, Name: tlsaOfMX + ".tlsa-unproved.test", Type: "TLSA"}}}, deferred,
			noTLSA, rows("T1", "R1"), asks(Ask{Name: tlsaOfMX, Type: "TLSA", Status: "bogus", Reason: "denial-missing"})),
		dane("tlsa-denial-expired", "the proof that there are no TLSA records has expired", Zone{Break: []Break{{What: Expired, Type: "NSEC"}}}, deferred,
			noTLSA, rows("T1", "R1"), asks(Ask{Name: tlsaOfMX, Type: "TLSA", Status: "bogus", Reason: "signature-expired"})),
		dane("nsec3-many", "NSEC3 with 500 iterations: the records that exist are signed", Zone{Sign: NSEC3, Iterations: 500}, byDANEEE, rows("T2"),
			asks(Ask{Name: "mx", Type: "A", Status: "secure", Kind: "data"},
				Ask{Name: "mx", Type: "AAAA", Status: "insecure", Kind: "nodata", Reason: "nsec3-iterations"},
				Ask{Name: tlsaOfMX, Type: "TLSA", Status: "secure", Kind: "data"})),
		dane("nsec3-many-none", "NSEC3 with 500 iterations: the absence of TLSA records is not proved", Zone{Sign: NSEC3, Iterations: 500}, deferred, noTLSA, rows("T1", "R1"),
			asks(Ask{Name: tlsaOfMX, Type: "TLSA", Status: "insecure", Kind: "nxdomain", Reason: "nsec3-iterations"})),
		dane("nsec3-150", "NSEC3 with 150 iterations, the most that counts", Zone{Sign: NSEC3, Iterations: 150}, encrypted, noTLSA, rows("T3"),
			asks(Ask{Name: tlsaOfMX, Type: "TLSA", Status: "secure", Kind: "nxdomain"})),
	}
}
