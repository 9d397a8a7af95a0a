package mtapolicy_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// A tlsaFact is what is published for a host.
type tlsaFact uint8

const (
	tlsaNone tlsaFact = iota
	tlsaMatch
	tlsaMismatch
	tlsaUnusable
	tlsaServfail
	tlsaOursFails // our lookup fails for a reason of this program; Postfix finds matching records
)

// A server is one mail host as it is, and what is special about the plan's view of it.
type server struct {
	tlsa    tlsaFact
	tls     bool     // offers STARTTLS
	public  bool     // its certificate leads to a public CA
	names   []string // DNS names in the certificate; "own" is its own name, "all" every host's
	cn      string   // Common Name, where there are no DNS names
	listed  bool     // a pattern of the policy names it
	addr    addrFact
	memory  bool // the memory holds it
	except  *exception.Exception
	nexthop bool // TLSA of usage 2 whose certificate names only the next hop
}

type addrFact uint8

const (
	addrOK addrFact = iota
	addrNone
	addrFails
	addrAlias // an alias, refused by an option; Postfix finds it and matching TLSA records
)

var servers = map[string]server{
	"dok":       {tlsa: tlsaMatch, tls: true},
	"dbad":      {tlsa: tlsaMismatch, tls: true, public: true, names: []string{"own"}, listed: true},
	"dplain":    {tlsa: tlsaMatch},
	"dnext":     {tlsa: tlsaMatch, tls: true, nexthop: true},
	"dserv":     {tlsa: tlsaServfail, tls: true, public: true, names: []string{"own"}, listed: true},
	"dours":     {tlsa: tlsaOursFails, tls: true},
	"dunu":      {tlsa: tlsaUnusable, tls: true, public: true, names: []string{"own"}, listed: true},
	"dunuplain": {tlsa: tlsaUnusable},
	"none":      {tls: true, public: true, names: []string{"own"}, listed: true},
	"noneself":  {tls: true, names: []string{"own"}, listed: true},
	"plain":     {},
	"plainlist": {listed: true},
	"multi":     {tls: true, public: true, names: []string{"own", "all"}},
	"cnonly":    {tls: true, public: true, cn: "own", listed: true},
	"dlisted":   {tlsa: tlsaMatch, tls: true, public: true, names: []string{"own"}, listed: true},
	"gone":      {addr: addrNone, listed: true},
	"aserv":     {addr: addrFails, listed: true},
	"alias":     {addr: addrAlias, tlsa: tlsaMatch, tls: true, public: true, names: []string{"own"}, listed: true},
	"mem":       {tls: true, public: true, names: []string{"own"}, memory: true},
	"xmay":      {tlsa: tlsaMismatch, tls: true, except: &exception.Exception{ID: "x", Effect: exception.EffectMay}},
	"xplain":    {tlsa: tlsaMatch, except: &exception.Exception{ID: "x", Effect: exception.EffectEncrypt}},
	"xdane":     {tlsa: tlsaMismatch, tls: true, listed: true, except: &exception.Exception{ID: "x", Method: "dane", Effect: exception.EffectMay}},
}

// usage2 is a TLSA set of usage 2.
var usage2 = func() dane.Set {
	r, err := dane.ParseRecord("2 1 1 " + strings.Repeat("ab", 32))
	if err != nil {
		panic(err)
	}
	return dane.NewSet([]dane.Record{r}, dane.UsePolicy{})
}()

// A situation is a domain with its hosts.
type situation struct {
	hosts    []string
	secure   bool // MX
	policy   sts.Mode
	insecure engine.InsecureMX
	both     bool
	level    engine.Level
	audit    bool
}

func (s situation) String() string {
	return fmt.Sprintf("%s mx-secure=%v policy=%v insecure-mx=%v both=%v level=%v audit=%v", strings.Join(s.hosts, ","), s.secure, s.policy, s.insecure, s.both, s.level, s.audit)
}

func name(i int, kind string) rfc6125.Host {
	h, err := rfc6125.ParseHost(fmt.Sprintf("%s%d.example.org", kind, i))
	if err != nil {
		panic(err)
	}
	return h
}

// plan makes the plan by sections 4 and 5 of the decision table.
func (s situation) plan() *engine.Plan {
	orig, _ := rfc6125.ParseHost("example.org")
	p := &engine.Plan{Orig: orig, Made: time.Unix(1e9, 0)}
	p.Request = engine.Request{NextHop: "example.org", Level: s.level,
		Options: engine.Options{InsecureMX: s.insecure, Audit: s.audit}}
	if s.both {
		p.Request.Options.DANEAndSTS = engine.Both
	}
	p.MX = engine.MXState{Row: "M9", Status: dnssec.Insecure}
	if s.secure {
		p.MX.Status = dnssec.Secure
	}
	if s.policy != 0 {
		var mx []sts.Pattern
		for i, k := range s.hosts {
			if servers[k].listed {
				pt, err := sts.ParsePattern(name(i, k).String())
				if err != nil {
					panic(err)
				}
				mx = append(mx, pt)
			}
		}
		if len(mx) == 0 {
			pt, _ := sts.ParsePattern("other.example.org")
			mx = append(mx, pt)
		}
		p.STS.Policy = &sts.Policy{Mode: s.policy, MaxAge: 86400 * time.Second, MX: mx}
	}
	for i, k := range s.hosts {
		p.Hosts = append(p.Hosts, s.host(name(i, k), servers[k]))
	}
	return p
}

func lookupError(code dnssec.ReasonCode) error {
	return &dnssec.LookupError{Kind: dnssec.ErrServFail, Reason: dnssec.Reason{Code: code}}
}

func (s situation) host(n rfc6125.Host, v server) engine.Host {
	h := engine.Host{Name: n, Port: 25, SNI: n.String(), Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	h.DANE.Address = dane.AddressOK
	skip := func(o engine.Outcome, id reason.ID) {
		h.Requirement, h.Skipped, h.Reason = engine.Skip, o, engine.Reason{ID: id}
	}
	switch v.addr {
	case addrNone:
		h.Unusable, h.Addresses, h.DANE.Address = true, nil, dane.AddressNone
		skip(engine.Refused, reason.NoAddress)
		return h
	case addrAlias:
		h.Unusable, h.DANE.Address = true, dane.AddressAlias
		skip(engine.Refused, reason.AliasRefused)
		return h
	case addrFails:
		h.Addresses, h.DANE.Address = nil, dane.AddressFailed
		h.DANE.A.Err, h.DANE.AAAA.Err = lookupError(dnssec.ReasonServFail), lookupError(dnssec.ReasonTimeout)
		skip(engine.Deferred, reason.AddressFailed)
		return h
	}
	looked := s.level != engine.LevelSTS && (s.secure || s.insecure != engine.InsecureMXMay)
	rd, failed := engine.Skip, false
	if looked {
		switch v.tlsa {
		case tlsaMatch, tlsaMismatch:
			h.DANE.State = dane.Usable
			if v.nexthop {
				h.DANE.Set = usage2
			}
			rd = engine.DANE
			if !s.secure {
				rd = engine.HalfDANE
				if s.insecure == engine.InsecureMXEncrypt {
					rd = engine.Encrypt
				}
			}
		case tlsaUnusable:
			h.DANE.State, rd = dane.Unusable, engine.Encrypt
		case tlsaNone:
			h.DANE.State = dane.None
		case tlsaServfail:
			failed = true
			h.DANE.TLSA = []dane.Lookup{{Err: lookupError(dnssec.ReasonServFail)}}
		case tlsaOursFails:
			failed = true
			h.DANE.TLSA = []dane.Lookup{{Err: lookupError(dnssec.ReasonSignatureExpired)}}
		}
	} else {
		h.DANE.State = dane.NA
	}
	if failed {
		h.DANE.State = dane.Failed
	}
	enforce := s.policy == sts.ModeEnforce
	switch {
	case failed:
		skip(engine.Deferred, reason.TLSALookupFailed)
	case rd == engine.DANE && !s.both:
		h.Requirement, h.Reason.ID = rd, reason.DANE
	case enforce && !v.listed:
		skip(engine.Refused, reason.STSNoMatch)
	case enforce && rd == engine.Encrypt:
		h.Requirement, h.Reason.ID = engine.STS, reason.STS
	case enforce:
		h.Requirement, h.Reason.ID = rd|engine.STS, reason.STS
	case rd != engine.Skip:
		h.Requirement, h.Reason.ID = rd, reason.DANE
	default:
		h.Requirement, h.Reason.ID = engine.May, reason.NoPolicy
	}
	if s.level == engine.LevelSecure && h.Requirement != engine.Skip && h.Requirement&(engine.DANE|engine.STS) == 0 {
		h.Requirement, h.Reason.ID, h.SNI = engine.PKIX, reason.Names, "own.example.net"
		h.PKIXRefs = []rfc6125.Reference{rfc6125.NewReference(n)} // as if the operator had named the host
	}
	if v.memory && h.Requirement != engine.Skip && h.Requirement&(engine.DANE|engine.STS|engine.PKIX) == 0 && !s.audit {
		skip(engine.Deferred, reason.MemoryDANE)
	}
	if s.audit && h.Requirement == engine.Skip && h.Skipped == engine.Refused {
		h.Waived = h.Reason
		h.Requirement, h.Skipped, h.Reason = engine.May, engine.OutcomeNone, engine.Reason{ID: reason.Audit}
	}
	if x := v.except; x != nil && h.Requirement != engine.May {
		h.Exception = x
		if h.Requirement == engine.Skip && (x.Method == "" || x.Method == "mta-sts" && h.Reason.ID == reason.STSNoMatch ||
			x.Method == "dane" && h.Reason.ID == reason.TLSALookupFailed) {
			h.Waived = h.Reason
			h.Requirement, h.Skipped, h.Reason = engine.May, engine.OutcomeNone, engine.Reason{ID: reason.Exception}
			if x.Effect == exception.EffectEncrypt {
				h.Requirement = engine.Encrypt
			}
		}
	}
	return h
}

// has reports whether the certificate carries a name of host i in its DNS names.
func (s situation) has(i, of int, v server) bool {
	return slices.Contains(v.names, "all") || i == of && slices.Contains(v.names, "own")
}

// wants is what the plan says of a connection to host i.
func (s situation) wants(p *engine.Plan, i int) bool {
	h, v := &p.Hosts[i], servers[s.hosts[i]]
	if h.Requirement == engine.Skip {
		return false
	}
	if s.audit {
		return true
	}
	ok := true
	if h.Requirement&^engine.May != 0 {
		ok = v.tls
	}
	failed := engine.Skip
	if h.Requirement&(engine.DANE|engine.HalfDANE) != 0 && (v.tlsa != tlsaMatch || !v.tls || v.nexthop && !s.secure) {
		failed |= engine.DANE
	}
	if h.Requirement&(engine.STS|engine.PKIX) != 0 && !(v.tls && v.public && s.has(i, i, v)) {
		failed |= engine.STS
	}
	ok = ok && failed == engine.Skip
	if x := h.Exception; !ok && x != nil {
		covered := x.Method == "" || x.Method == "dane" && failed&engine.STS == 0 && h.Requirement&(engine.STS|engine.PKIX) == 0
		return covered && (v.tls || x.Effect == exception.EffectMay)
	}
	return ok
}

// A postfix is a version with its settings.
type postfix struct {
	form     mtapolicy.Form
	level    string // smtp_tls_security_level
	old      bool   // ignores "dane" behind an insecure MX unless the default level is dane
	patterns bool   // smtp_tls_enforce_sts_mx_patterns
}

var postfixes = []postfix{
	{mtapolicy.Plain, "dane", true, false}, {mtapolicy.Plain, "may", true, false},
	{mtapolicy.Plain, "dane", false, false}, {mtapolicy.Plain, "may", false, false},
	{mtapolicy.Extended, "dane", false, false}, {mtapolicy.Extended, "may", false, false},
	{mtapolicy.Extended, "dane", false, true}, {mtapolicy.Extended, "may", false, true},
}

// sends is what Postfix does with a connection to host i, as measured.
func (f postfix) sends(s situation, r mtapolicy.Reply, i int) bool {
	v := servers[s.hosts[i]]
	if r.Kind == mtapolicy.TryLater || v.addr == addrNone || v.addr == addrFails {
		return false
	}
	level, rest := f.level, ""
	if r.Kind == mtapolicy.Found {
		level, rest, _ = strings.Cut(r.Text, " ")
	}
	tlsa := v.tlsa
	if tlsa == tlsaOursFails {
		tlsa = tlsaMatch
	}
	match := v.tls && tlsa == tlsaMatch
	switch level {
	case "may":
		return true
	case "encrypt":
		return v.tls
	case "dane-only":
		return s.secure && match
	case "dane":
		if !s.secure && f.old && f.level != "dane" {
			return true
		}
		switch tlsa {
		case tlsaServfail:
			return false
		case tlsaNone:
			return true
		case tlsaUnusable:
			return v.tls
		}
		return match
	case "secure":
		own := name(i, s.hosts[i]).String()
		var match, patterns []string
		for w := range strings.FieldsSeq(rest) {
			if m, ok := strings.CutPrefix(w, "match="); ok {
				match = strings.Split(m, ":")
			}
			if m, ok := strings.CutPrefix(w, "mx_host_pattern="); ok {
				patterns = append(patterns, m)
			}
		}
		if f.patterns && len(patterns) > 0 {
			if !slices.Contains(patterns, own) {
				return false
			}
			match = []string{own}
		}
		if !v.tls || !v.public {
			return false
		}
		for of, k := range s.hosts {
			if slices.Contains(match, name(of, k).String()) && (s.has(i, of, v) || len(v.names) == 0 && v.cn == "own" && of == i) {
				return true
			}
		}
		return false
	}
	panic("level " + level)
}

// Whatever the hosts are, Postfix sends nothing that the plan refuses and holds nothing that
// it would let go, except where the reply says so.
func TestPostfixModel(t *testing.T) {
	rows := map[mtapolicy.Row]int{}
	weaker, stronger := map[mtapolicy.DeviationID]int{}, map[mtapolicy.DeviationID]int{}
	kinds := make([]string, 0, len(servers))
	for k := range servers {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	var lists [][]string
	for _, a := range kinds {
		lists = append(lists, []string{a})
		for _, b := range kinds {
			lists = append(lists, []string{a, b})
			for _, c := range kinds {
				if a < b && b < c {
					lists = append(lists, []string{a, b, c})
				}
			}
		}
	}
	bad, seen := 0, map[string]bool{} // one example a class
	for _, hosts := range lists {
		for _, s := range situations(hosts) {
			p := s.plan()
			for _, f := range postfixes {
				r, err := mtapolicy.Postfix(p, mtapolicy.Options{Form: f.form})
				if err != nil {
					t.Fatal(err)
				}
				rows[r.Row]++
				for i := range s.hosts {
					want, got := s.wants(p, i), f.sends(s, r, i)
					if want == got {
						continue
					}
					id := f.excuse(s, r, p, i, got)
					if id == "" {
						bad++
						class := fmt.Sprint(r.Row, r.Kind, got, s.hosts[i], s.audit, s.level, s.insecure)
						if !seen[class] {
							seen[class] = true
							t.Errorf("%v\n  %+v: reply %v %q (%s)\n  host %d %s: plan %v, Postfix %v, deviations %v", s, f, r.Kind, r.Text, r.Row, i, s.hosts[i], want, got, r.Deviations)
						}
						continue
					}
					if got {
						weaker[id]++
					} else {
						stronger[id]++
					}
				}
			}
		}
	}
	if bad > 0 {
		t.Errorf("%d in all", bad)
	}
	for _, r := range []mtapolicy.Row{mtapolicy.P2, mtapolicy.P3, mtapolicy.P4, mtapolicy.P5, mtapolicy.P6, mtapolicy.P7, mtapolicy.P8a, mtapolicy.P8b, mtapolicy.P9, mtapolicy.P10, mtapolicy.P11} {
		if rows[r] == 0 {
			t.Errorf("row %s was never hit", r)
		}
	}
	if rows[mtapolicy.P12] > 0 {
		t.Errorf("row P12 was hit %d times", rows[mtapolicy.P12])
	}
	t.Log("rows", rows, "weaker", weaker, "stronger", stronger)
}

// excuse finds the deviation that allows the difference: one that is about this host, this
// version and this server.
func (f postfix) excuse(s situation, r mtapolicy.Reply, p *engine.Plan, i int, weaker bool) mtapolicy.DeviationID {
	v := servers[s.hosts[i]]
	for _, d := range r.Deviations {
		if d.Weaker != weaker || d.Host != "" && d.Host != p.Hosts[i].Name.String() {
			continue
		}
		switch d.ID {
		case mtapolicy.WeakerOldInsecureMX:
			if !f.old || f.level == "dane" || s.secure {
				continue
			}
		case mtapolicy.WeakerTADates, mtapolicy.WeakerTACommonName:
			continue // no authority of these servers has expired
		case mtapolicy.WeakerNextHopName:
			if !v.nexthop {
				continue
			}
		case mtapolicy.WeakerCommonName:
			if len(v.names) > 0 {
				continue
			}
		case mtapolicy.WeakerSharedName:
			if f.patterns || !slices.Contains(v.names, "all") {
				continue
			}
		}
		return d.ID
	}
	return ""
}

func situations(hosts []string) []situation {
	var out []situation
	for _, policy := range []sts.Mode{0, sts.ModeTesting, sts.ModeEnforce} {
		for _, audit := range []bool{false, true} {
			out = append(out,
				situation{hosts: hosts, secure: true, policy: policy, audit: audit},
				situation{hosts: hosts, policy: policy, audit: audit},
				situation{hosts: hosts, policy: policy, audit: audit, insecure: engine.InsecureMXEncrypt},
				situation{hosts: hosts, policy: policy, audit: audit, insecure: engine.InsecureMXMay},
				situation{hosts: hosts, secure: true, policy: policy, audit: audit, both: true},
				situation{hosts: hosts, secure: true, policy: policy, audit: audit, level: engine.LevelSTS},
				situation{hosts: hosts, secure: true, policy: policy, audit: audit, level: engine.LevelSecure},
			)
		}
	}
	return out
}
