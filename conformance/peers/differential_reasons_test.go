package peers_test

import (
	"strings"

	"github.com/miekg/dns"
)

// A reason explains differences between a peer and the truth, by what they are about.
type reason struct {
	id, peer string
	why      string
	fits     func(tr trial, theirs outcome) bool
}

// reasons are all that explains a difference. One that explains nothing in a whole run
// is out of date, and fails the test.
var reasons = []reason{
	{"synthesised-cname", "unbound",
		"RFC 6672 section 5.3.1: the CNAME below a DNAME is not signed, the DNAME vouches for it. Unbound wants a signature of it where it is what was asked for.",
		func(tr trial, theirs outcome) bool {
			return tr.q.Type == dns.TypeCNAME && tr.truth.Has("dname") && tr.truth.Status == "secure" && theirs.status != "secure"
		}},
	{"weaker-digest", "unbound",
		"RFC 4509 section 3: a DS by SHA-1 does not count beside one by SHA-256. Unbound takes either, unless harden-algo-downgrade is set.",
		func(tr trial, theirs outcome) bool {
			return tr.truth.Has("ds/sha256-wrong") && theirs.status != "bogus"
		}},
	{"revoked-key", "unbound",
		"RFC 5011 section 2.1: a revoked key is good for nothing but its revocation. Unbound heeds that only of trust anchors.",
		func(tr trial, theirs outcome) bool { return tr.truth.Has("keys/revoked") && theirs.status != "bogus" }},
	{"wildcard-ds", "unbound",
		"RFC 4035 section 5.3.4: what is made from a wildcard needs proof that no closer name exists. Unbound does not ask it of a DS on the way to a zone.",
		func(tr trial, theirs outcome) bool {
			return tr.truth.Has("delegation/set/labels-fewer") && tr.truth.Status == "bogus" && theirs.status != "bogus"
		}},
	{"hidden-by-opt-out", "unbound",
		"RFC 5155 section 9.2: a name in an opt-out span may lie below an unsigned delegation, and is insecure if its records are unsigned. Unbound calls it bogus if there are signatures of the zone in the answer; a forger leaves them out.",
		func(tr trial, theirs outcome) bool { return tr.truth.Hidden && theirs.status == "bogus" }},
	{"beside-a-bad-signature", "delv",
		"RFC 4035 section 5.3.3: one good signature is enough. BIND gives up after one that fails (max-validation-failures-per-fetch).",
		func(tr trial, theirs outcome) bool {
			return hasAny(tr, "set/bad-beside", "set/expired-beside") && theirs.status == "bogus"
		}},
	{"protocol-field", "delv",
		"RFC 4034 section 2.1.2: a DNSKEY whose protocol is not 3 is invalid. delv does not look.",
		func(tr trial, theirs outcome) bool { return tr.truth.Has("keys/protocol") && theirs.status != "bogus" }},
	{"opt-out", "delv",
		optOutRule,
		func(tr trial, theirs outcome) bool {
			return tr.truth.Has("opt-out-span") && tr.truth.Status == "insecure" && theirs.status == "secure"
		}},
}

// hasAny reports whether the question or a delegation on its way has one of the marks.
func hasAny(tr trial, marks ...string) bool {
	for _, m := range marks {
		if tr.truth.Has(m) || tr.truth.Has("delegation/"+m) {
			return true
		}
	}
	return false
}

// explain finds the reason of a difference; "" if there is none.
func explain(peer string, tr trial, theirs outcome) string {
	for _, r := range reasons {
		if r.peer == peer && r.fits(tr, theirs) {
			return r.id
		}
	}
	return ""
}

// marked lists the marks that are the same kind of thing as others, each once.
func marked(tr trial) string { return strings.Join(tr.truth.Marks, " ") }
