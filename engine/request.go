package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/mxauth/mxauth/internal/literal"
	"github.com/mxauth/mxauth/rfc6125"
)

// A Request asks for the plan of one delivery. Its JSON is the request of a file of
// evidence (docs/evidence.schema.json).
type Request struct {
	// NextHop is where mail goes: a domain "example.org" or "bücher.example" (MX
	// lookup), a configured host "[relay.example]" or "[relay.example]:587" (no MX
	// lookup), an address literal "[192.0.2.1]", "[IPv6:2001:db8::1]".
	NextHop string `json:"next_hop"`
	// Smarthost says that routing replaced the recipient's domain by NextHop. MTA-STS
	// and name checks are about NextHop either way (RFC 8461 section 3.4).
	Smarthost bool   `json:"smarthost,omitempty"`
	Port      uint16 `json:"port,omitempty"` // 0: what NextHop says, else 25
	Level     Level  `json:"level"`
	// Message flags, section 1.
	RequireTLS     bool    `json:"requiretls,omitempty"`       // the REQUIRETLS parameter (RFC 8689)
	TLSRequiredNo  bool    `json:"tls_required_no,omitempty"`  // the header field TLS-Required: No; see [ParseTLSRequired]. Ignored with RequireTLS
	NullReturnPath bool    `json:"null_return_path,omitempty"` // the message is a bounce
	TLSRPTReport   bool    `json:"tlsrpt_report,omitempty"`    // the message is a TLSRPT report (RFC 8460 section 5.3.1). Ignored with RequireTLS
	Options        Options `json:"options"`
	// Sorted puts hosts of one preference in the order of their names in place of a
	// random one: for answers that are read, not for sending (RFC 5321 section 5.1).
	// It is not part of the JSON: a file of evidence lists the hosts in their order.
	Sorted bool `json:"-"`
}

// weakened reports whether the message asks for delivery whatever policies say, and
// the level lets it (section 9, doubt D10).
func (r *Request) weakened() bool {
	// TLSRPT-5.3.1-01: RFC 8460 section 5.3.1; TLSRPT-3-08: RFC 8460 section 3
	// REQTLS-4.1-01: RFC 8689 section 4.1
	return (r.TLSRequiredNo || r.TLSRPTReport) && !r.RequireTLS &&
		(!r.Level.mandatory() || r.Options.LowerAll)
}

// ParseTLSRequired reads the values of all TLS-Required header fields of a message
// and reports whether they say No. A message with more than one such field is
// malformed and the header is not honoured, nor is any value but No (RFC 8689
// section 3). The field is also without effect together with the REQUIRETLS parameter
// (section 4.1); [Engine.Plan] sees to that.
func ParseTLSRequired(values []string) bool {
	// REQTLS-3-03: RFC 8689 section 3
	return len(values) == 1 && strings.EqualFold(strings.Trim(values[0], " \t\r\n"), "no")
}

// nextHopKind is the kind of a next hop (section 1).
type nextHopKind uint8

const (
	kindDomain  nextHopKind = iota // subject to an MX lookup
	kindHost                       // configured, no MX lookup
	kindLiteral                    // an address
)

// A nextHop is a Request.NextHop that has been read.
type nextHop struct {
	kind    nextHopKind
	host    rfc6125.Host // of a domain or host
	address netip.Addr   // of a literal
	port    uint16       // as written; 0 if not
}

// parseNextHop reads a next hop in the notation of MTAs.
func parseNextHop(s string) (nextHop, error) {
	var n nextHop
	inner, bracketed := s, false
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return n, errors.New("no closing bracket")
		}
		inner, bracketed = s[1:end], true
		if rest := s[end+1:]; rest != "" {
			digits, ok := strings.CutPrefix(rest, ":")
			if !ok {
				return n, errors.New("something other than a port after the bracket")
			}
			p, err := strconv.ParseUint(digits, 10, 16)
			if err != nil || p == 0 {
				return n, errors.New("the port is not a number from 1 to 65535")
			}
			n.port = uint16(p)
		}
	}
	if !bracketed {
		h, err := rfc6125.ParseHost(s)
		if errors.Is(err, rfc6125.ErrAddress) {
			return n, fmt.Errorf("%w (an address literal is written in brackets)", err)
		}
		n.host = h
		return n, err
	}
	if a, ok := literal.Parse(inner); ok {
		n.kind, n.address = kindLiteral, a
		return n, nil
	}
	h, err := rfc6125.ParseHost(inner)
	n.kind, n.host = kindHost, h
	return n, err
}

// MailPort returns the port that the hosts of a plan for r are connected to. An error wraps
// [ErrRequest].
func (r *Request) MailPort() (uint16, error) {
	n, err := r.check(true)
	return n.port, err
}

// check reads the next hop and reports everything that is wrong with the request
// together, before anything is looked up. Errors wrap [ErrRequest].
func (r *Request) check(haveSTS bool) (nextHop, error) {
	var errs []error
	bad := func(option, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: %s: %s", ErrRequest, option, fmt.Sprintf(format, args...)))
	}
	n, err := parseNextHop(r.NextHop)
	if err != nil {
		errs = append(errs, fmt.Errorf("%w: next hop: %.100q: %w", ErrRequest, r.NextHop, err))
	}
	if n.port != 0 && r.Port != 0 && n.port != r.Port {
		bad("port", "%d contradicts the next hop, which says %d", r.Port, n.port)
	}
	if n.port == 0 {
		n.port = r.Port
	}
	if n.port == 0 {
		n.port = DefaultPort
	}
	if int(r.Level) >= len(levelWords) {
		bad("level", "no such level: %d", r.Level)
	}
	o := &r.Options
	if int(o.InsecureMX) >= len(insecureMXWords) {
		bad("insecure-mx", "no such value: %d", o.InsecureMX)
	}
	if int(o.DANEAndSTS) >= len(daneAndSTSWords) {
		bad("dane-and-sts", "no such value: %d", o.DANEAndSTS)
	}
	if int(o.STSUndetermined) >= len(stsUndeterminedWords) {
		bad("sts-undetermined", "no such value: %d", o.STSUndetermined)
	}
	if n.kind == kindLiteral && r.Level == LevelDANEOnly {
		bad("level", "dane-only cannot hold for the address literal %q: DANE needs a host name (RFC 7672 section 2.2)", r.NextHop)
	}
	if r.Level == LevelSTS && !haveSTS {
		bad("level", "sts needs an MTA-STS client, and none is configured")
	}
	if o.DANEAndSTS == Both && !(r.Level == LevelDefault || r.Level == LevelSecure) {
		bad("dane-and-sts", "both contradicts the level %s, which uses one of them at most", r.Level)
	}
	if o.LowerAll && !r.Level.mandatory() {
		bad("lower-all", "only means something at the levels dane-only and secure, not at %s", r.Level)
	}
	if len(o.Names) > 0 && r.Level != LevelSecure && !r.RequireTLS {
		bad("names", "only mean something at level secure or with REQUIRETLS")
	}
	for _, h := range o.Names {
		if !h.IsValid() {
			bad("names", "one of them is empty")
			break
		}
	}
	return n, errors.Join(errs...)
}

// unheld reports whether mail goes whatever the memory says: in audit mode, where the
// message asks for it, and where the operator wants no authentication.
func (r *Request) unheld() bool {
	return r.Options.Audit || r.weakened() || r.Level == LevelOpportunistic
}
