package rfc6125

import "strings"

// Options choose between the two rule books. The zero Options are RFC 9525.
type Options struct {
	// CNID lets a Common Name count where the certificate offers no DNS-ID at
	// all, nor an SRV-ID or URI (RFC 6125 section 6.4.4; RFC 7672 section 3.2.3
	// for DANE-TA; RFC 9525 section 2 forbids it).
	CNID bool
	// SRVID lets an SRV-ID of the service count (RFC 6125, RFC 7817).
	SRVID bool
	// NoTopLevelWildcard refuses `*.tld`, a wildcard right under a top-level
	// label. RFC 9525 section 6.3 sets no such minimum, so the zero Options let
	// it match, but Postfix and Exim (through OpenSSL), NSS and rustls refuse
	// it: no one may hold a certificate for all of `.com`. A caller who
	// wants to judge as they do sets it. `*.co.uk` is not refused: that needs a
	// list of public suffixes, which no MTA carries.
	NoTopLevelWildcard bool
}

// A Match is the result of [Presented.Match]. The zero Match proves nothing.
type Match struct {
	OK        bool      // one reference was proved
	Reference Reference // the validated identity (RFC 9525 section 6.6), if OK
	Presented string    // the presented identifier that proved it, if OK
	Kind      Kind      // of that presented identifier, if OK
}

// Match compares what the certificate offers with the references in their
// order and stops at the first that is proved (RFC 9525 section 6.2). It does
// not allocate; [Presented.Explain] gives the reasons afterwards.
func (p Presented) Match(refs []Reference, o Options) Match {
	for _, ref := range refs {
		below := ref.belowAsterisk()
		for i := range p.ids {
			id := &p.ids[i]
			if id.matches(ref, below) && p.counts(id, o) == "" {
				// SID9525-6.6-01: RFC 9525 section 6.6
				return Match{OK: true, Reference: ref, Presented: id.Text, Kind: id.Kind}
			}
		}
	}
	return Match{}
}

// belowAsterisk returns what follows the first dot of the reference: what a
// presented name with an asterisk must have below it. "" if there is no dot.
func (r Reference) belowAsterisk() string {
	_, below, _ := strings.Cut(r.host.ascii, ".")
	return below
}

// matches reports whether id is a valid name that covers ref, no matter whether
// its kind counts. RFC 9525 section 6.3: label by label, an asterisk is exactly
// one label. Both sides are in lower case already, so that whole strings can be
// compared.
func (id *Identifier) matches(ref Reference, below string) bool {
	want := ref.host.ascii
	if id.wildcard {
		want = below
	}
	// SID9525-6.3-01: RFC 9525 section 6.3; SID9525-6.5-01: RFC 9525 section 6.5
	// PKIX5280-7.2-01: RFC 5280 section 7.2; IDNA5891-3.1-02: RFC 5891 section 3.1
	return id.name == want && id.name != "" && id.service == ref.service
}

// counts says why the rule book does not let id prove anything, "" if it does.
func (p *Presented) counts(id *Identifier, o Options) string {
	switch {
	case id.Kind == CNID && !o.CNID: // SID9525-2-01: RFC 9525 section 2
		return "a Common Name identifies no service (RFC 9525 section 2)"
	case id.Kind == CNID && p.noCN: // SID6125-6.4.4-01: RFC 6125 section 6.4.4
		return "a Common Name counts only where there is no DNS-ID, SRV-ID or URI (RFC 6125 section 6.4.4)"
	case id.Kind == SRVID && !o.SRVID:
		return "an SRV-ID is not asked for"
	case o.NoTopLevelWildcard && id.wildcard && !strings.Contains(id.name, "."):
		return "a wildcard right under a top-level label"
	}
	return ""
}

// A Verdict says of one presented identifier whether it proves a reference.
type Verdict struct {
	Identifier Identifier
	OK         bool
	Reference  Reference // the first reference that it proves, if OK
	Why        string    // why it proves none, if not OK
}

// Explain judges every presented identifier by itself, in the order of the
// certificate: the reasons behind [Presented.Match], for people. It allocates.
func (p Presented) Explain(refs []Reference, o Options) []Verdict {
	vs := make([]Verdict, len(p.ids))
	for i := range p.ids {
		id := &p.ids[i]
		vs[i].Identifier = *id
		if id.Invalid != "" {
			vs[i].Why = id.Invalid
			continue
		}
		if vs[i].Why = p.counts(id, o); vs[i].Why != "" {
			continue
		}
		vs[i].Why = id.whyNot(refs)
		for _, ref := range refs {
			if id.matches(ref, ref.belowAsterisk()) {
				vs[i].OK, vs[i].Reference, vs[i].Why = true, ref, ""
				break
			}
		}
	}
	return vs
}

// whyNot finds the most telling reason why a valid id covers none of refs.
func (id *Identifier) whyNot(refs []Reference) string {
	why := "another name"
	for _, ref := range refs {
		switch host := ref.host.ascii; {
		case id.wildcard && (host == id.name || isBelow(host, id.name)):
			if ref.service == "" || ref.belowAsterisk() != id.name {
				return "an asterisk stands for exactly one label"
			}
			return "a DNS-ID does not prove a service"
		case id.name != host:
		case id.service == "" && ref.service != "":
			return "a DNS-ID does not prove a service"
		case ref.service == "":
			return "an SRV-ID proves its service alone"
		case id.service != ref.service:
			return "the name of another service"
		}
	}
	if len(refs) == 0 {
		why = "no reference identifier to compare with"
	}
	return why
}
