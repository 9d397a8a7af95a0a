package probe

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/rfc6125"
)

// DefaultTimeout bounds each question. A zone that is broken takes a resolver longest,
// since it tries every name server of it.
const DefaultTimeout = 8 * time.Second

// Names are the zones that are asked about: apexes, since the SOA record is asked for.
type Names struct {
	Signed   rfc6125.Name // signed, with a DS at its parent
	Unsigned rfc6125.Name // without a DS, provably
	Broken   rfc6125.Name // with a DS, and with signatures that do not verify
	Missing  rfc6125.Name // does not exist, in a signed zone
}

// DefaultNames are public zones that have been what they are for more than ten years:
// the IETF's is signed, Google's is not, and one is kept broken by Comcast for tests
// like this. The zero Name if its text were no name, which a test excludes.
func DefaultNames() Names {
	return Names{
		Signed:   mustName("ietf.org"),
		Unsigned: mustName("google.com"),
		Broken:   mustName("dnssec-failed.org"),
		Missing:  mustName("mxauth-probe-does-not-exist.ietf.org"),
	}
}

func mustName(s string) rfc6125.Name {
	n, _ := rfc6125.ParseName(s)
	return n
}

// A Config says which server is asked, and how.
type Config struct {
	Server upstream.Server
	// Names are the zones to ask about; a zero Name among them means that of
	// [DefaultNames].
	Names Names
	// Timeout bounds each question; zero means [DefaultTimeout].
	Timeout time.Duration
	// RootCAs, Bootstrap and Dial are those of [upstream.Config].
	RootCAs   *x509.CertPool
	Bootstrap func(ctx context.Context, host string) ([]netip.Addr, error)
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
}

// A Level says how a finding counts. The zero Level is Unknown.
type Level uint8

// Levels, from the one that says nothing to the worst.
const (
	Unknown  Level = iota // could not be found out
	Good                  // as it should be
	Doubtful              // not as it should be, but no hindrance
	Bad                   // a hindrance
)

// String returns "unknown", "good", "doubtful" or "bad".
func (l Level) String() string {
	return [...]string{"unknown", "good", "doubtful", "bad"}[min(l, Bad)]
}

// MarshalText prints l as [Level.String] does.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// An ID is the stable word for what a finding is about.
type ID string

// What is looked at, in the order of a report.
const (
	Reachable  ID = "reachable"   // it answers, and recurses
	EDNS       ID = "edns"        // it understands EDNS (RFC 6891)
	TCP        ID = "tcp"         // it answers over TCP as well (RFC 7766); plain DNS only
	Signatures ID = "signatures"  // with DO it passes on RRSIG, DNSKEY and DS
	Denials    ID = "denials"     // with DO it passes on NSEC or NSEC3
	Checking   ID = "cd"          // with CD it passes on what is bogus
	Validates  ID = "validates"   // it sets AD on what is signed
	Rejects    ID = "rejects"     // it refuses what is bogus
	NoFalseAD  ID = "no-false-ad" // it sets AD on nothing that is unsigned or bogus
	SafePath   ID = "safe-path"   // no one on the path to it can write its answers
	Speed      ID = "speed"       // how fast it answers from its cache
)

// A Finding is one thing that was looked at.
type Finding struct {
	ID    ID     `json:"id"`
	Level Level  `json:"level"`
	Text  string `json:"text"`           // one line, safe for a terminal
	Cure  Cure   `json:"cure,omitempty"` // what to change; NoCure where nothing needs to be
}

// A Report holds the findings about one server.
type Report struct {
	Server   upstream.Server `json:"server"`
	Software string          `json:"software,omitempty"` // what it says of itself (version.bind), escaped; "" if nothing
	Findings []Finding       `json:"findings"`
	// Validation says that mxauth can validate through this server.
	Validation bool `json:"validation"`
	// TrustAD says that its AD bit may be believed, and that the way to it is safe.
	TrustAD bool `json:"trust_ad"`
	// RTT is the median time of its answers from the cache; 0 if there were none.
	RTT time.Duration `json:"rtt_ns,omitempty"`
	// Unfit are the names that could not be used, so that something was not found out: they
	// do not exist for this server (Missing: it does). The others are the zero Name.
	Unfit Names `json:"-"`
	// unfit lists the findings that could not be made for that.
	unfit []ID
}

// The verdicts of a report.
const (
	GoodForValidation = "good for validation"
	GoodForTrustAD    = "good for trust-ad (on this host)"
	GoodForTrustADTLS = "good for trust-ad"
	NotUsable         = "not usable"
	NotJudged         = "cannot be judged"
)

// Verdicts says in fixed words what the server is good for: one or two of
// [GoodForValidation], [GoodForTrustAD] (for a server at a loopback address) or
// [GoodForTrustADTLS] (for one that proves who it is). If it is good for neither, it is
// [NotUsable], or [NotJudged] if nothing speaks against it and it was asked for names that
// do not exist there.
func (r Report) Verdicts() []string {
	var out []string
	if r.Validation {
		out = append(out, GoodForValidation)
	}
	switch {
	case r.TrustAD && r.Server.IsLoopback():
		out = append(out, GoodForTrustAD)
	case r.TrustAD:
		out = append(out, GoodForTrustADTLS)
	}
	switch {
	case out != nil:
	case r.Unjudged():
		out = []string{NotJudged}
	default:
		out = []string{NotUsable}
	}
	return out
}

// Verdict is the verdict in one line. It adds to [Report.Verdicts] which names do not exist
// for the server, if it cannot be judged without them.
func (r Report) Verdict() string {
	words := strings.Join(r.Verdicts(), ", ")
	validation, trust := r.unjudged()
	switch {
	case !validation && !trust:
		return words
	case validation && trust:
		// words is NotJudged.
	case validation && r.TrustAD:
		words += "; for validation it cannot be judged"
	case validation:
		words = "not usable for trust-ad; for validation it cannot be judged"
	case r.Validation:
		words += "; for trust-ad it cannot be judged"
	default:
		words = "not usable for validation; for trust-ad it cannot be judged"
	}
	return words + ": " + r.Unfit.unfit()
}

// Unjudged reports whether the server could be judged further with other names than those
// in Unfit.
func (r Report) Unjudged() bool {
	validation, trust := r.unjudged()
	return validation || trust
}

func (r Report) unjudged() (validation, trust bool) {
	return r.open(r.forValidation()), r.open(r.forTrustAD())
}

// unfit says what is wrong with the names.
func (n Names) unfit() string {
	var absent, why []string
	for _, x := range []rfc6125.Name{n.Signed, n.Unsigned, n.Broken} {
		if x.IsValid() {
			absent = append(absent, x.String())
		}
	}
	switch last := len(absent) - 1; last {
	case -1:
	case 0:
		why = append(why, absent[0]+" does not exist here")
	default:
		why = append(why, strings.Join(absent[:last], ", ")+" and "+absent[last]+" do not exist here")
	}
	if n.Missing.IsValid() {
		why = append(why, n.Missing.String()+" exists here")
	}
	return strings.Join(why, ", and ")
}

// Reached reports whether the server answered at all.
func (r Report) Reached() bool { return r.level(Reachable) != Unknown }

// level is that of a finding; Unknown if it was not looked at.
func (r Report) level(id ID) Level {
	for _, f := range r.Findings {
		if f.ID == id {
			return f.Level
		}
	}
	return Unknown
}

// Run asks the server. The error is about cfg, or it is ctx's; a server that cannot be
// reached or used is a report. Run sends some twenty questions, one after the other.
func Run(ctx context.Context, cfg Config) (Report, error) {
	names := DefaultNames()
	for _, n := range []struct{ to, from *rfc6125.Name }{
		{&names.Signed, &cfg.Names.Signed}, {&names.Unsigned, &cfg.Names.Unsigned},
		{&names.Broken, &cfg.Names.Broken}, {&names.Missing, &cfg.Names.Missing},
	} {
		if n.from.IsValid() {
			*n.to = *n.from
		}
	}
	cfg.Timeout = cmp.Or(max(cfg.Timeout, 0), DefaultTimeout)
	ucfg := upstream.Config{Servers: []upstream.Server{cfg.Server}, Timeout: cfg.Timeout, RootCAs: cfg.RootCAs, Bootstrap: cfg.Bootstrap, Dial: cfg.Dial}
	c, err := upstream.New(ucfg)
	if err != nil {
		return Report{}, fault.Errorf("probe", "%w", err)
	}
	defer c.Close()
	streams, err := upstream.New(streamOnly(ucfg))
	if err != nil { // not after the first was made
		return Report{}, fault.Errorf("probe", "%w", err)
	}
	defer streams.Close()
	p := &prober{ctx: ctx, names: names, any: c, streams: streams, report: Report{Server: cfg.Server}}
	p.run()
	if err := ctx.Err(); err != nil {
		return p.report, context.Cause(ctx)
	}
	return p.report, nil
}

// errNoUDP keeps the questions of streamOnly off UDP.
var errNoUDP = errors.New("not tried")

// streamOnly makes the Config of a client that does not use UDP.
func streamOnly(cfg upstream.Config) upstream.Config {
	dial := cfg.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if network == "udp" {
			return nil, errNoUDP
		}
		return dial(ctx, network, address)
	}
	return cfg
}

// A prober is one Run.
type prober struct {
	ctx          context.Context
	names        Names
	any, streams dnssec.Upstream
	report       Report
}

func (p *prober) add(id ID, l Level, cure Cure, format string, args ...any) {
	p.report.Findings = append(p.report.Findings, Finding{ID: id, Level: l, Text: fmt.Sprintf(format, args...), Cure: cure})
}

// run looks at one thing after the other. Nothing else is looked at in a server that
// does not answer, or does not know EDNS.
func (p *prober) run() {
	if !p.reachable() {
		return
	}
	p.software()
	if p.report.Server.Protocol() == upstream.Plain {
		p.tcp()
	}
	p.signatures()
	p.denials()
	p.checking()
	p.validates()
	p.rejects()
	p.falseAD()
	p.path()
	p.speed()
	p.judge()
}

// judge draws the verdict from the findings. What could not be found out counts as bad,
// except for CD: without it a validator sees SERVFAIL where it would have
// seen what is wrong, and either way the answer is a failure.
func (p *prober) judge() {
	r := &p.report
	r.Validation, r.TrustAD = r.good(r.forValidation()), r.good(r.forTrustAD())
}

// carries are the findings that every use needs.
func (r Report) carries() []ID {
	if r.Server.Protocol() == upstream.Plain {
		return []ID{Reachable, EDNS, TCP}
	}
	return []ID{Reachable, EDNS}
}

func (r Report) forValidation() []ID { return append(r.carries(), Signatures, Denials) }

func (r Report) forTrustAD() []ID {
	return append(r.carries(), Validates, Rejects, NoFalseAD, SafePath)
}

// good reports whether all of the findings are good.
func (r Report) good(ids []ID) bool {
	return !slices.ContainsFunc(ids, func(id ID) bool { return r.level(id) != Good })
}

// open reports whether the findings are incomplete only for want of a name to test with: all of
// them are good or could have been made with another name.
func (r Report) open(ids []ID) bool {
	return !r.good(ids) && !slices.ContainsFunc(ids, func(id ID) bool { return r.level(id) != Good && !slices.Contains(r.unfit, id) })
}
