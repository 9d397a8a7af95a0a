package probe_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/probe"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/internal/nametest"
	"github.com/mxauth/mxauth/rfc6125"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var name = nametest.Name

// A model is a resolver as the probe sees it; its zero value validates and does
// everything right.
type model struct {
	silent      bool
	refuses     bool
	noRecursion bool
	formErr     bool
	noEDNS      bool
	noRoot      bool
	notImp      bool   // to EDNS; with noEDNS as a server that does not know it
	deaf        string // to questions for this name
	noSOA       bool   // for the signed zone
	noTCP       bool
	strips      string // "DS", "DNSKEY", "SOA" signatures, "NSEC", "all"
	validating  string // "" as it should be; "no"; "bad-anchor"
	ignoresCD   bool
	ede         bool
	brokenDown  bool   // the broken zone is not to be had at all
	lies        string // "unsigned", "broken", "all"
	version     string
	down        bool     // it answers SERVFAIL to all
	absent      []string // these names do not exist
	empty       string   // this name has no records
	exists      bool     // the name that is to be missing
}

func sig(owner, typ string) string {
	return fmt.Sprintf("%s 3600 IN RRSIG %s 13 2 3600 20300101000000 20200101000000 1 %s AAAA", owner, typ, owner)
}

// records of the model's world.
var zoneData = map[string][]string{
	". DNSKEY":               {". 3600 IN DNSKEY 257 3 13 AAAA", sig(".", "DNSKEY")},
	"signed.test. DS":        {"signed.test. 3600 IN DS 1 13 2 00", sig("signed.test.", "DS")},
	"signed.test. DNSKEY":    {"signed.test. 3600 IN DNSKEY 257 3 13 AAAA", sig("signed.test.", "DNSKEY")},
	"signed.test. SOA":       {"signed.test. 3600 IN SOA a. b. 1 2 3 4 5", sig("signed.test.", "SOA")},
	"unsigned.test. SOA":     {"unsigned.test. 3600 IN SOA a. b. 1 2 3 4 5"},
	"broken.test. SOA":       {"broken.test. 3600 IN SOA a. b. 1 2 3 4 5", sig("broken.test.", "SOA")},
	"no.signed.test. (NSEC)": {"signed.test. 3600 IN SOA a. b. 1 2 3 4 5", sig("signed.test.", "SOA"), "signed.test. 5 IN NSEC z.signed.test. SOA", sig("signed.test.", "NSEC")},
}

func (m model) handle(r *dnsfake.Request) {
	if m.deaf != "" && r.Name() == m.deaf || m.silent || m.noTCP && r.Network == "tcp" {
		r.Close()
		return
	}
	q := r.Msg.Question[0]
	reply := func(a *dns.Msg) {
		if m.noEDNS {
			a.Extra = nil
		}
		a.RecursionAvailable = !m.noRecursion
		a.CheckingDisabled = r.Msg.CheckingDisabled
		r.Reply(a)
	}
	fail := func(rcode int) { reply(dnsfake.Rcode(r.Msg, rcode, "")) }
	switch {
	case q.Qclass == dns.ClassCHAOS:
		if m.version == "" {
			fail(dns.RcodeRefused)
			return
		}
		a := dnsfake.Answer(r.Msg)
		a.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: "version.bind.", Rrtype: dns.TypeTXT, Class: dns.ClassCHAOS}, Txt: []string{m.version}}}
		reply(a)
		return
	case m.down:
		fail(dns.RcodeServerFailure)
		return
	case m.refuses:
		fail(dns.RcodeRefused)
		return
	case m.notImp:
		fail(dns.RcodeNotImplemented)
		return
	case m.formErr:
		fail(dns.RcodeFormatError)
		return
	}
	if m.noRoot && r.Name() == "." {
		fail(dns.RcodeNameError)
		return
	}
	key := r.Name() + " " + dns.TypeToString[q.Qtype]
	if r.Name() == m.empty {
		reply(dnsfake.Answer(r.Msg))
		return
	}
	if m.exists && r.Name() == "no.signed.test." {
		reply(dnsfake.Answer(r.Msg, "no.signed.test. 60 IN TLSA 3 1 1 00", sig("no.signed.test.", "TLSA")))
		return
	}
	if r.Name() == "no.signed.test." || slices.Contains(m.absent, r.Name()) {
		a := dnsfake.Answer(r.Msg)
		a.Rcode = dns.RcodeNameError
		for _, s := range zoneData["no.signed.test. (NSEC)"] {
			rr := dnsfake.RR(s)
			if m.strips == "all" || m.strips == "NSEC" {
				if rr.Header().Rrtype != dns.TypeSOA {
					continue
				}
			}
			a.Ns = append(a.Ns, rr)
		}
		reply(a)
		return
	}
	signed := strings.HasPrefix(r.Name(), "signed") || r.Name() == "."
	broken := strings.HasPrefix(r.Name(), "broken")
	checks := m.validating != "no" && (m.ignoresCD || !r.Msg.CheckingDisabled)
	if broken && (checks || m.brokenDown) || m.validating == "bad-anchor" && checks && signed {
		a := dnsfake.Rcode(r.Msg, dns.RcodeServerFailure, "")
		if m.ede {
			dnsfake.Extended(a, 6, "")
		}
		reply(a)
		return
	}
	a := dnsfake.Answer(r.Msg)
	if m.noSOA && key == "signed.test. SOA" {
		key = ""
	}
	for _, s := range zoneData[key] {
		rr := dnsfake.RR(s)
		typ := rr.Header().Rrtype
		if m.strips == "all" && typ != dns.TypeSOA {
			continue
		}
		if sig, ok := rr.(*dns.RRSIG); ok && dns.TypeToString[sig.TypeCovered] == m.strips {
			continue
		}
		a.Answer = append(a.Answer, rr)
	}
	a.AuthenticatedData = m.validating == "" && signed && !r.Msg.CheckingDisabled ||
		m.lies == "all" || strings.HasPrefix(r.Name(), m.lies) && m.lies != ""
	reply(a)
}

func run(t *testing.T, m model, change func(*probe.Config)) probe.Report {
	t.Helper()
	srv := dnsfake.Start(t, m.handle)
	s, err := upstream.PlainServer(srv.Addr)
	if err != nil {
		t.Fatal(err)
	}
	cfg := probe.Config{Server: s, Timeout: 3 * time.Second, Names: probe.Names{
		Signed: name(t, "signed.test"), Unsigned: name(t, "unsigned.test"), Broken: name(t, "broken.test"), Missing: name(t, "no.signed.test"),
	}}
	if m.silent || m.deaf != "" {
		cfg.Timeout = 300 * time.Millisecond
	}
	if change != nil {
		change(&cfg)
	}
	rep, err := probe.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// brief shows what is not good, and the verdict.
func brief(r probe.Report) string {
	var out []string
	for _, f := range r.Findings {
		if f.Level != probe.Good {
			out = append(out, fmt.Sprintf("%s:%s", f.ID, f.Level))
		}
	}
	return strings.Join(out, " ") + " = " + strings.Join(r.Verdicts(), ", ")
}

func TestProbe(t *testing.T) {
	all := []string{"signed.test.", "unsigned.test.", "broken.test."}
	const both = "good for validation, good for trust-ad (on this host)"
	tests := []struct {
		name  string
		m     model
		want  string
		cures []probe.Cure // that are named, or with a ! are not
	}{
		{"all is well", model{}, " = " + both, nil},
		{"does not validate", model{validating: "no"}, "validates:bad rejects:bad = good for validation", []probe.Cure{probe.CureValidate}},
		{"does not validate, Unbound", model{validating: "no", version: "unbound 1.17.1"}, "validates:bad rejects:bad = good for validation", []probe.Cure{probe.CureValidate}},
		{"does not validate, dnsmasq", model{validating: "no", version: "dnsmasq-2.90"}, "validates:bad rejects:bad = good for validation", []probe.Cure{probe.CureValidate}},
		{"does not validate, BIND", model{validating: "no", version: "9.18.28-1~deb12u2-Debian"}, "validates:bad rejects:bad = good for validation", []probe.Cure{probe.CureValidate}},
		{"wrong anchor", model{validating: "bad-anchor"}, "validates:bad = good for validation", []probe.Cure{probe.CureAnchor}},
		{"strips all", model{strips: "all", validating: "no"}, "signatures:bad denials:bad validates:unknown rejects:bad = not usable", []probe.Cure{probe.CurePass}},
		{"strips signatures of data", model{strips: "SOA"}, "signatures:bad = good for trust-ad (on this host)", []probe.Cure{probe.CurePass}},
		{"strips signatures of DS", model{strips: "DS"}, "signatures:bad = good for trust-ad (on this host)", nil},
		{"strips signatures of keys", model{strips: "DNSKEY"}, "signatures:bad = good for trust-ad (on this host)", nil},
		{"strips denials", model{strips: "NSEC"}, "denials:bad = good for trust-ad (on this host)", []probe.Cure{probe.CurePass}},
		{"ignores CD and says why", model{ignoresCD: true, ede: true}, "cd:doubtful = " + both, []probe.Cure{probe.CureCD}},
		{"ignores CD in silence", model{ignoresCD: true}, "cd:doubtful rejects:unknown = good for validation", []probe.Cure{probe.CureCD}},
		{"the broken zone is down", model{brokenDown: true}, "cd:doubtful rejects:unknown = good for validation", nil},
		{"sets AD on what is unsigned", model{lies: "unsigned"}, "no-false-ad:bad = good for validation", []probe.Cure{probe.CureFalseAD}},
		{"sets AD on what is broken", model{lies: "broken", validating: "no"}, "validates:bad rejects:bad no-false-ad:bad = good for validation", nil},
		{"sets AD on everything", model{lies: "all", validating: "no"}, "rejects:bad no-false-ad:bad = good for validation", nil},
		{"no TCP", model{noTCP: true}, "tcp:bad = not usable", []probe.Cure{probe.CureTCP}},
		{"no EDNS", model{formErr: true}, "edns:bad = not usable", []probe.Cure{probe.CureEDNS}},
		{"EDNS is taken away", model{noEDNS: true}, "edns:bad = not usable", []probe.Cure{probe.CureEDNSPath}},
		{"refuses", model{refuses: true}, "reachable:bad = not usable", []probe.Cure{probe.CureAccess}},
		{"no recursion", model{noRecursion: true}, "reachable:bad = not usable", []probe.Cure{probe.CureRecursive}},
		{"denies the root", model{noRoot: true}, "reachable:bad = not usable", []probe.Cure{probe.CureOther}},
		{"NOTIMP to EDNS", model{notImp: true, noEDNS: true}, "edns:bad = not usable", []probe.Cure{probe.CureEDNS}},
		{"NOTIMP to everything", model{notImp: true}, "tcp:bad signatures:unknown denials:unknown cd:doubtful validates:unknown rejects:unknown no-false-ad:unknown = not usable", nil},
		{"deaf to the signed zone", model{deaf: "signed.test."}, "signatures:unknown validates:unknown speed:doubtful = not usable", nil},
		{"deaf to the unsigned zone", model{deaf: "unsigned.test."}, "no-false-ad:unknown = good for validation", nil},
		{"deaf to the broken zone", model{deaf: "broken.test."}, "cd:unknown rejects:unknown = good for validation", nil},
		{"deaf to the name that is missing", model{deaf: "no.signed.test."}, "denials:unknown = good for trust-ad (on this host)", nil},
		{"deaf to questions of what it is", model{deaf: "version.bind."}, " = " + both, nil},
		{"the signed zone is none", model{noSOA: true}, "signatures:unknown validates:unknown = not usable", nil},
		// A name that does not exist is no answer and shows nothing.
		{"no test name exists", model{absent: all}, "signatures:unknown cd:unknown validates:unknown rejects:unknown no-false-ad:unknown = cannot be judged", []probe.Cure{probe.CureNameSigned, probe.CureNameUnsigned, probe.CureNameBroken, "!validate"}},
		{"the broken zone does not exist", model{absent: []string{"broken.test."}}, "cd:unknown rejects:unknown = good for validation", []probe.Cure{probe.CureNameBroken, "!name-signed"}},
		{"the unsigned zone does not exist", model{absent: []string{"unsigned.test."}}, "no-false-ad:unknown = good for validation", []probe.Cure{probe.CureNameUnsigned}},
		{"no broken nor unsigned zone, and no signatures come through", model{absent: []string{"broken.test.", "unsigned.test."}, strips: "SOA"}, "signatures:bad cd:unknown rejects:unknown no-false-ad:unknown = cannot be judged", nil},
		{"no broken zone, no signatures, no validation", model{absent: []string{"broken.test."}, strips: "all", validating: "no"}, "signatures:bad denials:bad cd:unknown validates:unknown rejects:unknown = not usable", nil},
		{"the broken zone has no records", model{empty: "broken.test."}, "cd:doubtful rejects:unknown = good for validation", []probe.Cure{probe.CureNameBroken}},
		{"the missing name exists", model{empty: "no.signed.test."}, "denials:bad = good for trust-ad (on this host)", nil},
		{"silent", model{silent: true}, "reachable:unknown = not usable", []probe.Cure{probe.CureStart}},
		{"in trouble", model{down: true}, "tcp:bad signatures:unknown denials:unknown cd:doubtful validates:bad rejects:unknown no-false-ad:unknown = not usable", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, tt.m, nil)
			if got := brief(r); got != tt.want {
				t.Errorf("\n got %s\nwant %s\n%+v", got, tt.want, r.Findings)
			}
			var all []probe.Cure
			for _, f := range r.Findings {
				all = append(all, f.Cure)
				if f.Level == probe.Bad && f.Cure == "" {
					t.Errorf("%s is bad, and nothing is said of what to do", f.ID)
				}
				if f.Level == probe.Good && f.Cure != "" || f.Text == "" {
					t.Errorf("%+v", f)
				}
			}
			for _, c := range tt.cures {
				if id, not := strings.CutPrefix(string(c), "!"); slices.Contains(all, probe.Cure(id)) == not {
					t.Errorf("cure %q: %q", c, all)
				}
			}
			if r.Software != tt.m.version {
				t.Errorf("software %q", r.Software)
			}
			if r.Reached() == tt.m.silent {
				t.Errorf("reached: %v", r.Reached())
			}
		})
	}
}

// TestVerdict: where the names to test with do not exist, the verdict says so.
func TestVerdict(t *testing.T) {
	for _, tt := range []struct {
		m    model
		want string
	}{
		{model{}, "good for validation, good for trust-ad (on this host)"},
		{model{down: true}, "not usable"},
		{model{absent: []string{"signed.test.", "unsigned.test.", "broken.test."}},
			"cannot be judged: signed.test, unsigned.test and broken.test do not exist here"},
		{model{absent: []string{"broken.test."}},
			"good for validation; for trust-ad it cannot be judged: broken.test does not exist here"},
		{model{absent: []string{"broken.test."}, validating: "no"}, "good for validation"},
		{model{absent: []string{"broken.test."}, strips: "SOA"},
			"not usable for validation; for trust-ad it cannot be judged: broken.test does not exist here"},
		{model{exists: true}, "good for trust-ad (on this host); for validation it cannot be judged: no.signed.test exists here"},
		{model{exists: true, validating: "no"}, "not usable for trust-ad; for validation it cannot be judged: no.signed.test exists here"},
		{model{exists: true, absent: []string{"signed.test."}},
			"cannot be judged: signed.test does not exist here, and no.signed.test exists here"},
	} {
		r := run(t, tt.m, nil)
		if got := r.Verdict(); got != tt.want {
			t.Errorf("%+v:\n got %s\nwant %s", tt.m, got, tt.want)
		}
		if !r.Validation && !r.TrustAD && (r.Verdicts()[0] == probe.NotJudged) != strings.Contains(tt.want, "cannot be judged") {
			t.Errorf("%s: %q", tt.want, r.Verdicts())
		}
	}
}

func TestProbeOrder(t *testing.T) {
	r := run(t, model{}, nil)
	var ids []probe.ID
	for _, f := range r.Findings {
		ids = append(ids, f.ID)
	}
	want := []probe.ID{probe.Reachable, probe.EDNS, probe.TCP, probe.Signatures, probe.Denials, probe.Checking, probe.Validates, probe.Rejects, probe.NoFalseAD, probe.SafePath, probe.Speed}
	if d := cmp.Diff(want, ids); d != "" {
		t.Error(d)
	}
	if r.RTT <= 0 || !r.Validation || !r.TrustAD {
		t.Errorf("%+v", r)
	}
}

func TestProbePathNotSafe(t *testing.T) {
	// The same good server at an address that is not of this host.
	r := run(t, model{}, func(cfg *probe.Config) {
		to := cfg.Server.Addr().String()
		cfg.Server, _ = upstream.ParseServer("192.0.2.1")
		cfg.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, to)
		}
	})
	if got := brief(r); got != "safe-path:doubtful = good for validation" {
		t.Error(got)
	}
}

func TestProbeTLS(t *testing.T) {
	var err error
	pair := certtest.Issue(certtest.Server("dns.example"), nil)
	srv := dnsfake.StartTLS(t, &tls.Config{Certificates: []tls.Certificate{pair.TLS()}}, model{}.handle)
	roots := x509.NewCertPool()
	roots.AddCert(pair.Cert)
	for _, tt := range []struct {
		server, want string
		cure         probe.Cure
	}{
		{"tls://192.0.2.1#dns.example", " = good for validation, good for trust-ad", ""},
		{"tls://192.0.2.1#other.example", "reachable:unknown = not usable", probe.CureReachTLS},
		{"tls://127.0.0.1#other.example", "reachable:unknown = not usable", probe.CureReachTLS},
	} {
		r := run(t, model{}, func(cfg *probe.Config) {
			cfg.Server, err = upstream.ParseServer(tt.server)
			cfg.RootCAs = roots
			cfg.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, srv.Addr.String())
			}
		})
		if got := brief(r); err != nil || got != tt.want || r.Findings[0].Cure != tt.cure {
			t.Errorf("%s: %s %v", tt.server, got, r.Findings)
		}
		for _, f := range r.Findings {
			if f.ID == probe.TCP {
				t.Error("TCP was looked at though TLS is all there is")
			}
			if f.ID == probe.SafePath && !strings.Contains(f.Text, "TLS") {
				t.Errorf("%+v", f)
			}
		}
	}
}

func TestMedian(t *testing.T) {
	if got := probe.Median([]time.Duration{5, 1, 4, 2, 3}); got != 3 {
		t.Errorf("median %d", got)
	}
}

func TestCovers(t *testing.T) {
	rrsig := func(data ...byte) wire.RR { return wire.RR{Type: wire.TypeRRSIG, Data: data} }
	for _, tt := range []struct {
		rr   wire.RR
		want bool
	}{
		{rrsig(0, 6, 13), true}, {rrsig(0, 1, 13), false}, {rrsig(0, 6), false}, {rrsig(), false},
		{wire.RR{Type: wire.TypeSOA, Data: []byte{0, 6, 13}}, false},
	} {
		if probe.Covers([]wire.RR{tt.rr}, dnssec.TypeSOA) != tt.want {
			t.Errorf("%+v: %v", tt.rr, !tt.want)
		}
	}
}

func TestFirstTXT(t *testing.T) {
	n := name(t, "version.bind")
	q := new(dns.Msg)
	q.SetQuestion("version.bind.", dns.TypeTXT)
	q.Question[0].Qclass = dns.ClassCHAOS
	msg := func(rcode int, rr dns.RR, compress bool) []byte {
		m := new(dns.Msg)
		m.SetRcode(q, rcode)
		m.Compress = compress
		if rr != nil {
			m.Answer = []dns.RR{rr}
		}
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	txt := func(s ...string) dns.RR {
		return &dns.TXT{Hdr: dns.RR_Header{Name: "version.bind.", Rrtype: dns.TypeTXT, Class: dns.ClassCHAOS}, Txt: s}
	}
	for _, tt := range []struct {
		name string
		msg  []byte
		want string
	}{
		{"compressed", msg(0, txt("unbound 1.2", "more"), true), "unbound 1.2"},
		{"not compressed", msg(0, txt("unbound 1.2"), false), "unbound 1.2"},
		{"empty", msg(0, txt(""), true), ""},
		{"no answer", msg(0, nil, true), ""},
		{"refused", msg(5, txt("x"), true), ""},
		{"another type", msg(0, &dns.NULL{Hdr: dns.RR_Header{Name: "version.bind.", Rrtype: dns.TypeNULL, Class: dns.ClassCHAOS}, Data: "\x03abc"}, true), ""},
		{"nothing", nil, ""},
	} {
		if got := probe.FirstTXT(tt.msg, n); got != tt.want {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
	// Cut anywhere it gives the beginning of the text, or nothing.
	for _, compress := range []bool{true, false} {
		b := msg(0, txt("unbound 1.2"), compress)
		for i := range b {
			if got := probe.FirstTXT(b[:i], n); !strings.HasPrefix("unbound 1.2", got) {
				t.Errorf("%d octets: %q", i, got)
			}
		}
	}
}

func TestProbeSoftwareIsEscaped(t *testing.T) {
	r := run(t, model{version: "evil\x1b[2J" + strings.Repeat("x", 200)}, nil)
	if strings.ContainsRune(r.Software, '\x1b') || len(r.Software) > 100 || !strings.HasPrefix(r.Software, `evil\x1b`) {
		t.Errorf("%q", r.Software)
	}
}

func TestProbeJSON(t *testing.T) {
	r := run(t, model{silent: true}, nil)
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Server     string
		Findings   []map[string]string
		Validation bool
	}
	if err := json.Unmarshal(b, &back); err != nil || back.Server != r.Server.String() || back.Findings[0]["level"] != "unknown" || back.Findings[0]["id"] != "reachable" || back.Validation {
		t.Errorf("%s %v", b, err)
	}
}

func TestProbeEnds(t *testing.T) {
	t.Run("no server", func(t *testing.T) {
		if _, err := probe.Run(t.Context(), probe.Config{}); err == nil {
			t.Error("no error")
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		srv := dnsfake.Start(t, func(*dnsfake.Request) { cancel() })
		s, _ := upstream.PlainServer(srv.Addr)
		r, err := probe.Run(ctx, probe.Config{Server: s})
		if !errors.Is(err, context.Canceled) || r.Validation || r.TrustAD {
			t.Errorf("%+v %v", r, err)
		}
	})
}

func TestDefaultNames(t *testing.T) {
	n := probe.DefaultNames()
	for _, x := range []rfc6125.Name{n.Signed, n.Unsigned, n.Broken, n.Missing} {
		if !x.IsValid() {
			t.Errorf("%+v", n)
		}
	}
	if !n.Missing.IsSubdomainOf(n.Signed) {
		t.Errorf("%s is not below %s", n.Missing, n.Signed)
	}
}

func TestLevels(t *testing.T) {
	var zero probe.Level
	if zero != probe.Unknown || (probe.Report{}).Verdicts()[0] != probe.NotUsable || (probe.Report{}).Reached() {
		t.Error("the zero values are not the safe ones")
	}
	for l, want := range map[probe.Level]string{probe.Unknown: "unknown", probe.Good: "good", probe.Doubtful: "doubtful", probe.Bad: "bad", 200: "bad"} {
		if l.String() != want {
			t.Errorf("%d: %s", l, l)
		}
	}
}
