package tlsrpt

import (
	"context"
	"fmt"
	"strings"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/rfc6125"
)

// ErrNoRecord: the domain has no TLSRPT record, or not exactly one, or a malformed
// one. No report is sent for it (RFC 8460 section 3).
var ErrNoRecord = fault.New("tlsrpt", "no record")

// ErrSeveral: the name has more than one TLSRPT record. It wraps [ErrNoRecord].
var ErrSeveral = fmt.Errorf("%w: several records begin with v=TLSRPTv1", ErrNoRecord)

// Limits of a record. A TXT record can hold 65,535 octets; nothing real comes near.
const (
	maxRecordOctets = 4096 // a longer record is malformed to us
	maxURIs         = 16   // report destinations over all rua fields
	maxExtName      = 32   // RFC 8460 section 3, tlsrpt-ext-name
)

// A Record is a TLSRPT record (RFC 8460 section 3). It must not be changed.
type Record struct {
	// RUA holds one list of URIs for each rua field, as written in the record.
	RUA [][]string
	// Ext are the unknown fields, in order.
	Ext []Field
	// Text is the record as found, its strings joined.
	Text string
}

// A Field is an extension field of a record.
type Field struct{ Name, Value string }

// A SyntaxError says what is wrong with a record. It wraps [ErrNoRecord].
type SyntaxError struct {
	Text string // the offending part, cut to a sane length
	Why  string
}

// Error says what is wrong, with the offending text quoted.
func (e *SyntaxError) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("%v: %s", errMalformed, e.Why)
	}
	return fmt.Sprintf("%v: %s: %q", errMalformed, e.Why, e.Text)
}

// errMalformed begins the text of a [SyntaxError].
var errMalformed = fault.New("tlsrpt", "malformed record")

// Unwrap returns [ErrNoRecord], and the error that the text begins with.
func (e *SyntaxError) Unwrap() []error { return []error{ErrNoRecord, errMalformed} }

func malformed(text, why string) error {
	const most = 80
	return &SyntaxError{Text: text[:min(len(text), most)], Why: why}
}

// SelectRecord picks and reads the TLSRPT record among the TXT records of a name, each
// with its character-strings joined without blanks. Records that do not begin with
// `v=TLSRPTv1` and a semicolon are dropped first; exactly one must be left. An error
// wraps [ErrNoRecord].
func SelectRecord(txt []string) (Record, error) {
	var found []string
	for _, t := range txt {
		// RFC 8460 section 3: records that do not begin with "v=TLSRPTv1;" are
		// discarded; the grammar allows blanks before the semicolon.
		if rest, ok := strings.CutPrefix(t, "v=TLSRPTv1"); ok && strings.HasPrefix(strings.TrimLeft(rest, " \t"), ";") {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 0:
		return Record{}, fmt.Errorf("%w: none begins with v=TLSRPTv1", ErrNoRecord)
	case 1:
		return ParseRecord(found[0])
	}
	return Record{}, ErrSeveral // TLSRPT-3-05: RFC 8460 section 3
}

// ParseRecord reads one TLSRPT record by the ABNF of RFC 8460 section 3, and its URIs by
// that of RFC 3986. Blanks at the end are let through, as they are met. An error is a
// [*SyntaxError].
func ParseRecord(s string) (Record, error) {
	if len(s) > maxRecordOctets {
		return Record{}, malformed(s, "longer than 4096 octets")
	}
	r := Record{Text: s}
	rest, ok := strings.CutPrefix(s, "v=TLSRPTv1")
	if !ok {
		return Record{}, malformed(s, "does not begin with v=TLSRPTv1")
	}
	if rest = strings.TrimLeft(rest, " \t"); rest == "" || rest[0] != ';' {
		return Record{}, malformed(s, "v=TLSRPTv1 is not followed by a semicolon")
	}
	fields := strings.Split(rest[1:], ";")
	if strings.Trim(fields[len(fields)-1], " \t") == "" {
		fields = fields[:len(fields)-1] // one delimiter is allowed at the end
	}
	uris := 0
	for _, f := range fields {
		f = strings.Trim(f, " \t")
		name, value, ok := strings.Cut(f, "=")
		if !ok {
			return Record{}, malformed(f, "a field is not name=value")
		}
		if name == "rua" {
			list, err := parseRUA(value)
			if err != nil {
				return Record{}, err
			}
			if uris += len(list); uris > maxURIs {
				return Record{}, malformed("", "more than 16 report destinations")
			}
			r.RUA = append(r.RUA, list)
			continue
		}
		if !isExtName(name) {
			return Record{}, malformed(f, "bad name of a field")
		}
		if !isExtValue(value) {
			return Record{}, malformed(f, "bad value of a field")
		}
		r.Ext = append(r.Ext, Field{name, value})
	}
	if len(r.RUA) == 0 {
		return Record{}, malformed(s, "no rua field")
	}
	return r, nil
}

// parseRUA reads the value of a rua field: URIs parted by commas. Commas, exclamation
// points and semicolons inside a URI come percent-encoded (RFC 8460 section 3).
func parseRUA(value string) ([]string, error) {
	var list []string
	for i, u := range strings.Split(value, ",") { // TLSRPT-3-03: RFC 8460 section 3
		if i > 0 {
			u = strings.TrimLeft(u, " \t")
		}
		u = strings.TrimRight(u, " \t")
		if err := checkURI(u); err != nil {
			return nil, err
		}
		list = append(list, u)
	}
	return list, nil
}

func isExtName(s string) bool {
	if s == "" || len(s) > maxExtName {
		return false
	}
	for i, c := range []byte(s) {
		if !isAlpha(c) && !isDigit(c) && (i == 0 || c != '_' && c != '-' && c != '.') {
			return false
		}
	}
	return true
}

func isExtValue(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == ';' || c == '=' {
			return false
		}
	}
	return s != ""
}

// Destinations lists the mailto and https URIs of all rua fields, each once, in order.
func (r Record) Destinations() []string {
	var out []string
	seen := map[string]bool{}
	for _, list := range r.RUA {
		for _, u := range list {
			if isDestination(u) && !seen[u] {
				seen[u] = true
				out = append(out, u)
			}
		}
	}
	return out
}

// RecordName returns the owner name of a policy domain's record.
func RecordName(domain rfc6125.Host) (rfc6125.Name, error) {
	n, err := domain.Name().Child("_tls")
	if err == nil {
		n, err = n.Child("_smtp")
	}
	return n, err
}

// Lookup asks for the TLSRPT record of a domain. An error wraps [ErrNoRecord], or is a
// lookup failure (dnssec.ErrLookup). The status of the answer does not matter for a
// report (RFC 8460 section 7 leaves it to the reader).
func Lookup(ctx context.Context, r dnssec.Resolver, domain rfc6125.Host) (Record, error) {
	n, err := RecordName(domain)
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrNoRecord, err)
	}
	a, err := r.Resolve(ctx, dnssec.Question{Name: n, Type: dnssec.TypeTXT})
	if err != nil {
		return Record{}, fault.Errorf("tlsrpt", "%w", err)
	}
	var txt []string
	for _, rr := range a.Records {
		if parts, err := rr.TXT(); err == nil {
			txt = append(txt, strings.Join(parts, "")) // TLSRPT-3-06: RFC 8460 section 3
		}
	}
	return SelectRecord(txt)
}
