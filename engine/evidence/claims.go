package evidence

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
)

// A Claim is something that a verdict rests on.
type Claim struct {
	ID   ClaimID `json:"id"`
	Text string  `json:"text"` // for people, without the full stop
}

// A ClaimID is the stable word of a claim. Words are never reused for something else.
type ClaimID string

// What a replay proves again.
const (
	ProvedDNSSEC     ClaimID = "dnssec"      // signatures from a trust anchor of the replay down
	ProvedPolicyHost ClaimID = "policy-host" // the certificate chain of the policy host
	ProvedDANE       ClaimID = "dane"        // a mail host's certificate against TLSA records
	ProvedCA         ClaimID = "ca"          // a mail host's certificate from a CA of the replay down
)

// What rests on the word of the file.
const (
	RestsTime       ClaimID = "time"           // when all that was
	RestsSettings   ClaimID = "settings"       // the request, and how the check was set up
	RestsExceptions ClaimID = "exceptions"     // exceptions of the operator
	RestsMemory     ClaimID = "memory"         // what the domain once proved
	RestsTrustAD    ClaimID = "trust-ad"       // the DNSSEC status of every answer
	RestsUnsigned   ClaimID = "unsigned-dns"   // answers without a signature
	RestsFailures   ClaimID = "dns-failures"   // lookups without an answer
	RestsNoSTS      ClaimID = "sts-not-asked"  // that MTA-STS was not looked at
	RestsPolicyText ClaimID = "policy-text"    // the text of the MTA-STS policy
	RestsKept       ClaimID = "policy-kept"    // that the policy was fetched before the check
	RestsNoPolicy   ClaimID = "no-policy"      // that no policy could be fetched, or none is kept
	RestsKey        ClaimID = "key-possession" // that a mail host has the key of its certificate
	RestsServers    ClaimID = "server-replies" // what mail servers answered
	RestsNotReached ClaimID = "not-connected"  // that an address did not answer, or was not tried
	RestsLeftOut    ClaimID = "left-out"       // what a recorder left out
)

// claims fills Proved and Rests.
func (s *session) claims(r *Replayed) {
	s.claimTime(r)
	s.claimDNS(r)
	s.claimPolicy(r)
	s.claimHosts(r)
	s.claimSettings(r)
}

func (r *Replayed) prove(id ClaimID, format string, args ...any) {
	r.Proved = append(r.Proved, Claim{id, fmt.Sprintf(format, args...)})
}

func (r *Replayed) rest(id ClaimID, format string, args ...any) {
	r.Rests = append(r.Rests, Claim{id, fmt.Sprintf(format, args...)})
}

// maxListed bounds the names of one claim: the details are in the trace.
const maxListed = 4

// listed joins texts.
func listed(all []string) string {
	if n := len(all) - maxListed; n > 1 {
		all = append(slices.Clone(all[:maxListed]), fmt.Sprintf("%d more", n))
	}
	return strings.Join(all, ", ")
}

// claimTime: nothing in a TLS handshake or in a DNS answer proves when it was.
func (s *session) claimTime(r *Replayed) {
	if s.fixed.IsZero() {
		r.rest(RestsTime, "the time of the check, %s, by which signatures, certificates and policies were judged", s.f.At.UTC().Format(time.RFC3339))
	}
}

// claimDNS says of which answers the signatures were verified.
func (s *session) claimDNS(r *Replayed) {
	p := r.Plan
	var signed, unsigned []string
	failed := 0
	add := func(what, where string, status dnssec.Status) {
		text := where + " " + what
		if status == dnssec.Secure {
			signed = append(signed, text)
		} else {
			unsigned = append(unsigned, text)
		}
	}
	lookup := func(l dane.Lookup, what, where string) {
		switch {
		case l.Err != nil:
			failed++
		case l.Answer.Kind != 0:
			add(what, where, l.Answer.Status)
		}
	}
	switch p.MX.Row {
	case "M1", "M2", "":
	case "M3":
		failed++
	default:
		add("MX", p.Orig.String(), p.MX.Status)
	}
	for i := range p.Hosts {
		h := &p.Hosts[i]
		lookup(h.DANE.A, "A", hostName(h))
		lookup(h.DANE.AAAA, "AAAA", hostName(h))
		for _, l := range h.DANE.TLSA {
			lookup(l, "TLSA", l.Answer.Question.Name.String())
		}
	}
	if q := s.sts.asked; q.Name.IsValid() {
		lookup(dane.Lookup{Answer: p.STS.Answer, Err: lookupFailure(p)}, "TXT", q.Name.String())
	}
	switch {
	case s.f.Mode == ModeTrustAD && len(signed) > 0:
		r.rest(RestsTrustAD, "the DNSSEC status of every answer (recorded with trust-ad): %s", listed(signed))
	case len(signed) > 0:
		r.prove(ProvedDNSSEC, "DNSSEC signatures, from a trust anchor of this machine: %s", listed(signed))
	}
	if len(unsigned) > 0 {
		r.rest(RestsUnsigned, "answers of the DNS that are not signed: %s", listed(unsigned))
	}
	if failed > 0 {
		r.rest(RestsFailures, "that %d lookups failed as recorded", failed)
	}
}

// lookupFailure is the error of the question for the MTA-STS record, if it failed: that
// there is no such record is an answer.
func lookupFailure(p *engine.Plan) error {
	if p.STS.TXTErr != nil && p.STS.Answer.Kind == 0 {
		return p.STS.TXTErr
	}
	return nil
}

// claimPolicy is about MTA-STS. The chain of the policy host is public: it proves that
// there is such a host, and not what it served.
func (s *session) claimPolicy(r *Replayed) {
	f, p := s.f, r.Plan
	if f.STS == nil {
		if p.Orig.IsValid() && len(p.Hosts) > 0 && (p.Request.Level == engine.LevelDefault || p.Request.Level == engine.LevelSecure) {
			r.rest(RestsNoSTS, "that MTA-STS was not looked at")
		}
		return
	}
	if s.sts.proved {
		r.prove(ProvedPolicyHost, "the certificate chain of the policy host mta-sts.%s, from a certification authority of this machine, at %s", p.Orig, f.STS.Fetched.UTC().Format(time.RFC3339))
	}
	switch {
	case p.STS.Policy == nil && p.STS.FetchErr != nil:
		r.rest(RestsNoPolicy, "that the MTA-STS policy of %s could not be fetched, and none was kept", p.Orig)
	case p.STS.Policy == nil && p.STS.Answer.Status == dnssec.Secure:
		r.rest(RestsNoPolicy, "that no MTA-STS policy of %s was kept from before", p.Orig)
	case p.STS.Policy == nil:
		r.rest(RestsNoPolicy, "that no MTA-STS policy of %s was announced, and none was kept", p.Orig)
	case f.STS.Cached:
		r.rest(RestsKept, "that an MTA-STS policy of %s was kept since %s; no certificate of its policy host is in the file", p.Orig, p.STS.Fetched.UTC().Format(time.RFC3339))
		fallthrough
	default:
		r.rest(RestsPolicyText, "the text of the MTA-STS policy of %s (mode %s)", p.Orig, p.STS.Policy.Mode)
	}
}

// claimHosts is about the connections.
func (s *session) claimHosts(r *Replayed) {
	var byDANE, byCA, keys, answered []string
	silent := 0
	for i := range r.Plan.Hosts {
		h, res := &r.Plan.Hosts[i], &r.Hosts[i]
		name := hostName(h)
		shown, said := false, false
		for _, a := range res.Addresses {
			switch a.Peer.Event {
			case engine.NoConnection:
				silent++
				continue
			case engine.HandshakeDone:
				shown = shown || len(a.Peer.Chain)+len(a.Peer.RawKey) > 0
			}
			said = true
		}
		silent += res.Left
		if shown {
			keys = append(keys, name)
		}
		if said {
			answered = append(answered, name)
		}
		switch d := res.Decision; {
		case d.Method == engine.MethodDANEEE, d.Method == engine.MethodDANETA:
			byDANE = append(byDANE, name)
		case d.Method == engine.MethodMTASTS, d.Method == engine.MethodPKIX:
			byCA = append(byCA, name)
		}
	}
	if len(byDANE) > 0 {
		r.prove(ProvedDANE, "that the recorded certificates match the TLSA records: %s", listed(byDANE))
	}
	if len(byCA) > 0 {
		r.prove(ProvedCA, "that the recorded certificates name the hosts and lead to a certification authority of this machine: %s", listed(byCA))
	}
	if len(keys) > 0 {
		r.rest(RestsKey, "that the hosts had the private keys of the recorded certificates, which anyone can copy: %s", listed(keys))
	}
	if len(answered) > 0 {
		r.rest(RestsServers, "what the mail servers answered: %s", listed(answered))
	}
	if silent > 0 {
		r.rest(RestsNotReached, "that %d addresses did not answer or were not tried", silent)
	}
}

// claimSettings is about the sender's side.
func (s *session) claimSettings(r *Replayed) {
	f := s.f
	r.rest(RestsSettings, "the request and the settings of the check (level %s)", r.Plan.Request.Level)
	if n := len(f.Request.Exceptions); n > 0 {
		r.rest(RestsExceptions, "that the sender had %d exceptions", n)
	}
	if f.Memory != nil {
		r.rest(RestsMemory, "what the sender remembered of the domain")
	}
	if l := f.LeftOut; l != nil {
		r.rest(RestsLeftOut, "that the file had no room for %d DNS answers and %d certificate chains (%d bytes); what depends on them is deferred", l.Messages, l.Chains, l.Bytes)
	}
}
