package engine_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/internal/nametest"
	mxpkix "github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// epoch is when the tests of this package take place: the time at which the clock of
// testing/synctest starts, and at which dnsfake receives its answers.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// A certSpec describes a certificate.
type certSpec struct {
	cn       string
	names    []string
	ca       bool
	from, to time.Time      // zero: a year around epoch
	issuer   *certtest.Pair // nil: self-signed
}

func issue(t testing.TB, s certSpec) *certtest.Pair {
	t.Helper()
	if s.from.IsZero() {
		s.from = epoch.AddDate(-1, 0, 0)
	}
	if s.to.IsZero() {
		s.to = epoch.AddDate(1, 0, 0)
	}
	tmpl := &x509.Certificate{
		Subject: pkix.Name{CommonName: s.cn}, DNSNames: s.names,
		NotBefore: s.from, NotAfter: s.to, BasicConstraintsValid: true, IsCA: s.ca,
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if s.ca {
		tmpl.KeyUsage = x509.KeyUsageCertSign
	} else {
		tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	return certtest.Issue(tmpl, s.issuer)
}

// pki are the certificates that the tests share: two CAs, of which one is trusted,
// and what they issued. They are made once; making keys is slow.
type pki struct {
	ca, other                          *certtest.Pair
	good, wrong, expired, early, alien *certtest.Pair // for mx.example.org and others
	self, onlyCN                       *certtest.Pair
	roots                              *mxpkix.Roots
}

var sharedPKI = sync.OnceValue(func() *pki {
	t := &testing.T{}
	p := &pki{}
	p.ca = issue(t, certSpec{cn: "Test CA", ca: true})
	p.other = issue(t, certSpec{cn: "Other CA", ca: true})
	p.good = issue(t, certSpec{cn: "mx.example.org", names: []string{"mx.example.org", "mx2.example.org"}, issuer: p.ca})
	p.wrong = issue(t, certSpec{cn: "elsewhere.example", names: []string{"elsewhere.example"}, issuer: p.ca})
	p.expired = issue(t, certSpec{cn: "mx.example.org", names: []string{"mx.example.org"}, from: epoch.AddDate(-1, 0, 0), to: epoch.AddDate(0, -1, 0), issuer: p.ca})
	p.early = issue(t, certSpec{cn: "mx.example.org", names: []string{"mx.example.org"}, from: epoch.AddDate(0, 1, 0), to: epoch.AddDate(1, 0, 0), issuer: p.ca})
	p.alien = issue(t, certSpec{cn: "mx.example.org", names: []string{"mx.example.org"}, issuer: p.other})
	p.self = issue(t, certSpec{cn: "anything.example", names: []string{"anything.example"}})
	p.onlyCN = issue(t, certSpec{cn: "mx.example.org", issuer: p.ca})
	p.roots = mxpkix.NewRoots(p.ca.Cert)
	return p
})

// tlsaOf is the RDATA of a TLSA record with a SHA-256 digest.
func tlsaOf(usage, selector int, c *x509.Certificate) string {
	data := c.Raw
	if selector == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	sum := sha256.Sum256(data)
	return fmt.Sprintf("%d %d 1 %s", usage, selector, hex.EncodeToString(sum[:]))
}

// noMatch is a TLSA record that matches nothing.
const noMatch = "3 1 1 0000000000000000000000000000000000000000000000000000000000000000"

// fakeSTS answers for MTA-STS from a map.
type fakeSTS struct {
	mu      sync.Mutex
	results map[string]sts.Result
	asked   []string
	hold    chan struct{} // not nil: Lookup waits for it, or returns pending
}

func (f *fakeSTS) Lookup(ctx context.Context, d rfc6125.Host) sts.Result {
	f.mu.Lock()
	f.asked = append(f.asked, d.String())
	r, ok := f.results[d.String()]
	hold := f.hold
	f.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			if r.Policy != nil && r.Cached {
				r.Pending = true
				return r
			}
			// The engine makes row S12 of what was left, whatever it says of itself.
			return sts.Result{Domain: d, Row: sts.S2, Pending: true, TXTErr: ctx.Err()}
		}
	}
	if !ok {
		return sts.Result{Domain: d, Row: sts.S1, TXTErr: sts.ErrNoRecord, Until: epoch.Add(10 * time.Minute)}
	}
	return r
}

func (f *fakeSTS) Cached(ctx context.Context, d rfc6125.Host) (sts.Result, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.results[d.String()]
	return r, ok && r.Policy != nil
}

// policy makes the result of a policy that was fetched.
func policy(t testing.TB, domain, mode string, mx ...string) sts.Result {
	t.Helper()
	body := "version: STSv1\nmode: " + mode + "\nmax_age: 86400\n"
	for _, m := range mx {
		body += "mx: " + m + "\n"
	}
	p, err := sts.ParsePolicy([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return sts.Result{
		Domain: host(t, domain), Row: sts.S3, Policy: &p, ID: "1", Record: sts.Record{ID: "1"},
		Fetched: epoch, Expires: epoch.Add(24 * time.Hour), Until: epoch.Add(time.Hour),
	}
}

// A world is a fake Internet with an engine in it.
type world struct {
	*pki
	t   testing.TB
	dns *dnsfake.Resolver
	sts *fakeSTS
	cfg engine.Config
	now time.Time
	eng *engine.Engine
}

// newWorld has example.org, signed, with mx.example.org as its MX host.
func newWorld(t testing.TB) *world {
	w := &world{pki: sharedPKI(), t: t, dns: dnsfake.New(), sts: &fakeSTS{results: map[string]sts.Result{}}, now: epoch}
	w.dns.Zone("org", dnssec.Secure)
	w.dns.Zone("plain.example", dnssec.Insecure)
	w.cfg = engine.Config{
		Resolver: w.dns, STS: w.sts, Roots: w.roots,
		Now: func() time.Time { return w.now },
	}
	return w
}

// signed adds example.org and its host in a signed zone.
func (w *world) signed() *world {
	w.dns.Add("example.org. 3600 IN MX 10 mx.example.org.", "mx.example.org. 3600 IN A 192.0.2.1")
	return w
}

// unsigned adds the same with an MX that is not signed.
func (w *world) unsigned() *world {
	w.dns.AddAs(dnssec.Insecure, "example.org. 3600 IN MX 10 mx.example.org.")
	w.dns.Add("mx.example.org. 3600 IN A 192.0.2.1")
	return w
}

// tlsa adds a TLSA record for mx.example.org, or for the host of the owner name.
func (w *world) tlsa(rdata string) *world {
	w.dns.Add("_25._tcp.mx.example.org. 3600 IN TLSA " + rdata)
	return w
}

// policy gives example.org an MTA-STS policy.
func (w *world) policy(mode string, mx ...string) *world {
	w.sts.results["example.org"] = policy(w.t, "example.org", mode, mx...)
	return w
}

func (w *world) engine() *engine.Engine {
	w.t.Helper()
	if w.eng == nil {
		e, err := engine.New(w.cfg)
		if err != nil {
			w.t.Fatal(err)
		}
		w.eng = e
	}
	return w.eng
}

func (w *world) plan(r engine.Request) *engine.Plan {
	w.t.Helper()
	if r.NextHop == "" {
		r.NextHop = "example.org"
	}
	p, err := w.engine().Plan(context.Background(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// decide plans and judges the first host.
func (w *world) decide(r engine.Request, peer engine.Peer) engine.Decision {
	w.t.Helper()
	return w.engine().Decide(w.plan(r), 0, peer, w.now)
}

// shows is a peer that presented a certificate and its issuers.
func shows(pairs ...*certtest.Pair) engine.Peer {
	p := engine.Peer{Event: engine.HandshakeDone, TLS: "TLS 1.3"}
	for _, k := range pairs {
		p.Chain = append(p.Chain, k.Cert)
	}
	return p
}

var host = nametest.Host

// names of the hosts of a plan.
func hostNames(p *engine.Plan) string {
	var all []string
	for _, h := range p.Hosts {
		all = append(all, h.Name.String())
	}
	return strings.Join(all, " ")
}

// asked reports whether the question was asked.
func (w *world) asked(name string, t dnssec.Type) bool {
	for _, q := range w.dns.Asked() {
		if q.Type == t && q.Name.String() == name {
			return true
		}
	}
	return false
}
