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
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/text"
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

// exceptionClause is about an exception.
func exceptionClause(x *exception.Exception) string {
	if x == nil {
		return ""
	}
	return clip(fmt.Sprintf("exception %s of %s, until %s: %s", x.ID, x.Author, x.Ends.UTC().Format(time.DateOnly), x.Reason))
}

// drop is about a lost protection.
func drop(r engine.Reason, d *memory.Drop) string {
	since, dom := d.Since.UTC().Format(time.DateOnly), r.Domain
	switch d.Kind {
	case memory.DropTLS:
		return fmt.Sprintf("Until %s %s spoke TLS, and it does not now.", since, d.Host)
	case memory.DropDANE:
		return fmt.Sprintf("Until %s the mail hosts of %s were protected by signed TLSA records (DANE), and none is now.", since, dom)
	case memory.DropDANEPartly:
		return fmt.Sprintf("Until %s every mail host of %s was protected by signed TLSA records (DANE), and some are not now.", since, dom)
	case memory.DropSTSTesting:
		return fmt.Sprintf("Until %s the MTA-STS policy of %s was enforced, and it is in mode testing now.", since, dom)
	case memory.DropSTSNone:
		return fmt.Sprintf("Until %s %s had an MTA-STS policy, and it is in mode none now.", since, dom)
	case memory.DropSTSUnknown:
		return fmt.Sprintf("Until %s %s had an MTA-STS policy, and whether it has one now is not known.", since, dom)
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
	said := "lookup failed"
	if le.Kind != nil {
		said = kind(le.Kind)
	}
	if s := le.Reason.String(); s != "" {
		said += ": " + s
	}
	for _, x := range le.EDE {
		said += fmt.Sprintf("; extended error %d", x.Code)
		if x.Text != "" {
			said += fmt.Sprintf(" %q", clip(x.Text))
		}
	}
	if le.Server != "" {
		said += " (asked " + le.Server + ")"
	}
	return clip(said)
}

// clause is an error as a clause.
func clause(err error) string {
	if err == nil {
		return "no details"
	}
	return clip(err.Error())
}

// commonName is the clause, after the names of a certificate of which none counts, that
// says why its Common Name was of no use; "" if it is none of the names asked for.
func commonName(c reason.CommonName) string {
	switch c {
	case reason.CommonNameNever:
		return ", and a Common Name does not count: the name must be a subject alternative name"
	case reason.CommonNameOff:
		return ", and this server is set to take no Common Name"
	case reason.CommonNameWithSAN:
		return ", and a Common Name counts only where there is no subject alternative name"
	}
	return ""
}

// presented lists presented names for a sentence: a Common Name that is one of the
// DNS names is not said twice.
func presented(names []string) string {
	if len(names) == 0 {
		return "no name"
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

// unusable says why no record of a set counts.
func unusable(s dane.Set) string {
	var all []string
	for _, u := range s.Uses() {
		if !u.Usable {
			all = append(all, recordOf(u.Record)+", "+whyUnusable(u))
		}
	}
	return list(all)
}

// whyUnusable says in a clause why a record does not count.
func whyUnusable(u dane.RecordUse) string {
	r := u.Record
	switch u.Fault {
	case dane.FaultOutranked:
		return "a record with a stronger digest is there"
	case dane.FaultPKIXUsage:
		return fmt.Sprintf("usage %d (%s) is not used for mail", r.Usage, r.Usage)
	case dane.FaultUnknownUsage:
		return fmt.Sprintf("usage %d does not exist", r.Usage)
	case dane.FaultUnknownSelector:
		return fmt.Sprintf("selector %d does not exist", r.Selector)
	case dane.FaultUnknownMatching:
		return fmt.Sprintf("matching type %d does not exist", r.MatchingType)
	case dane.FaultNotCert:
		return "its data is no certificate (matching type 0 takes a whole one)"
	case dane.FaultNotKey:
		return "its data is no public key (matching type 0 takes a whole one)"
	}
	return clip(RecordUse(u))
}

// clipAt is how many octets of a foreign text go into a line for people.
const clipAt = 200

// clip cuts a text and escapes what does not belong on a terminal.
func clip(s string) string { return text.Escape(text.Cut(s, clipAt)) }

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
	return "the lookups cost more than is allowed"
}
