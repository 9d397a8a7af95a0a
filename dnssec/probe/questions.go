package probe

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/internal/text"
	"github.com/mxauth/mxauth/rfc6125"
)

// ask sends one question with DO; with cd it asks for data unchecked, else for the
// verdict.
func (p *prober) ask(up dnssec.Upstream, n rfc6125.Name, t dnssec.Type, cd bool) (*wire.Message, error) {
	resp, err := up.Exchange(p.ctx, wire.Query{Name: n, Type: uint16(t), DO: true, CD: cd, AD: !cd}.Append(nil))
	if err != nil {
		return nil, err
	}
	return wire.Parse(resp.Message)
}

// has reports whether m is a good answer with a record of the type, and whether one of
// its answer section's signatures covers that type.
func has(m *wire.Message, t dnssec.Type) (records, signed bool) {
	if m == nil || m.Rcode != wire.RcodeNoError {
		return false, false
	}
	return count(m.Answer, t) > 0, covers(m.Answer, t)
}

func count(rrs []wire.RR, t dnssec.Type) (n int) {
	for _, rr := range rrs {
		if dnssec.Type(rr.Type) == t {
			n++
		}
	}
	return n
}

// covers reports whether an RRSIG among rrs covers the type (RFC 4034 section 3.1.1).
func covers(rrs []wire.RR, t dnssec.Type) bool {
	for _, rr := range rrs {
		if rr.Type == wire.TypeRRSIG && len(rr.Data) > 2 && dnssec.Type(binary.BigEndian.Uint16(rr.Data)) == t {
			return true
		}
	}
	return false
}

// absent reports whether m says that the name does not exist.
func absent(m *wire.Message) bool { return m.Rcode == wire.RcodeNXDomain }

// unfit adds the finding that a name cannot be used to find something out, and notes the
// name. what completes the sentence "so it cannot be seen whether ...".
func (p *prober) unfit(id ID, noted *rfc6125.Name, name rfc6125.Name, what string, cure Cure) {
	*noted = name
	p.report.unfit = append(p.report.unfit, id)
	p.add(id, Unknown, cure, "%s does not exist here, so it cannot be seen whether %s", name, what)
}

// reachable asks for the keys of the root, which every recursive resolver that knows
// DNSSEC can give.
func (p *prober) reachable() bool {
	begin := time.Now()
	m, err := p.ask(p.any, rfc6125.RootName(), dnssec.TypeDNSKEY, true)
	took := time.Since(begin).Round(time.Millisecond / 10)
	switch {
	case err != nil:
		p.add(Reachable, Unknown, reachCure(p.report.Server, err), "it does not answer: %s", text.ASCII(err.Error(), 200))
		return false
	case m.Rcode == wire.RcodeFormErr || m.Rcode == wire.RcodeBadVers || !m.EDNS && m.Rcode == wire.RcodeNotImp:
		p.add(Reachable, Good, "", "it answers (%v)", took)
		p.add(EDNS, Bad, CureEDNS, "it does not understand EDNS")
		return false
	case m.Rcode == wire.RcodeRefused:
		p.add(Reachable, Bad, CureAccess, "it refuses to answer this host")
		return false
	case m.Rcode == wire.RcodeNXDomain:
		p.add(Reachable, Bad, CureOther, "it says that the root does not exist")
		return false
	case !m.RecursionAvailable():
		p.add(Reachable, Bad, CureRecursive, "it does not ask others for us (RA clear)")
		return false
	}
	p.add(Reachable, Good, "", "it answers and asks others for us (%v)", took)
	if !m.EDNS {
		p.add(EDNS, Bad, CureEDNSPath, "its answers come without EDNS")
		return false
	}
	p.add(EDNS, Good, "", "it understands EDNS")
	return true
}

func reachCure(s upstream.Server, err error) Cure {
	switch {
	case s.IsAuthenticated() && errors.Is(err, dnssec.ErrUnreachable):
		return CureReachTLS
	case s.IsLoopback():
		return CureStart
	}
	return CureReach
}

// tcp asks the same once more without UDP.
func (p *prober) tcp() {
	m, err := p.ask(p.streams, rfc6125.RootName(), dnssec.TypeDNSKEY, true)
	switch {
	case err != nil:
		p.add(TCP, Bad, CureTCP, "it does not answer over TCP: %s", text.ASCII(err.Error(), 200))
	case m.Rcode != wire.RcodeNoError:
		p.add(TCP, Bad, CureTCP, "over TCP it answers with rcode %d", m.Rcode)
	default:
		p.add(TCP, Good, "", "it answers over TCP, large answers too")
	}
}

// signatures asks for one record of each kind that a chain of trust is made of.
func (p *prober) signatures() {
	for _, q := range []struct {
		name rfc6125.Name
		typ  dnssec.Type
	}{
		{rfc6125.RootName(), dnssec.TypeDNSKEY},
		{p.names.Signed, dnssec.TypeDS},
		{p.names.Signed, dnssec.TypeDNSKEY},
		{p.names.Signed, dnssec.TypeSOA},
	} {
		m, err := p.ask(p.any, q.name, q.typ, true)
		records, signed := has(m, q.typ)
		switch {
		case err != nil:
			p.add(Signatures, Unknown, "", "no answer to %s %s: %s", q.name, q.typ, text.ASCII(err.Error(), 200))
			return
		case absent(m) && q.name == p.names.Signed:
			p.unfit(Signatures, &p.report.Unfit.Signed, q.name, "signatures, keys and DS records come through", CureNameSigned)
			return
		case m.Rcode != wire.RcodeNoError:
			p.add(Signatures, Unknown, CureServers, "%s %s: rcode %d", q.name, q.typ, m.Rcode)
			return
		case !records && q.typ != dnssec.TypeDNSKEY && q.typ != dnssec.TypeDS:
			p.add(Signatures, Unknown, CureNameSigned, "%s %s: no such records; is it a zone?", q.name, q.typ)
			return
		case !signed:
			p.add(Signatures, Bad, CurePass, "it takes the DNSSEC records from its answers: %s %s comes without", q.name, q.typ)
			return
		}
	}
	p.add(Signatures, Good, "", "it passes signatures, keys and DS records through")
}

// denials asks for a name that does not exist and for a type that the root has not.
func (p *prober) denials() {
	m, err := p.ask(p.any, p.names.Missing, dnssec.TypeTLSA, true)
	switch {
	case err != nil:
		p.add(Denials, Unknown, "", "no answer to %s: %s", p.names.Missing, text.ASCII(err.Error(), 200))
	case m.Rcode != wire.RcodeNXDomain && (m.Rcode != wire.RcodeNoError || len(m.Answer) > 0):
		if m.Rcode == wire.RcodeNoError {
			p.report.Unfit.Missing, p.report.unfit = p.names.Missing, append(p.report.unfit, Denials)
			p.add(Denials, Unknown, CureNameMissing, "%s was to be a name that does not exist, and it exists here", p.names.Missing)
			return
		}
		p.add(Denials, Unknown, "", "%s was to be a name that does not exist; rcode %d", p.names.Missing, m.Rcode)
	case !covers(m.Authority, dnssec.TypeNSEC) && !covers(m.Authority, dnssec.TypeNSEC3):
		p.add(Denials, Bad, CurePass, "it says that %s does not exist without the proof", p.names.Missing)
	default:
		p.add(Denials, Good, "", "it passes proofs of what does not exist through")
	}
}

// checking asks for what is broken with CD set.
func (p *prober) checking() {
	m, err := p.ask(p.any, p.names.Broken, dnssec.TypeSOA, true)
	records, _ := has(m, dnssec.TypeSOA)
	switch {
	case err != nil:
		p.add(Checking, Unknown, "", "no answer to %s: %s", p.names.Broken, text.ASCII(err.Error(), 200))
	case records:
		p.add(Checking, Good, "", "with CD it passes bogus answers through")
	case absent(m):
		p.unfit(Checking, &p.report.Unfit.Broken, p.names.Broken, "with CD what is bogus comes through", CureNameBroken)
	default:
		p.add(Checking, Doubtful, CureCD, "with CD set it still gives nothing for %s (rcode %d): a broken zone will look like a resolver in trouble", p.names.Broken, m.Rcode)
	}
}

// validates asks for two answers that must carry AD.
func (p *prober) validates() {
	for _, q := range []struct {
		name rfc6125.Name
		typ  dnssec.Type
	}{{rfc6125.RootName(), dnssec.TypeDNSKEY}, {p.names.Signed, dnssec.TypeSOA}} {
		m, err := p.ask(p.any, q.name, q.typ, false)
		records, _ := has(m, q.typ)
		switch {
		case err != nil:
			p.add(Validates, Unknown, "", "no answer to %s %s: %s", q.name, q.typ, text.ASCII(err.Error(), 200))
			return
		case m.Rcode == wire.RcodeServFail:
			p.add(Validates, Bad, CureAnchor, "%s %s: SERVFAIL unless CD is set; its trust anchor or its clock is wrong", q.name, q.typ)
			return
		case absent(m) && q.name == p.names.Signed:
			p.unfit(Validates, &p.report.Unfit.Signed, q.name, "it validates", CureNameSigned)
			return
		case m.Rcode != wire.RcodeNoError || !records:
			p.add(Validates, Unknown, "", "%s %s: rcode %d, no records", q.name, q.typ, m.Rcode)
			return
		case !m.AuthenticData():
			p.add(Validates, Bad, CureValidate, "it does not validate: %s %s comes without AD", q.name, q.typ)
			return
		}
	}
	p.add(Validates, Good, "", "it validates: AD is set on what is signed")
}

// rejects asks for what is broken with CD clear. That it refuses counts only if there
// was something to refuse, and that it answers only if the answer has the records: a name
// that does not exist is not accepted by denying it.
func (p *prober) rejects() {
	m, err := p.ask(p.any, p.names.Broken, dnssec.TypeSOA, false)
	records, _ := has(m, dnssec.TypeSOA)
	switch {
	case err != nil:
		p.add(Rejects, Unknown, "", "no answer to %s: %s", p.names.Broken, text.ASCII(err.Error(), 200))
	case records:
		p.add(Rejects, Bad, CureValidate, "it answers for %s, which is broken on purpose", p.names.Broken)
	case absent(m):
		p.unfit(Rejects, &p.report.Unfit.Broken, p.names.Broken, "it refuses what is bogus", CureNameBroken)
	case m.Rcode == wire.RcodeServFail && (p.report.level(Checking) == Good || slices.ContainsFunc(m.Errors, saysBogus)):
		p.add(Rejects, Good, "", "it refuses %s, which is broken on purpose", p.names.Broken)
	case m.Rcode == wire.RcodeServFail:
		p.add(Rejects, Unknown, CureCD, "it gives nothing for %s, with CD or without: whether it validates cannot be seen", p.names.Broken)
	default:
		p.add(Rejects, Unknown, CureNameBroken, "%s, which was to be a broken zone: rcode %d, no records", p.names.Broken, m.Rcode)
	}
}

func saysBogus(e wire.ExtendedError) bool { return dnssec.ExtendedError{Code: e.Code}.SaysBogus() }

// falseAD looks for AD where it cannot be true.
func (p *prober) falseAD() {
	asked, missing := false, false // of the unsigned zone
	for _, n := range []rfc6125.Name{p.names.Unsigned, p.names.Broken} {
		m, err := p.ask(p.any, n, dnssec.TypeSOA, false)
		if err != nil {
			continue
		}
		if m.AuthenticData() && m.Rcode == wire.RcodeNoError {
			p.add(NoFalseAD, Bad, CureFalseAD, "it claims to have validated an unsigned answer: AD is set on %s", n)
			return
		}
		if n == p.names.Unsigned {
			asked, _ = has(m, dnssec.TypeSOA)
			missing = absent(m)
		}
	}
	switch {
	case asked:
		p.add(NoFalseAD, Good, "", "AD is clear on what is not signed")
	case missing:
		p.unfit(NoFalseAD, &p.report.Unfit.Unsigned, p.names.Unsigned, "AD is clear on what is not signed", CureNameUnsigned)
	default:
		p.add(NoFalseAD, Unknown, "", "no answer to %s, which is unsigned", p.names.Unsigned)
	}
}

func (p *prober) path() {
	s := p.report.Server
	switch {
	case s.IsLoopback():
		p.add(SafePath, Good, "", "it is on this host")
	case s.IsAuthenticated():
		p.add(SafePath, Good, "", "it proves who it is by TLS")
	default:
		p.add(SafePath, Doubtful, CurePath, "anyone on the path to it can write its answers")
	}
}

// speedSamples questions are sent for the median; all are in the resolver's cache by now.
const speedSamples = 5

func (p *prober) speed() {
	var took []time.Duration
	for range speedSamples {
		begin := time.Now()
		if _, err := p.ask(p.any, p.names.Signed, dnssec.TypeSOA, true); err == nil {
			took = append(took, time.Since(begin))
		}
	}
	if len(took) < speedSamples {
		p.add(Speed, Doubtful, "", "%d of %d questions in a row were not answered", speedSamples-len(took), speedSamples)
		return
	}
	p.report.RTT = median(took)
	// A plan asks some four questions one after the other; at half a second each a
	// message waits two seconds for DNS.
	const slow = 500 * time.Millisecond
	if p.report.RTT > slow {
		p.add(Speed, Doubtful, CureNearer, "it takes %v for a cached answer", p.report.RTT.Round(time.Millisecond))
		return
	}
	p.add(Speed, Good, "", "it takes %v for a cached answer", p.report.RTT.Round(10*time.Microsecond))
}

func median(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)/2]
}

// software asks the server what it is, in the way that BIND began: version.bind TXT
// in class CH. Many keep it to themselves.
func (p *prober) software() {
	n := mustName("version.bind")
	q := wire.Query{Name: n, Type: uint16(dnssec.TypeTXT)}.Append(nil)
	const classCH = 3
	binary.BigEndian.PutUint16(q[12+n.WireLen()+2:], classCH)
	resp, _ := p.any.Exchange(p.ctx, q) // without an answer the text is empty
	p.report.Software = text.ASCII(firstTXT(resp.Message, n), 60)
}

// firstTXT reads the first character-string of the first record of a response of class
// CH; "" if it is not a TXT record of n.
func firstTXT(msg []byte, n rfc6125.Name) string {
	at := 12 + n.WireLen() + 4
	if len(msg) < at+2 || msg[3]&15 != 0 || binary.BigEndian.Uint16(msg[6:]) == 0 {
		return ""
	}
	rr := msg[at:]
	switch {
	case rr[0] >= 0xc0:
		rr = rr[2:]
	case len(rr) >= n.WireLen():
		rr = rr[n.WireLen():]
	default:
		return ""
	}
	if len(rr) < 11 || dnssec.Type(binary.BigEndian.Uint16(rr)) != dnssec.TypeTXT {
		return ""
	}
	text := rr[11:]
	return string(text[:min(int(rr[10]), len(text))])
}
