// Package hostile is a DNS name space that is signed while it is asked, with domains that
// cost as much to look up as their owner can arrange:
//
//	w := hostile.New(t, hostile.Domain{Name: "trap.test", Hosts: 64, Depth: 8, Trap: true})
//	resolver := w.Serve(t)
//
// A domain has as many mail hosts as it says, each below zones of its own:
// mx.z1.z0.h7.trap.test is the eighth host of a domain of depth 2. The domain, and each
// name that begins with a z, is the apex of a signed zone; every name exists. Domains
// without any vice are honest, and have a TLSA record for each host.
//
// Only tests import it.
package hostile

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/internal/dnstree"
)

// A Domain is one domain of a [World]. Its vices are those of the zones of its hosts; its
// own zone is honest, unless it says otherwise.
type Domain struct {
	Name  string // without a dot at its end, one label below test
	Hosts int
	Depth int     // zones between the domain and each of its hosts
	Keys  KeyKind // of the zones of the hosts

	// Vices, of as many hosts as Bad says, the first ones; of all if it is 0.
	Bad     int
	Trap    bool // 63 junk keys of 1 KB and 990 junk DS records of one tag in each zone
	TrapAll bool // the domain's own zone has them too
	TLSA    int  // records at each host, in place of one
	Fat     bool // signatures that name zones above, whose DNSKEY and DS answers have 64 KB
	Silent  bool // nothing is said of the hosts and what lies above them

	apex string
	key  *key
}

// A World answers for the root, test. and its domains.
type World struct {
	tb      testing.TB
	key     *key // of the root and of test.
	domains map[string]*Domain
	junk    map[uint16][][]byte // RDATA of the junk DNSKEY and DS records of a trap
	ballast [][]byte            // records that fill a message

	mu      sync.Mutex                     // guards all below
	answers map[dns.Question]func() []byte // each makes its answer once
	asked   map[dns.Question]int
}

// New makes a world of the domains.
func New(tb testing.TB, domains ...Domain) *World {
	tb.Helper()
	w := &World{tb: tb, key: newKey(tb, ECDSA), domains: map[string]*Domain{},
		answers: map[dns.Question]func() []byte{}, asked: map[dns.Question]int{}}
	for _, d := range domains {
		if !strings.HasSuffix(d.Name, ".test") || strings.Count(d.Name, ".") != 1 {
			tb.Fatalf("%q is not one label below test", d.Name)
		}
		d.apex = d.Name + "."
		if d.key = w.key; d.Keys != ECDSA {
			d.key = newKey(tb, d.Keys)
		}
		w.domains[d.apex] = &d
	}
	w.junk = trap(w.key)
	w.ballast = ballast()
	return w
}

// Anchor is the trust anchor of the world, a DS record in text.
func (w *World) Anchor() string { return w.key.at(".").ToDS(dns.SHA256).String() + "\n" }

// Anchors is [World.Anchor], read.
func (w *World) Anchors() []anchor.Anchor {
	a, err := anchor.Parse(strings.NewReader(w.Anchor()))
	if err != nil {
		w.tb.Fatal(err)
	}
	return a
}

// Questions counts the questions that have come, and how many differ.
func (w *World) Questions() (all, different int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.asked {
		all += n
	}
	return all, len(w.asked)
}

// Forget makes [World.Questions] begin again. What was signed is kept.
func (w *World) Forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.asked)
}

// Exchange implements [dnssec.Upstream].
func (w *World) Exchange(ctx context.Context, query []byte) (dnssec.Response, error) {
	var m dns.Msg
	if err := m.Unpack(query); err != nil || len(m.Question) != 1 {
		return dnssec.Response{}, fmt.Errorf("%w: no question", dnssec.ErrMalformed)
	}
	b := w.reply(&m)
	if b == nil {
		<-ctx.Done()
		return dnssec.Response{}, fmt.Errorf("%w: %w", dnssec.ErrTimeout, context.Cause(ctx))
	}
	return dnssec.Response{Message: b, Server: "hostile"}, nil
}

// Serve answers over UDP and TCP until the test ends, and returns the address. What is
// longer than 1232 octets is truncated over UDP.
func (w *World) Serve(tb testing.TB) string {
	srv := dnsfake.Start(tb, func(r *dnsfake.Request) {
		b := w.reply(r.Msg)
		switch {
		case b == nil:
		case r.Network == "udp" && len(b) > 1232:
			m := new(dns.Msg).SetReply(r.Msg)
			m.Truncated, m.RecursionAvailable = true, true
			m.SetEdns0(1232, true)
			r.Reply(m)
		default:
			r.ReplyRaw(b)
		}
	})
	return srv.Addr.String()
}

// reply returns the packed answer to m; nil for silence.
func (w *World) reply(m *dns.Msg) []byte {
	q := m.Question[0]
	q.Name = strings.ToLower(q.Name)
	w.mu.Lock()
	w.asked[q]++
	get := w.answers[q]
	if get == nil {
		get = sync.OnceValue(func() []byte { return w.pack(q) })
		w.answers[q] = get
	}
	w.mu.Unlock()
	b := get()
	if b == nil {
		return nil
	}
	out := append([]byte(nil), b...)
	out[0], out[1] = byte(m.Id>>8), byte(m.Id)
	return out
}

// pack makes the answer to a question. The many records of traps and of large answers are
// appended as octets: to make them one by one takes longer than to check them.
func (w *World) pack(q dns.Question) []byte {
	m, more := w.answer(q)
	if m == nil {
		return nil
	}
	b, err := m.Pack()
	for _, data := range more {
		b = append(b, data...)
	}
	const opt = "\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00" // 1232 octets, DO
	b = append(b, opt...)
	if err != nil || len(b) > dns.MaxMsgSize {
		w.tb.Errorf("%s: %d octets: %v", q.String(), len(b), err)
		return nil
	}
	binary.BigEndian.PutUint16(b[6:], uint16(len(m.Answer)+len(more)))
	binary.BigEndian.PutUint16(b[10:], 1)
	return b
}

// domainOf returns the domain that the name is in, nil for none. bad says that it is one of
// the hosts that have its vices, or in their zones.
func (w *World) domainOf(name string) (d *Domain, bad bool) {
	l := dns.SplitDomainName(name)
	if len(l) < 2 {
		return nil, false
	}
	d = w.domains[strings.Join(l[len(l)-2:], ".")+"."]
	if d == nil || len(l) <= 3 {
		return d, false
	}
	host, err := strconv.Atoi(strings.TrimPrefix(l[len(l)-3], "h"))
	return d, err == nil && (d.Bad == 0 || host < d.Bad)
}

func (w *World) isApex(name string) bool {
	return name == "." || name == "test." || w.domains[name] != nil || strings.HasPrefix(name, "z")
}

// zoneOf returns the zone that holds the type at the name.
func (w *World) zoneOf(name string, typ uint16) string {
	if typ == dns.TypeDS && name != "." {
		name = parent(name)
	}
	for !w.isApex(name) {
		name = parent(name)
	}
	return name
}

func parent(name string) string {
	i, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[i:]
}

// keyOf returns the key of a zone.
func (w *World) keyOf(zone string) *key {
	if d, _ := w.domainOf(zone); d != nil && zone != d.apex {
		return d.key
	}
	return w.key
}

// trapped reports whether the zone is a trap.
func (w *World) trapped(zone string) bool {
	d, bad := w.domainOf(zone)
	return d != nil && (d.TrapAll || d.Trap && bad)
}

// host names a host of d.
func (d *Domain) host(i int) string {
	var b strings.Builder
	b.WriteString("mx.")
	for z := d.Depth - 1; z >= 0; z-- {
		b.WriteString("z" + strconv.Itoa(z) + ".")
	}
	return b.String() + "h" + strconv.Itoa(i) + "." + d.apex
}

// answer makes the answer to a question, and the records that follow it as octets; nil is
// silence.
func (w *World) answer(q dns.Question) (m *dns.Msg, more [][]byte) {
	m = new(dns.Msg)
	m.SetQuestion(q.Name, q.Qtype)
	m.Response, m.RecursionAvailable, m.Compress = true, true, true
	zone := w.zoneOf(q.Name, q.Qtype)
	d, bad := w.domainOf(q.Name)
	if bad && d.Silent {
		return nil, nil
	}
	set := w.records(q, d, bad)
	switch {
	case len(set) == 0:
		n := &dns.NSEC{Hdr: header(q.Name, dns.TypeNSEC), NextDomain: "\\000." + q.Name, TypeBitMap: []uint16{dns.TypeRRSIG, dns.TypeNSEC}}
		m.Ns = []dns.RR{n, w.sign([]dns.RR{n}, zone)}
		return m, nil
	case w.trapped(q.Name) && w.isApex(q.Name) && w.junk[q.Qtype] != nil:
		s, junk := w.signTrap(set[0], w.junk[q.Qtype], zone)
		m.Answer = append(set, s)
		return m, junk
	}
	m.Answer = append(set, w.sign(set, zone))
	if bad && d.Fat {
		switch q.Qtype {
		case dns.TypeA, dns.TypeAAAA:
			m.Answer = append(m.Answer, w.signers(q, d)...)
		case dns.TypeDNSKEY, dns.TypeDS:
			more = w.ballast
		}
	}
	return m, more
}

// records are those that the question asks for.
func (w *World) records(q dns.Question, d *Domain, bad bool) (set []dns.RR) {
	switch {
	case q.Qtype == dns.TypeDNSKEY && w.isApex(q.Name):
		set = []dns.RR{w.keyOf(q.Name).at(q.Name)}
	case q.Qtype == dns.TypeDS && w.isApex(q.Name) && q.Name != ".":
		ds := w.keyOf(q.Name).at(q.Name).ToDS(dns.SHA384)
		ds.Hdr = header(q.Name, dns.TypeDS)
		set = []dns.RR{ds}
	case d == nil:
	case q.Qtype == dns.TypeMX && q.Name == d.apex:
		for i := range d.Hosts {
			set = append(set, &dns.MX{Hdr: header(q.Name, q.Qtype), Preference: uint16(i), Mx: d.host(i)})
		}
	case q.Qtype == dns.TypeA && strings.HasPrefix(q.Name, "mx."):
		set = []dns.RR{&dns.A{Hdr: header(q.Name, q.Qtype), A: net.IPv4(127, 98, 0, 1)}}
	case q.Qtype == dns.TypeTLSA && strings.HasPrefix(q.Name, "_25._tcp.mx."):
		n := 1
		if bad {
			n = max(d.TLSA, 1)
		}
		for i := range n {
			set = append(set, &dns.TLSA{Hdr: header(q.Name, q.Qtype), Usage: 3, Selector: 1, MatchingType: 1, Certificate: fmt.Sprintf("%064x", i)})
		}
	}
	return set
}

// signers are signatures that name the zones above as signers, so that their keys are
// asked for before they are needed.
func (w *World) signers(q dns.Question, d *Domain) (out []dns.RR) {
	n := 0
	for zone := q.Name; zone != d.apex && n < 4; zone = parent(zone) {
		if strings.HasPrefix(zone, "z") {
			s := w.sign([]dns.RR{&dns.TXT{Hdr: header(q.Name, dns.TypeTXT), Txt: []string{"x"}}}, zone)
			s.TypeCovered = uint16(1000 + n)
			out = append(out, s)
			n++
		}
	}
	return out
}

func (w *World) sign(set []dns.RR, zone string) *dns.RRSIG {
	k := w.keyOf(zone)
	s, err := k.Sign(zone, set, time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour))
	if err != nil {
		w.tb.Error(err)
	}
	return s
}

func header(name string, typ uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: typ, Class: dns.ClassINET, Ttl: 3600}
}

// A key signs zones.
type key struct{ dnstree.Key }

// at returns a copy of the key that is at the apex of a zone.
func (k *key) at(zone string) *dns.DNSKEY {
	return k.With(func(rr *dns.DNSKEY) { rr.Hdr.Name = zone }).DNSKEY
}
