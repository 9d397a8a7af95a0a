package evidence

import (
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
)

// claims fills Proved and Rests.
func (s *session) claims(r *Replayed) {
	s.claimTime(r)
	s.claimDNS(r)
	s.claimPolicy(r)
	s.claimHosts(r)
	s.claimSettings(r)
}

// prove adds what the replay proved.
func (r *Replayed) prove(c reason.Claim) { r.Proved = append(r.Proved, c) }

// rest adds what the replay takes from the file.
func (r *Replayed) rest(c reason.Claim) { r.Rests = append(r.Rests, c) }

// claimTime: nothing in a TLS handshake or in a DNS answer proves when it was.
func (s *session) claimTime(r *Replayed) {
	if s.fixed.IsZero() {
		r.rest(reason.Claim{ID: reason.RestsTime, At: s.f.At})
	}
}

// claimDNS says of which answers the signatures were verified.
func (s *session) claimDNS(r *Replayed) {
	p := r.Plan
	var signed, unsigned []reason.ClaimedRecord
	failed := 0
	add := func(typ, owner string, status dnssec.Status) {
		record := reason.ClaimedRecord{Owner: owner, Type: typ}
		if status == dnssec.Secure {
			signed = append(signed, record)
		} else {
			unsigned = append(unsigned, record)
		}
	}
	lookup := func(l dane.Lookup, typ, owner string) {
		switch {
		case l.Err != nil:
			failed++
		case l.Answer.Kind != 0:
			add(typ, owner, l.Answer.Status)
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
		r.rest(reason.Claim{ID: reason.RestsTrustAD, Records: signed})
	case len(signed) > 0:
		r.prove(reason.Claim{ID: reason.ProvedDNSSEC, Records: signed})
	}
	if len(unsigned) > 0 {
		r.rest(reason.Claim{ID: reason.RestsUnsigned, Records: unsigned})
	}
	if failed > 0 {
		r.rest(reason.Claim{ID: reason.RestsFailures, Count: failed})
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
			r.rest(reason.Claim{ID: reason.RestsNoSTS})
		}
		return
	}
	if s.sts.proved {
		r.prove(reason.Claim{ID: reason.ProvedPolicyHost, Domain: p.Orig, At: f.STS.Fetched})
	}
	switch {
	case p.STS.Policy == nil && p.STS.FetchErr != nil:
		r.rest(reason.Claim{ID: reason.RestsNoPolicy, Domain: p.Orig, Absence: reason.PolicyNotFetched})
	case p.STS.Policy == nil && p.STS.Answer.Status == dnssec.Secure:
		r.rest(reason.Claim{ID: reason.RestsNoPolicy, Domain: p.Orig, Absence: reason.PolicyNotKept})
	case p.STS.Policy == nil:
		r.rest(reason.Claim{ID: reason.RestsNoPolicy, Domain: p.Orig, Absence: reason.PolicyNotPublished})
	case f.STS.Cached:
		r.rest(reason.Claim{ID: reason.RestsKept, Domain: p.Orig, At: p.STS.Fetched})
		fallthrough
	default:
		r.rest(reason.Claim{ID: reason.RestsPolicyText, Domain: p.Orig, Mode: p.STS.Policy.Mode.String()})
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
		r.prove(reason.Claim{ID: reason.ProvedDANE, Hosts: byDANE})
	}
	if len(byCA) > 0 {
		r.prove(reason.Claim{ID: reason.ProvedCA, Hosts: byCA})
	}
	if len(keys) > 0 {
		r.rest(reason.Claim{ID: reason.RestsKey, Hosts: keys})
	}
	if len(answered) > 0 {
		r.rest(reason.Claim{ID: reason.RestsServers, Hosts: answered})
	}
	if silent > 0 {
		r.rest(reason.Claim{ID: reason.RestsNotReached, Count: silent})
	}
}

// claimSettings is about the sender's side.
func (s *session) claimSettings(r *Replayed) {
	f := s.f
	r.rest(reason.Claim{ID: reason.RestsSettings, Level: r.Plan.Request.Level.String()})
	if n := len(f.Request.Exceptions); n > 0 {
		r.rest(reason.Claim{ID: reason.RestsExceptions, Count: n})
	}
	if f.Memory != nil {
		r.rest(reason.Claim{ID: reason.RestsMemory})
	}
	if l := f.LeftOut; l != nil {
		r.rest(reason.Claim{ID: reason.RestsLeftOut, Count: l.Messages, Chains: l.Chains, Bytes: l.Bytes})
	}
}
