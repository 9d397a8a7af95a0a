package explain

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/sts"
)

// host is how texts call an MX host.
func host(h *engine.Host) string {
	if h == nil {
		return "the host"
	}
	return h.String()
}

// domain is how texts call the next hop.
func domain(r engine.Reason) string {
	switch {
	case r.Domain.IsValid():
		return r.Domain.String()
	case r.Host != nil:
		return host(r.Host)
	}
	return "the next hop"
}

// noDANE says in a clause why DANE asks nothing (or not enough) of the host.
func noDANE(r engine.Reason) string {
	name := host(r.Host)
	why := engine.NoDANEOther
	if r.Host != nil {
		why = r.Host.NoDANE
	}
	switch why {
	case engine.NoDANELiteral:
		return "DANE does not apply to an address"
	case engine.NoDANELevel:
		return "DANE is not looked at on this level"
	case engine.NoDANEMXSkipped:
		return fmt.Sprintf("the MX record of %s is not signed (DNSSEC), so DANE is not looked at", r.Domain)
	case engine.NoDANEMXInsecure:
		return fmt.Sprintf("%s, so it is not proven that %s is its host", unsignedMX(r), name)
	case engine.NoDANEUnusable:
		return fmt.Sprintf("none of the TLSA records of %s can be used for mail", name)
	case engine.NoDANENotAsked:
		return "DANE was not looked up"
	case engine.NoDANEAddressInsecure:
		return fmt.Sprintf("the addresses of %s are not signed (DNSSEC), so DANE can not apply", name)
	case engine.NoDANENoRecords:
		return fmt.Sprintf("%s has no signed TLSA records (DANE)", name)
	}
	return fmt.Sprintf("DANE does not apply to %s", name)
}

// unsignedMX says in a clause that the choice of host is not proven.
func unsignedMX(r engine.Reason) string {
	if r.Host != nil && r.Host.Name == r.Domain {
		return fmt.Sprintf("the answer that %s has no MX record is not signed (DNSSEC)", r.Domain)
	}
	return fmt.Sprintf("the MX record of %s that names it is not signed (DNSSEC)", r.Domain)
}

// noSTS says in a clause why MTA-STS asks nothing of the host.
func noSTS(r engine.Reason) string {
	why := engine.NoSTSNotAsked
	if r.Host != nil {
		why = r.Host.NoSTS
	}
	switch why {
	case engine.NoSTSTesting:
		return fmt.Sprintf("the MTA-STS policy of %s is in mode testing", r.Domain)
	case engine.NoSTSPending:
		return fmt.Sprintf("the MTA-STS policy of %s is not known yet", r.Domain)
	case engine.NoSTSStore:
		return fmt.Sprintf("whether an MTA-STS policy of %s is kept could not be found out", r.Domain)
	case engine.NoSTSUnknown:
		return fmt.Sprintf("whether %s has an MTA-STS policy could not be found out", r.Domain)
	case engine.NoSTSModeNone:
		return fmt.Sprintf("the MTA-STS policy of %s is in mode none", r.Domain)
	case engine.NoSTSFetch:
		return fmt.Sprintf("the MTA-STS policy that %s announces could not be fetched", r.Domain)
	case engine.NoSTSNone:
		return fmt.Sprintf("%s has no MTA-STS policy", r.Domain)
	}
	return "MTA-STS is not looked at"
}

// free says in a clause why nothing is demanded.
func free(r engine.Reason) string {
	ground := engine.GroundNoPolicy
	if r.Host != nil {
		ground = r.Host.Ground
	}
	switch ground {
	case engine.GroundLevel:
		return "this server is set to demand nothing"
	case engine.GroundMessage:
		return "nothing may stop this message"
	case engine.GroundLiteral:
		return "nothing can be demanded of an address"
	case engine.GroundAudit:
		return "audit mode is on"
	case engine.GroundException:
		return "an exception asks for nothing"
	}
	return "no policy obliges it to"
}

// demand says which policy wants TLS.
func demand(r engine.Reason, part engine.Requirement) string {
	switch part {
	case engine.DANE, engine.HalfDANE, engine.Encrypt:
		return "The TLSA records (DANE) of " + host(r.Host) + " demand TLS"
	case engine.STS:
		return "The MTA-STS policy of " + domain(r) + " demands TLS"
	}
	return "TLS is demanded of " + host(r.Host)
}

// detail is what the peer said, in brackets.
func detail(p *engine.Peer) string {
	switch {
	case p.Event == engine.HandshakeDone && p.Outdated() && p.TLS != "":
		return " (only " + clip(p.TLS) + ")"
	case p.Detail == "":
		return ""
	}
	return " (" + clip(p.Detail) + ")"
}

// exception tells of an exception.
func exception(x *engine.Exception) string {
	if x == nil {
		return ""
	}
	return clip(fmt.Sprintf("exception %s of %s, until %s: %s", x.ID, x.Author, x.Ends.UTC().Format(time.DateOnly), x.Reason))
}

// drop tells of a lost protection.
func drop(r engine.Reason, d *engine.Drop) string {
	since, dom := d.Since.UTC().Format(time.DateOnly), r.Domain
	switch d.Kind {
	case engine.DropTLS:
		return fmt.Sprintf("Until %s %s spoke TLS, and it does not now.", since, d.Host)
	case engine.DropDANE:
		return fmt.Sprintf("Until %s the mail hosts of %s were protected by signed TLSA records (DANE), and none is now.", since, dom)
	case engine.DropDANEPartly:
		return fmt.Sprintf("Until %s every mail host of %s was protected by signed TLSA records (DANE), and some are not now.", since, dom)
	case engine.DropSTSTesting:
		return fmt.Sprintf("Until %s the MTA-STS policy of %s was enforced, and it is in mode testing now.", since, dom)
	case engine.DropSTSNone:
		return fmt.Sprintf("Until %s %s had an MTA-STS policy, and it is in mode none now.", since, dom)
	case engine.DropSTSUnknown:
		return fmt.Sprintf("Until %s %s had an MTA-STS policy, and whether it has one now can not be found out.", since, dom)
	}
	return fmt.Sprintf("Until %s %s had an MTA-STS policy, and it has none now.", since, dom)
}

// lookup is what a failed lookup says, without the question: the kind, the reason, the
// server.
func lookup(err error) string {
	var le *dnssec.LookupError
	if !errors.As(err, &le) {
		return clip(err.Error())
	}
	text := "lookup failed"
	if le.Kind != nil {
		text = "dns lookup failed: " + kind(le.Kind)
	}
	if s := le.Reason.String(); s != "" {
		text += ": " + s
	}
	for _, x := range le.EDE {
		text += fmt.Sprintf("; extended error %d", x.Code)
		if x.Text != "" {
			text += fmt.Sprintf(" %q", clip(x.Text))
		}
	}
	if le.Server != "" {
		text += " (asked " + le.Server + ")"
	}
	return clip(text)
}

// shortage says in a clause which limit kept a policy from being fetched.
func shortage(err error) string {
	var f *sts.FetchError
	if !errors.As(err, &f) {
		return clause(err)
	}
	text := f.Detail
	if f.Cause != nil && !strings.Contains(text, f.Cause.Error()) {
		text += ": " + f.Cause.Error()
	}
	return clip(text)
}

// clause is an error as a clause.
func clause(err error) string {
	if err == nil {
		return "no details"
	}
	return clip(err.Error())
}

// certificate says what is wrong with a chain.
func certificate(err error) string {
	var e *pkix.Error
	switch {
	case err == nil:
		return "no name is expected"
	case !errors.As(err, &e):
		return clip(err.Error())
	}
	text := kind(e.Kind)
	if e.Subject != "" {
		text += ": " + e.Subject
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return clip(text)
}

// commonName is the clause, after the names of a certificate of which none counts, that
// says why its Common Name was of no use; "" if it is none of the names asked for.
func commonName(c engine.CommonName) string {
	switch c {
	case engine.CommonNameNever:
		return ", and a Common Name does not count: the name must be a subject alternative name (RFC 8461 section 4.2, RFC 9525 section 2)"
	case engine.CommonNameOff:
		return ", and this server is set to take no Common Name"
	case engine.CommonNameWithSAN:
		return ", and a Common Name counts only where there is no subject alternative name (RFC 6125 section 6.4.4)"
	}
	return ""
}

// presented lists presented names for a sentence: a Common Name that is one of the
// DNS names is not told twice.
func presented(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	var all []string
	for _, n := range names {
		if cn, ok := strings.CutPrefix(n, "CN="); ok {
			if slices.Contains(names, cn) {
				continue
			}
			n = cn + " (as Common Name)"
		}
		all = append(all, n)
	}
	return list(all)
}

// record is a TLSA record with as much of its data as a person compares.
func record(r dane.Record) string {
	const octets = 9
	// The data of a record that can be used is a digest, a key or a certificate: longer.
	data := r.Data[:min(len(r.Data), octets)]
	b := make([]byte, 0, 8+2*octets+12)
	for _, n := range [...]uint8{uint8(r.Usage), uint8(r.Selector), uint8(r.MatchingType)} {
		b = append(strconv.AppendUint(b, uint64(n), 10), ' ')
	}
	return string(append(hex.AppendEncode(b, []byte(data)), "..."...))
}

// usable lists the records of a set that count.
func usable(s dane.Set) string {
	var all []string
	for _, r := range s.Usable() {
		all = append(all, record(r))
	}
	return list(all)
}

// unusable says why no record of a set counts.
func unusable(s dane.Set) string {
	var all []string
	for _, u := range s.Uses() {
		if !u.Usable {
			r := u.Record
			all = append(all, fmt.Sprintf("%d %d %d: %s", r.Usage, r.Selector, r.MatchingType, clip(u.Why)))
		}
	}
	return list(all)
}

// clipAt is how many octets of a foreign text go into a line for people.
const clipAt = 200

// clip cuts a text and takes out what does not belong on a terminal.
func clip(s string) string {
	safe := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > 0x7f {
			return '?'
		}
		return r
	}, s)
	if len(safe) > clipAt {
		return safe[:clipAt] + "..."
	}
	return safe
}

// list joins names for a sentence; beyond a handful it only counts.
func list(names []string) string {
	const most = 6
	if len(names) == 0 {
		return "nothing"
	}
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func texts[T fmt.Stringer](all []T) (out []string) {
	for _, x := range all {
		out = append(out, x.String())
	}
	return out
}

// limit says in a clause what the lookups used up, and where.
func limit(err error) string {
	var le *dnssec.LookupError
	if errors.As(err, &le) {
		if s := le.Reason.String(); s != "" {
			return clip(s)
		}
	}
	return "the lookups cost more than they may"
}
