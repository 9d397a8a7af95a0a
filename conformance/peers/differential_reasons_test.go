package peers_test

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/conformance/generate"
)

// A peerExcuse explains differences between a peer and the truth, by what they are about.
type peerExcuse struct {
	id, peer string
	why      string
	fits     func(tr trial, theirs outcome) bool
	rare     bool // not every run has such a difference
}

func (r peerExcuse) String() string { return r.peer + ": " + r.id }

// reasons are all that explains a difference. One that explains nothing in a whole run
// is out of date, and fails the test.
var reasons = []peerExcuse{
	{"synthesised-cname", "unbound",
		"RFC 6672 section 5.3.1: the CNAME below a DNAME is not signed, the DNAME confirms it. Unbound wants a signature of it where it is what was asked for.",
		func(tr trial, theirs outcome) bool {
			return tr.q.Type == dns.TypeCNAME && tr.truth.Has("dname") && tr.truth.Status == "secure" && theirs.status != "secure"
		}, false},
	{"weaker-digest", "unbound",
		"RFC 4509 section 3: a DS by SHA-1 does not count beside one by SHA-256. Unbound takes either.",
		func(tr trial, theirs outcome) bool {
			return tr.truth.Has("ds/sha256-wrong") && theirs.status != "bogus"
		}, false},
	{"revoked-key", "unbound",
		"RFC 5011 section 2.1: a revoked key is good for nothing but its revocation. Unbound heeds that of trust anchors only.",
		func(tr trial, theirs outcome) bool { return tr.truth.Has("keys/revoked") && theirs.status != "bogus" }, false},
	{"wildcard-ds", "unbound",
		"RFC 4035 section 5.3.4: what is made from a wildcard needs proof that no closer name exists. Unbound does not ask it of a DS on the way to a zone.",
		func(tr trial, theirs outcome) bool {
			return tr.truth.Has("delegation/set/labels-fewer") && tr.truth.Status == "bogus" && theirs.status != "bogus"
		}, false},
	{"denial-of-another-step", "unbound",
		"RFC 4035 section 5.4: the denial at the end of an alias is that of the zone there. Unbound takes the records that prove the alias's wildcard for it, where the zone there is below and unsigned.",
		func(tr trial, theirs outcome) bool {
			return tr.truth.Has("wildcard") && tr.truth.Has("cname") && tr.truth.Status == "insecure" && len(tr.truth.Data) == 0 && theirs.status == "bogus"
		}, false},
	{"soa-beside-denial", "unbound", soaRule,
		func(tr trial, theirs outcome) bool {
			// One without a signature it leaves out where the answer is insecure even so.
			return tr.truth.Has("soa/no-signature") && theirs.status == "insecure"
		}, true},
	{"expired-dname", "unbound", expiredRule, expired, true},
	{"wildcard-open", "unbound",
		"RFC 5155 section 8.4: NXDOMAIN wants a denial of the wildcard too. Under opt-out Unbound does without it, and calls the answer insecure.",
		func(tr trial, theirs outcome) bool {
			return tr.truth.Has("absent-name") && tr.truth.Has("opt-out-span") && tr.truth.Status == "bogus" && theirs.status == "insecure"
		}, false},
	{"rcode-against-proof", "unbound", rcodeRule, rcodeAgainst, false},
	{"hidden-by-opt-out", "unbound", hiddenRule, hidden, false},

	{"expired-dname", "delv", expiredRule, expired, true},
	{"soa-beside-denial", "delv", soaRule,
		func(tr trial, theirs outcome) bool { return tr.truth.Has("soa/") && theirs.status != "bogus" }, true},
	{"rcode-against-proof", "delv", rcodeRule, rcodeAgainst, false},
	{"hidden-by-opt-out", "delv", hiddenRule, hidden, false},
	{"synthesised-cname", "delv",
		"RFC 6672 section 3.1: the CNAME below a DNAME is the answer to who asks for CNAME. delv asks on where it leads, and says what it finds there.",
		func(tr trial, _ outcome) bool { return tr.q.Type == dns.TypeCNAME && tr.truth.Has("dname") }, false},
	{"opt-out", "delv", optOutRule,
		func(tr trial, theirs outcome) bool {
			return tr.truth.Has("opt-out-span") && tr.truth.Status == "insecure" && theirs.status == "secure"
		}, false},
	{"beside-a-bad-signature", "delv",
		"RFC 4035 section 5.3.3: one good signature is enough. BIND gives up after the first that fails, since CVE-2023-50387.",
		func(tr trial, theirs outcome) bool {
			return hasAny(tr, "set/bad-beside", "set/expired-beside", "link/bad-beside") && theirs.status == "bogus"
		}, false},
	{"dnskey-fields", "delv",
		"RFC 4034 sections 2.1.1 and 2.1.2: a DNSKEY without the zone flag, or whose protocol is not 3, verifies nothing. delv does not look.",
		func(tr trial, theirs outcome) bool {
			return hasAny(tr, "keys/protocol", "keys/no-zone") && theirs.status != "bogus"
		}, false},
	{"nsec3-fields", "delv",
		"RFC 5155 sections 8.1 and 8.2: NSEC3 records of unknown hashes or flags are ignored, so that they prove nothing. delv ignores no flags, and takes unknown hashes as insecure.",
		func(tr trial, theirs outcome) bool { return tr.truth.Has("chain/unknown") && theirs.status != "bogus" }, false},
}

const soaRule = "RFC 2308 section 5: the SOA record says how long a denial may be kept; it is no part of the proof (RFC 4035 section 5.4). " +
	"mxauth takes no denial beside a SOA record that was altered, but for that of DS on the way to a zone. delv never looks at it."

const expiredRule = "RFC 4035 section 4.8: the DNAME confirms the CNAME that it makes. " +
	"Unbound gives the CNAME alone once the DNAME has expired in its cache; mxauth then asks for the DNAME, the peer does not."

func expired(tr trial, theirs outcome) bool {
	return tr.truth.Has("dname") && tr.truth.Status != "bogus" && theirs.status == "bogus"
}

const hiddenRule = "RFC 5155 section 9.2: a name in an opt-out span may lie below an unsigned delegation, and is insecure if its records are unsigned. " +
	"The peer calls it bogus where the answer holds other signatures of the zone; a forger leaves them out."

const rcodeRule = "RFC 4035 section 5.4: whether the name or the type is absent is what the records prove, and nobody signs the rcode. " +
	"mxauth goes by the proof; the peer calls some answers bogus whose rcode says otherwise, or keeps the rcode."

func rcodeAgainst(tr trial, theirs outcome) bool {
	return hasAny(tr, "denial/rcode") && (theirs.status == "bogus" || theirs.status == string(tr.truth.Status))
}

// hidden: the answer is bad, or the span's record happens to be that of a wildcard.
func hidden(tr trial, theirs outcome) bool {
	lucky := tr.truth.Has("opt-out-span") && tr.truth.Has("wild") && tr.truth.Has("empty-non-terminal")
	return tr.truth.Status == "insecure" && theirs.status == "bogus" && (tr.truth.Hidden || lucky)
}

// hasAny reports whether the question, or the way to its zone, has one of the marks.
func hasAny(tr trial, marks ...string) bool {
	for _, m := range marks {
		if tr.truth.Has(m) || tr.truth.Has("delegation/"+m) || tr.truth.Has("way/"+m) {
			return true
		}
	}
	return false
}

// reasonFor finds the reason of a difference; "" if there is none.
func reasonFor(peer string, tr trial, theirs outcome) string {
	for _, r := range reasons {
		if r.peer == peer && r.fits(tr, theirs) {
			return r.String()
		}
	}
	return ""
}

// promising reports whether a difference would be explained, whatever the peer says.
func (r peerExcuse) promising(tr trial) bool {
	for _, status := range []string{"secure", "insecure", "bogus"} {
		if r.fits(tr, outcome{status: status}) && status != string(tr.truth.Status) {
			return true
		}
	}
	return false
}

// TestReasons: a reason names an RFC and a peer, and explains nothing that has not the
// marks it is about; mxauth has none.
func TestReasons(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range reasons {
		if seen[r.String()] || !strings.Contains(r.why, "RFC ") || r.peer != "unbound" && r.peer != "delv" {
			t.Errorf("%s: %s", r, r.why)
		}
		seen[r.String()] = true
	}
	plain := []string{"algorithm/13", "denied-by/nsec", "zone/secure", "wildcard"}
	for _, status := range []generate.Status{generate.Secure, generate.Insecure, generate.Bogus} {
		for _, other := range []string{"secure", "insecure", "bogus", "failed"} {
			tr := trial{q: generate.Question{Name: "www.t0.", Type: dns.TypeA}, truth: generate.Truth{Status: status, Marks: plain}}
			theirs := outcome{status: other, rcode: "NOERROR", final: "www.t0."}
			for _, peer := range []string{"mxauth", "unbound", "delv"} {
				if why := reasonFor(peer, tr, theirs); why != "" {
					t.Errorf("%s says %s of what is %s: %s", peer, other, status, why)
				}
			}
		}
	}
}

// TestOutcomes: outcomes differ by status, rcode, name and data, where there are any.
func TestOutcomes(t *testing.T) {
	base := outcome{status: "secure", rcode: "NOERROR", final: "www.t0.", data: []string{"c0000201"}}
	for _, c := range []struct {
		name string
		edit func(*outcome)
		same bool
	}{
		{"the note", func(o *outcome) { o.note = "else" }, true},
		{"status", func(o *outcome) { o.status = "insecure" }, false},
		{"rcode", func(o *outcome) { o.rcode = "NXDOMAIN" }, false},
		{"name", func(o *outcome) { o.final = "mx.t0." }, false},
		{"data", func(o *outcome) { o.data = []string{"c0000202"} }, false},
		{"status alone", func(o *outcome) { *o = outcome{status: "secure"} }, true},
		{"another status alone", func(o *outcome) { *o = outcome{status: "bogus"} }, false},
	} {
		o := base
		c.edit(&o)
		if o.agrees(base) != c.same {
			t.Errorf("%s: agrees is %v", c.name, !c.same)
		}
	}
}
