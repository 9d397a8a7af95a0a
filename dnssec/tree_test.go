package dnssec_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/internal/dnstree"
)

// testTime is when the tests of the validator take place.
var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A tree is a signed name space in memory, and the recursive resolver in front of it
// (an Upstream). A test may alter what the resolver passes on.
type tree struct {
	t     testing.TB
	zones map[string]*testZone

	mu    sync.Mutex
	asked []string                               // "name TYPE" of every question, in order
	raw   [][]byte                               // the queries
	edit  func(q dns.Question, m *dns.Msg)       // called on a copy of each response
	hook  func(q dns.Question) (*dns.Msg, error) // if it gives something, that is the outcome
	delay func(ctx context.Context, q dns.Question)
}

// A testZone is one zone of a tree.
type testZone struct {
	apex  string
	rrs   []dns.RR
	keys  []*testKey // nil: the zone is unsigned
	ds    []dns.RR   // in the parent; made of the keys unless it was set
	nsec3 *testNSEC3 // nil: NSEC
	from  time.Time
	until time.Time
	sigs  map[string][]dns.RR
}

type testNSEC3 struct {
	iterations uint16
	salt       string
	optOut     bool
}

// A testKey is a key; sign says what it signs: everything, only the keys, or nothing.
type testKey struct {
	dnstree.Key
	sign string // "all", "keys", "data", "none"
}

var keyCache sync.Map // of *testKey by a name, since RSA keys are slow to make

func newTestKey(t testing.TB, zone string, alg uint8, bits int, flags uint16) *testKey {
	t.Helper()
	k, err := dnstree.NewKey(zone, alg, flags, bits)
	if err != nil {
		t.Fatal(err)
	}
	return &testKey{k, "all"}
}

// defaultKey returns a copy of the nth key of a zone.
func defaultKey(t testing.TB, zone string, n int) *testKey {
	id := fmt.Sprint(zone, n)
	k, ok := keyCache.Load(id)
	if !ok {
		k, _ = keyCache.LoadOrStore(id, newTestKey(t, zone, dns.ECDSAP256SHA256, 256, 257))
	}
	c := *k.(*testKey)
	d := *c.DNSKEY
	c.DNSKEY = &d
	return &c
}

// newTree makes a tree of the root, test., example.test. (with NSEC), hashed.test. (with
// NSEC3), opt.test. (NSEC3 with opt-out) and unsigned.test., all with a few names.
func newTree(t testing.TB) *tree {
	tr := &tree{t: t, zones: map[string]*testZone{}}
	tr.zone(".", "")
	tr.zone("test.", "")
	records := `
@ MX 10 mx
mx A 192.0.2.1
mx AAAA 2001:db8::1
_25._tcp.mx TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000
alias CNAME mx
out CNAME mx.unsigned.test.
*.wild A 192.0.2.7
explicit.wild A 192.0.2.8
deep.ent.below A 192.0.2.9
d DNAME target
www.target A 192.0.2.10
upper MX 10 MX.Example.TEST.
host HINFO "CPU" "Os"
`
	tr.zone("example.test.", records)
	tr.zone("hashed.test.", records).nsec3 = &testNSEC3{iterations: 1, salt: "aabb"}
	tr.zone("opt.test.", records).nsec3 = &testNSEC3{optOut: true}
	tr.zone("unsigned.opt.test.", "@ MX 10 mx\nmx A 192.0.2.20").keys = nil
	u := tr.zone("unsigned.test.", "@ MX 10 mx\nmx A 192.0.2.30\nback CNAME mx.example.test.\n")
	u.keys = nil
	return tr
}

// zone adds a signed zone with the records, whose names are relative to it.
func (tr *tree) zone(apex, records string) *testZone {
	z := &testZone{
		apex: apex, keys: []*testKey{defaultKey(tr.t, apex, 0)},
		from: testTime.Add(-24 * time.Hour), until: testTime.Add(24 * time.Hour),
		sigs: map[string][]dns.RR{},
	}
	tr.zones[apex] = z
	z.add(tr.t, "@ SOA ns admin 1 7200 3600 604800 300\n@ NS ns\nns A 192.0.2.53\n"+records)
	return z
}

func (z *testZone) add(t testing.TB, records string) {
	t.Helper()
	zp := dns.NewZoneParser(strings.NewReader(records+"\n"), z.apex, "")
	zp.SetDefaultTTL(3600)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		z.rrs = append(z.rrs, rr)
	}
	if err := zp.Err(); err != nil {
		t.Fatal(err)
	}
}

// anchors returns the root's keys as anchors.
func (tr *tree) anchors() []anchor.Anchor { return tr.anchorsOf(".") }

func (tr *tree) anchorsOf(apex string) []anchor.Anchor {
	tr.t.Helper()
	var text strings.Builder
	for _, k := range tr.zones[apex].keys {
		text.WriteString(k.ToDS(dns.SHA256).String() + "\n")
	}
	a, err := anchor.Parse(strings.NewReader(text.String()))
	if err != nil {
		tr.t.Fatal(err)
	}
	return a
}

// validator returns one with the tree as its upstream and the root's anchors.
func (tr *tree) validator(edit ...func(*dnssec.ValidatorConfig)) *dnssec.Validator {
	tr.t.Helper()
	cfg := dnssec.ValidatorConfig{Upstream: tr, Anchors: tr.anchors(), Now: func() time.Time { return testTime }}
	for _, e := range edit {
		if e != nil {
			e(&cfg)
		}
	}
	v, err := dnssec.NewValidator(cfg)
	if err != nil {
		tr.t.Fatal(err)
	}
	return v
}

// Exchange implements dnssec.Upstream.
func (tr *tree) Exchange(ctx context.Context, query []byte) (dnssec.Response, error) {
	var q dns.Msg
	if err := q.Unpack(query); err != nil {
		return dnssec.Response{}, fmt.Errorf("%w: %w", dnssec.ErrMalformed, err)
	}
	tr.mu.Lock()
	tr.asked = append(tr.asked, q.Question[0].Name+" "+dns.Type(q.Question[0].Qtype).String())
	tr.raw = append(tr.raw, query)
	edit, hook, delay := tr.edit, tr.hook, tr.delay
	tr.mu.Unlock()
	if delay != nil {
		delay(ctx, q.Question[0])
	}
	if err := ctx.Err(); err != nil {
		return dnssec.Response{}, fmt.Errorf("%w: %w", dnssec.ErrTimeout, err)
	}
	var m *dns.Msg
	if hook != nil {
		h, err := hook(q.Question[0])
		if err != nil {
			return dnssec.Response{}, err
		}
		m = h
	}
	if m == nil {
		m = new(dns.Msg)
		tr.mu.Lock()
		tr.answer(m, dns.CanonicalName(q.Question[0].Name), q.Question[0].Qtype, 0)
		tr.mu.Unlock()
	}
	m.SetRcode(&q, m.Rcode)
	m.RecursionAvailable = true
	if m.IsEdns0() == nil {
		m.SetEdns0(1232, true)
	}
	if edit != nil {
		m = m.Copy()
		edit(q.Question[0], m)
	}
	b, err := m.Pack()
	if err != nil {
		return dnssec.Response{}, fmt.Errorf("%w: %w", dnssec.ErrMalformed, err)
	}
	return dnssec.Response{Message: b, Server: "tree"}, nil
}

// count says how often a question was asked.
func (tr *tree) count(q string) int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	n := 0
	for _, a := range tr.asked {
		if a == q {
			n++
		}
	}
	return n
}

func (tr *tree) find(name string, typ uint16) *testZone {
	var best *testZone
	for _, z := range tr.zones {
		if !dns.IsSubDomain(z.apex, name) || (typ == dns.TypeDS && z.apex == name && name != ".") {
			continue
		}
		if best == nil || dns.CountLabel(z.apex) > dns.CountLabel(best.apex) {
			best = z
		}
	}
	return best
}

// answer writes into m what a recursive resolver says.
func (tr *tree) answer(m *dns.Msg, name string, typ uint16, depth int) {
	z := tr.find(name, typ)
	if depth > 20 {
		return // an alias loop: what there is of it
	}
	if z == nil {
		m.Rcode = dns.RcodeServerFailure
		return
	}
	if d := z.dnameAbove(name); d != nil && name != d.Hdr.Name {
		m.Answer = append(m.Answer, z.signed(tr, d.Hdr.Name, dns.TypeDNAME)...)
		to := strings.TrimSuffix(name, d.Hdr.Name) + d.Target
		m.Answer = append(m.Answer, &dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 3600}, Target: to})
		tr.answer(m, to, typ, depth+1)
		return
	}
	owner := name
	if !z.exists(tr, name) {
		encloser, closer := dnstree.Prover{Exists: func(n string) bool { return z.exists(tr, n) }}.Encloser(name)
		owner = dnstree.Join("*", encloser)
		if !z.exists(tr, owner) {
			m.Rcode = dns.RcodeNameError
			z.deny(tr, m, name)
			return
		}
		if len(z.records(tr, owner, typ)) > 0 || len(z.records(tr, owner, dns.TypeCNAME)) > 0 {
			z.cover(tr, m, name, closer)
		} else {
			z.deny(tr, m, name)
			return
		}
	}
	expand := func(rrs []dns.RR) []dns.RR {
		out := []dns.RR{}
		for _, rr := range rrs {
			rr = dns.Copy(rr)
			if owner != name {
				rr.Header().Name = name
			}
			out = append(out, rr)
		}
		return out
	}
	if len(z.records(tr, owner, typ)) > 0 {
		m.Answer = append(m.Answer, expand(z.signed(tr, owner, typ))...)
		return
	}
	if c := z.records(tr, owner, dns.TypeCNAME); len(c) > 0 {
		m.Answer = append(m.Answer, expand(z.signed(tr, owner, dns.TypeCNAME))...)
		tr.answer(m, dns.CanonicalName(c[0].(*dns.CNAME).Target), typ, depth+1)
		return
	}
	m.Ns = append(m.Ns, z.signed(tr, z.apex, dns.TypeSOA)...)
	z.match(tr, m, name)
}

func (z *testZone) dnameAbove(name string) *dns.DNAME {
	for _, rr := range z.rrs {
		if d, ok := rr.(*dns.DNAME); ok && dns.IsSubDomain(d.Hdr.Name, name) {
			return d
		}
	}
	return nil
}

// records returns an RRset, those that are made up (DNSKEY, DS, NS of a delegation) too.
func (z *testZone) records(tr *tree, name string, typ uint16) []dns.RR {
	var out []dns.RR
	switch {
	case typ == dns.TypeDNSKEY && name == z.apex:
		for _, k := range z.keys {
			out = append(out, k.DNSKEY)
		}
		return out
	case typ == dns.TypeDS && name != z.apex:
		c := tr.zones[name]
		if c == nil {
			return nil
		}
		if c.ds == nil {
			for _, k := range c.keys {
				ds := k.ToDS(dns.SHA256)
				ds.Hdr.Ttl = 3600
				out = append(out, ds)
			}
			return out
		}
		return c.ds
	case typ == dns.TypeNS && name != z.apex && tr.zones[name] != nil:
		return []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 3600}, Ns: "ns." + name}}
	}
	for _, rr := range z.rrs {
		if dns.CanonicalName(rr.Header().Name) == name && rr.Header().Rrtype == typ {
			out = append(out, rr)
		}
	}
	return out
}

// signed returns an RRset with its signatures.
func (z *testZone) signed(tr *tree, name string, typ uint16) []dns.RR {
	set := z.records(tr, name, typ)
	return append(slices.Clone(set), z.sign(tr, set)...)
}

func (z *testZone) sign(tr *tree, set []dns.RR) []dns.RR {
	if len(set) == 0 {
		return nil
	}
	h := set[0].Header()
	id := fmt.Sprint(h.Name, h.Rrtype)
	if s, ok := z.sigs[id]; ok {
		return s
	}
	var out []dns.RR
	for _, k := range z.keys {
		isKeys := h.Rrtype == dns.TypeDNSKEY
		if k.sign == "none" || (k.sign == "keys" && !isKeys) || (k.sign == "data" && isKeys) {
			continue
		}
		out = append(out, signSet(tr.t, k, z.apex, set, z.from, z.until))
	}
	z.sigs[id] = out
	return out
}

func signSet(t testing.TB, k *testKey, signer string, set []dns.RR, from, until time.Time) *dns.RRSIG {
	s, err := k.Sign(signer, set, from, until)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// get resolves "name TYPE" with a fresh validator and returns what brief prints.
func (tr *tree) get(q string, edit ...func(*dnssec.ValidatorConfig)) (dnssec.Answer, error) {
	tr.t.Helper()
	return resolve(tr.t, tr.validator(edit...), q)
}

func resolve(t testing.TB, r dnssec.Resolver, q string) (dnssec.Answer, error) {
	t.Helper()
	n, typ, _ := strings.Cut(q, " ")
	code, ok := dns.StringToType[typ]
	if !ok {
		t.Fatalf("type %q", typ)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return r.Resolve(ctx, question(t, n, dnssec.Type(code)))
}

// outcome prints an answer in the words that the tests compare: "secure data",
// "insecure nodata opt-out", "bogus signature-missing".
func outcome(a dnssec.Answer, err error) string {
	if err != nil {
		return strings.TrimSpace(fmt.Sprintf("%s %s", a.Status, a.Reason.Code))
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", a.Status, a.Kind, a.Reason.Code))
}

// want compares the outcome of a question.
func (tr *tree) want(q, want string, edit ...func(*dnssec.ValidatorConfig)) {
	tr.t.Helper()
	a, err := tr.get(q, edit...)
	if got := outcome(a, err); got != want {
		tr.t.Errorf("%s: got %s, want %s (%v; %s)", q, got, want, err, a.Reason)
	}
}

// on lets edit alter the responses to one question.
func (tr *tree) on(q string, edit func(m *dns.Msg)) {
	n, typ, _ := strings.Cut(q, " ")
	code := dns.StringToType[typ]
	prev := tr.edit
	tr.edit = func(asked dns.Question, m *dns.Msg) {
		if prev != nil {
			prev(asked, m)
		}
		if strings.EqualFold(asked.Name, n) && asked.Qtype == code {
			edit(m)
		}
	}
}

// drop removes the records that fit.
func drop(rrs []dns.RR, fits func(dns.RR) bool) []dns.RR {
	return slices.DeleteFunc(slices.Clone(rrs), fits)
}

func isType(typ uint16) func(dns.RR) bool {
	return func(rr dns.RR) bool { return rr.Header().Rrtype == typ }
}

func covers(typ uint16) func(dns.RR) bool {
	return func(rr dns.RR) bool { s, ok := rr.(*dns.RRSIG); return ok && s.TypeCovered == typ }
}

// algorithms adds RSA with SHA-1.
func withSHA1(c *dnssec.ValidatorConfig) {
	c.Algorithms = proof.DefaultAlgorithms()
	for n, a := range proof.SHA1Algorithms() {
		c.Algorithms[n] = a
	}
}
