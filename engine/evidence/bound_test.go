package evidence_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// largeUpstream answers each question with a message of that many octets, in one buffer.
type largeUpstream []byte

// Exchange implements [dnssec.Upstream].
func (u largeUpstream) Exchange(context.Context, []byte) (dnssec.Response, error) {
	return dnssec.Response{Message: u, Server: "192.0.2.53:53"}, nil
}

// record asks so many questions through a recorder.
func record(t *testing.T, rec *evidence.Recorder, questions, octets int) {
	t.Helper()
	up := rec.Upstream(make(largeUpstream, octets))
	for i := range questions {
		n, err := rfc6125.ParseName(fmt.Sprintf("n%d.example.org", i))
		if err != nil {
			t.Fatal(err)
		}
		q := wire.Query{Name: n, Type: uint16(dnssec.TypeTLSA), CD: true, DO: true}
		if _, err := up.Exchange(t.Context(), q.Append(nil)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRecorderIsBounded: what is recorded of the worst domain can be read and replayed, and
// says what it lacks.
func TestRecorderIsBounded(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name              string
		questions, octets int
		hosts, chain      int // octets of each chain
		whole             bool
	}{
		{name: "an ordinary check", questions: 200, octets: 1500, hosts: 20, chain: 6000, whole: true},
		{name: "large answers", questions: 400, octets: 60_000, hosts: 64, chain: 6000},
		{name: "many answers", questions: 20_000, octets: 500, hosts: 2, chain: 6000},
		{name: "large chains", questions: 200, octets: 1500, hosts: 64, chain: 240_000},
		{name: "all of it", questions: 6000, octets: 65_535, hosts: 64, chain: 240_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec := &evidence.Recorder{}
			held := peakHeap(func() { record(t, rec, c.questions, c.octets) })
			if held > 48<<20 { // what the collector has not taken yet counts
				t.Errorf("the recorder takes %d MiB", held>>20)
			}
			plan := &engine.Plan{Request: engine.Request{NextHop: "example.org"}, Made: now}
			var hosts []probe.HostResult
			chain := []*x509.Certificate{{Raw: make([]byte, c.chain)}}
			for i := range c.hosts {
				name, err := rfc6125.ParseHost(fmt.Sprintf("mx%d.example.org", i))
				if err != nil {
					t.Fatal(err)
				}
				plan.Hosts = append(plan.Hosts, engine.Host{Name: name})
				var r probe.HostResult
				for n := range 8 {
					a := netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})
					r.Addresses = append(r.Addresses, probe.AddressResult{Address: a, Peer: engine.Peer{Event: engine.HandshakeDone, Address: netip.AddrPortFrom(a, 25), Chain: chain}})
				}
				hosts = append(hosts, r)
			}
			f := rec.File(t.Context(), time.Now(), evidence.Setup{Mode: evidence.ModeValidate}, plan, hosts, engine.Summary{})
			if (f.LeftOut == nil) != c.whole {
				t.Fatalf("left out: %+v", f.LeftOut)
			}
			var b bytes.Buffer
			if err := f.Write(&b); err != nil {
				t.Fatal(err)
			}
			if b.Len() > evidence.MaxFile {
				t.Fatalf("a file of %d bytes", b.Len())
			}
			t.Logf("%d bytes, left out: %+v", b.Len(), f.LeftOut)
			text := bytes.Clone(b.Bytes())
			b = bytes.Buffer{}
			var err error
			peak := peakHeap(func() {
				var g *evidence.File
				if g, err = evidence.Read(bytes.NewReader(text)); err != nil {
					return
				}
				if len(g.DNS) < min(c.questions, 1000) {
					t.Errorf("%d messages", len(g.DNS))
				}
				var r *evidence.Replayed
				if r, err = g.Replay(t.Context(), evidence.ReplayConfig{Roots: pkix.NewRoots()}); err == nil && has(r.Rests, reason.RestsLeftOut) == c.whole {
					t.Errorf("rests: %+v", r.Rests)
				}
			})
			if err != nil || peak > 96<<20 {
				t.Errorf("reading it takes %d MiB, %v", peak>>20, err)
			}
		})
	}
}
