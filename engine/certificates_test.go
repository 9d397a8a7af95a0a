package engine_test

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/internal/certtest"
	mxpkix "github.com/mxauth/mxauth/pkix"
)

// sends is a peer of another TLS library, which hands over what was sent.
func sends(chain ...[]byte) engine.Peer {
	return engine.Peer{Event: engine.HandshakeDone, TLS: "TLS 1.3", Raw: chain}
}

// aroundEpoch gives a certificate the dates of this package's tests.
func aroundEpoch(c *certtest.Certificate) {
	c.NotBefore, c.NotAfter = certtest.TLV(certtest.UTCTime, []byte("990101000000Z")), certtest.TLV(certtest.UTCTime, []byte("010101000000Z"))
}

func recordOf(usage, selector int, der []byte) string {
	return fmt.Sprintf("%d %d 1 %x", usage, selector, sha256.Sum256(der))
}

// TestRawPeer: any certificate that a TLS library takes is judged.
func TestRawPeer(t *testing.T) {
	ca := certtest.NewCA(aroundEpoch)
	for _, k := range certtest.Kinds() {
		t.Run("DANE7671-5.1-02 "+k.Name, func(t *testing.T) {
			der := k.Leaf(ca, "mx.example.org", certtest.NewKey())
			for selector, data := range [][]byte{der, mxpkix.Read(der).SPKI()} {
				w := newWorld(t).signed().tlsa(recordOf(3, selector, data))
				d := w.decide(engine.Request{}, sends(der))
				want := engine.Authenticated
				if k.Weak {
					want = engine.Refused
				}
				if d.Outcome != want || d.Deliver == k.Weak {
					t.Errorf("3 %d 1: %s: %s", selector, d.Outcome, explain.Text(d.Reason))
				}
				if k.Weak && !strings.Contains(explain.Text(d.Reason), "an RSA key of 512 bits, fewer than 1023") {
					t.Error(explain.Text(d.Reason))
				}
			}
			// Somebody else's record.
			if d := newWorld(t).signed().tlsa(noMatch).decide(engine.Request{}, sends(der, ca.DER)); d.Deliver {
				t.Errorf("%s: %s", d.Outcome, explain.Text(d.Reason))
			}
			// Where nothing is demanded.
			if d := newWorld(t).signed().decide(engine.Request{}, sends(der, ca.DER)); d.Outcome != engine.Encrypted {
				t.Errorf("%s: %s", d.Outcome, explain.Text(d.Reason))
			}
			// By the CA and by MTA-STS, which need a path.
			k.Change = then(aroundEpoch, k.Change)
			der = k.Leaf(ca, "mx.example.org", certtest.NewKey())
			proves := !k.NoPath && !k.NoName
			if d := newWorld(t).signed().tlsa(recordOf(2, 0, ca.DER)).decide(engine.Request{}, sends(der, ca.DER)); (d.Outcome == engine.Authenticated) != proves {
				t.Errorf("2 0 1: %s: %s", d.Outcome, explain.Text(d.Reason))
			}
			w := newWorld(t).unsigned().policy("enforce", "mx.example.org")
			root, err := x509.ParseCertificate(ca.DER)
			if err != nil {
				t.Fatal(err)
			}
			w.cfg.Roots = mxpkix.NewRoots(root)
			if d := w.decide(engine.Request{}, sends(der, ca.DER)); (d.Outcome == engine.Authenticated) != proves {
				t.Errorf("sts: %s: %s", d.Outcome, explain.Text(d.Reason))
			}
		})
	}
	t.Run("raw and parsed are judged alike", func(t *testing.T) {
		for name, plan := range plans {
			w, r, peer := plan(t)
			raw := peer
			raw.Chain, raw.Raw = nil, nil
			for _, c := range peer.Chain {
				raw.Raw = append(raw.Raw, c.Raw)
			}
			a, b := w.decide(r, peer), w.decide(r, raw)
			if a.Outcome != b.Outcome || a.Method != b.Method || explain.Reason(a.Reason) != explain.Reason(b.Reason) || !slices.Equal(a.Presented, b.Presented) {
				t.Errorf("%s: %s %q, raw %s %q", name, a.Outcome, explain.Text(a.Reason), b.Outcome, explain.Text(b.Reason))
			}
		}
	})
	t.Run("no certificate", func(t *testing.T) {
		for name, chain := range map[string][][]byte{"junk": {[]byte("junk")}, "empty": {nil}, "1 MB": {make([]byte, 1<<20)}} {
			d := newWorld(t).signed().tlsa(noMatch).decide(engine.Request{}, sends(chain...))
			if d.Deliver || !strings.Contains(explain.Text(d.Reason), "could not be compared") {
				t.Errorf("%s: %s: %s", name, d.Outcome, explain.Text(d.Reason))
			}
		}
	})
}

func then(f, g func(*certtest.Certificate)) func(*certtest.Certificate) {
	return func(c *certtest.Certificate) { f(c); g(c) }
}

// TestHostileCertificates: what one handshake with a hostile host costs, apart from its TLS.
func TestHostileCertificates(t *testing.T) {
	const bits, demanded, nothing = 8192, 50 * time.Millisecond, 10 * time.Millisecond
	issuer := certtest.Name(3, certtest.UTF8String, "ca")
	junk := func(c *certtest.Certificate, spki []byte) []byte {
		aroundEpoch(c)
		c.Issuer, c.Algorithm, c.SPKI = issuer, certtest.SHA256WithRSA, spki
		sig := make([]byte, bits/8)
		rand.Read(sig)
		sig[0] = 0
		return c.WithSignature(c.TBS(), sig)
	}
	n := make([]byte, bits/8)
	issuers := func(leaf []byte) [][]byte {
		chain := [][]byte{leaf}
		for range 105 {
			rand.Read(n)
			n[0] |= 0x80
			n[len(n)-1] |= 1
			c := certtest.New("ca", nil)
			c.Subject = issuer
			c.Extensions = [][]byte{certtest.Extension(certtest.Critical, certtest.TLV(0x30, certtest.TLV(1, certtest.Critical)), 2, 5, 29, 19)}
			chain = append(chain, junk(c, (&certtest.RSAKey{N: new(big.Int).SetBytes(n), E: big.NewInt(1<<31 - 1)}).SPKI(true)))
		}
		return chain
	}
	var many [][]byte
	for i := range 10_000 {
		many = append(many, certtest.DNSName(fmt.Sprintf("h%d.example.org", i)))
	}
	named := certtest.New("mx.example.org", nil)
	flood := certtest.New("mx.example.org", nil)
	flood.Extensions = [][]byte{certtest.SAN(append(many, certtest.DNSName("mx.example.org"))...)}
	key := certtest.NewKey().SPKI
	for name, chain := range map[string][][]byte{
		"105 issuers":  issuers(junk(named, key)),
		"10,000 names": {junk(flood, key)},
	} {
		var x []*x509.Certificate
		for _, der := range chain {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			x = append(x, c)
		}
		parsed := sends()
		parsed.Chain = x
		ta := newWorld(t).signed()
		for i := range min(len(chain)-1, 9) {
			ta.tlsa(recordOf(2, 0, chain[i+1]))
		}
		ta.tlsa(recordOf(2, 0, chain[0]))
		for _, c := range []struct {
			name string
			w    *world
			r    engine.Request
			most time.Duration
		}{
			{"nothing demanded", newWorld(t).signed(), engine.Request{}, nothing},
			{"testing", newWorld(t).unsigned().policy("testing", "mx.example.org"), engine.Request{}, nothing},
			{"2 0 1", ta, engine.Request{}, demanded},
			{"enforce", newWorld(t).unsigned().policy("enforce", "mx.example.org"), engine.Request{}, demanded},
			{"both", ta.policy("enforce", "mx.example.org"), engine.Request{Options: engine.Options{DANEAndSTS: engine.Both}}, demanded},
		} {
			t.Run(name+", "+c.name, func(t *testing.T) {
				plan := c.w.plan(c.r)
				handshake := time.Duration(1 << 62)
				for range 5 { // the machine does other things as well
					if handshake <= c.most {
						break
					}
					before := cpu()
					a := c.w.engine().Attempt(plan, 0, netip.AddrPort{})
					// What crypto/tls calls at the end of a handshake, and then the caller.
					_ = a.TLSConfig().VerifyConnection(tls.ConnectionState{HandshakeComplete: true, Version: tls.VersionTLS13, PeerCertificates: x})
					d := c.w.engine().Decide(plan, 0, parsed, c.w.now)
					handshake = min(handshake, cpu()-before)
					if d.Outcome == engine.Authenticated || d.Deliver != (plan.Hosts[0].Requirement == engine.May) {
						t.Fatalf("%s: %s", d.Outcome, explain.Text(d.Reason))
					}
				}
				if t.Logf("%s of CPU", handshake); handshake > c.most && !certtest.Race {
					t.Errorf("%s of CPU, more than %s", handshake, c.most)
				}
			})
		}
	}
}

// cpu is the time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestUnreadableRoots: a delivery that needs the roots is refused, with the cause.
func TestUnreadableRoots(t *testing.T) {
	w, r, good := plans["sts"](t)
	p := w.plan(r)
	w.cfg.Roots, w.eng = nil, nil
	if d := w.engine().Decide(p, 0, good, w.now); d.Outcome != engine.Refused || !strings.Contains(explain.Text(d.Reason), "(") {
		t.Errorf("%s", explain.Text(d.Reason))
	}
}
