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
			if id.matches(ref, below) && p.counts(id, o) == MismatchNone {
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

// A Mismatch says why a presented identifier proves no reference. The zero Mismatch is none.
type Mismatch uint8

// Values of Mismatch.
const (
	MismatchNone        Mismatch = iota
	MismatchInvalid              // Identifier.Invalid says what is wrong with it
	MismatchCommonName           // a Common Name identifies no service (RFC 9525 section 2)
	MismatchCNWithSAN            // it counts only without DNS-ID, SRV-ID and URI (RFC 6125 section 6.4.4)
	MismatchSRVOff               // Options.SRVID is off
	MismatchTopLevel             // a wildcard right below the root, and Options.NoTopLevelWildcard
	MismatchNoReference          // there is nothing to compare with
	MismatchName                 // another name
	MismatchLabels               // an asterisk matches exactly one label (RFC 9525 section 6.3)
	MismatchNoService            // a DNS-ID does not prove a service
	MismatchServiceOnly          // an SRV-ID proves its service alone
	MismatchService              // the name, of another service
)

var mismatchWords = [...]string{"", "invalid", "common-name", "common-name-with-san", "srv-id-off", "top-level-wildcard",
	"no-reference", "other-name", "one-label", "no-service", "service-only", "other-service"}

// String returns the word of the mismatch: "other-name"; "" for MismatchNone.
func (m Mismatch) String() string {
	if int(m) < len(mismatchWords) {
		return mismatchWords[m]
	}
	return "unknown"
}

// counts returns why the options do not let id prove anything; MismatchNone if they do.
func (p *Presented) counts(id *Identifier, o Options) Mismatch {
	switch {
	case id.Kind == CNID && !o.CNID: // SID9525-2-01: RFC 9525 section 2
		return MismatchCommonName
	case id.Kind == CNID && p.noCN: // SID6125-6.4.4-01: RFC 6125 section 6.4.4
		return MismatchCNWithSAN
	case id.Kind == SRVID && !o.SRVID:
		return MismatchSRVOff
	case o.NoTopLevelWildcard && id.wildcard && !strings.Contains(id.name, "."):
		return MismatchTopLevel
	}
	return MismatchNone
}

// A Verdict says of one presented identifier whether it proves a reference.
type Verdict struct {
	Identifier Identifier
	OK         bool
	Reference  Reference // the first reference that it proves, if OK
	Mismatch   Mismatch  // why it proves none, if not OK
}

// Explain judges every presented identifier by itself, in the order of the
// certificate: why [Presented.Match] answers as it does. It allocates.
func (p Presented) Explain(refs []Reference, o Options) []Verdict {
	vs := make([]Verdict, len(p.ids))
	for i := range p.ids {
		id := &p.ids[i]
		vs[i].Identifier = *id
		if id.Invalid != "" {
			vs[i].Mismatch = MismatchInvalid
			continue
		}
		if vs[i].Mismatch = p.counts(id, o); vs[i].Mismatch != MismatchNone {
			continue
		}
		vs[i].Mismatch = id.mismatch(refs)
		for _, ref := range refs {
			if id.matches(ref, ref.belowAsterisk()) {
				vs[i].OK, vs[i].Reference, vs[i].Mismatch = true, ref, MismatchNone
				break
			}
		}
	}
	return vs
}

// mismatch returns the most specific reason why a valid id covers none of refs.
func (id *Identifier) mismatch(refs []Reference) Mismatch {
	for _, ref := range refs {
		switch host := ref.host.ascii; {
		case id.wildcard && (host == id.name || isBelow(host, id.name)):
			if ref.service == "" || ref.belowAsterisk() != id.name {
				return MismatchLabels
			}
			return MismatchNoService
		case id.name != host:
		case id.service == "" && ref.service != "":
			return MismatchNoService
		case ref.service == "":
			return MismatchServiceOnly
		case id.service != ref.service:
			return MismatchService
		}
	}
	if len(refs) == 0 {
		return MismatchNoReference
	}
	return MismatchName
}
