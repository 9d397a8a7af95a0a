package dnssec_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/dnstree"
)

// heapInUse is what is in use once nothing is left to collect.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A padded upstream adds so many unrelated records to each DNSKEY answer.
type padded struct {
	*tree
	records int
}

func (p padded) Exchange(ctx context.Context, query []byte) (dnssec.Response, error) {
	r, err := p.tree.Exchange(ctx, query)
	if err != nil {
		return r, err
	}
	var m dns.Msg
	if err := m.Unpack(r.Message); err != nil {
		return r, err
	}
	if m.Question[0].Qtype != dns.TypeDNSKEY {
		return r, nil
	}
	for i := range p.records {
		m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: "x.", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{fmt.Sprintf("%0250d", i)}})
	}
	m.Compress = true
	r.Message, err = m.Pack()
	return r, err
}

// TestKeptZones: what a validator remembers of a zone is its keys, not the message that
// they came in.
func TestKeptZones(t *testing.T) {
	const zones = 40
	measure := func(t *testing.T, records, junk int, edit ...func(*dnssec.ValidatorConfig)) (perZone int64, kept int) {
		tr := newTree(t)
		for i := range zones {
			z := tr.zone(fmt.Sprintf("z%d.test.", i), "mx A 192.0.2.1")
			for j := range junk {
				k := *z.keys[0].DNSKEY
				k.Flags, k.Algorithm = 256, dns.RSASHA256
				k.PublicKey = base64.StdEncoding.EncodeToString(append(make([]byte, 980), byte(j)))
				z.keys = append(z.keys, &testKey{dnstree.Key{DNSKEY: &k}, "none"})
			}
		}
		v := tr.validator(append(edit, func(c *dnssec.ValidatorConfig) { c.Upstream = padded{tr, records} })...)
		ask := func(i int) {
			if a, err := resolve(t, v, fmt.Sprintf("mx.z%d.test. A", i)); outcome(a, err) != "secure data" {
				t.Fatal(outcome(a, err))
			}
		}
		ask(0)
		tr.asked, tr.raw = nil, nil
		before := heapInUse()
		for i := 1; i < zones; i++ {
			ask(i)
		}
		tr.asked, tr.raw = nil, nil
		for _, z := range tr.zones {
			z.sigs = map[string][]dns.RR{}
		}
		perZone = (heapInUse() - before) / (zones - 1)
		for i := zones - 1; i >= 0; i-- {
			tr.asked = nil
			if ask(i); tr.count(fmt.Sprintf("z%d.test. DNSKEY", i)) != 0 {
				break
			}
			kept++
		}
		runtime.KeepAlive(v)
		return perZone, kept
	}
	t.Run("DNSKEY answers of 64 KB", func(t *testing.T) {
		got, kept := measure(t, 200, 0)
		if got > 4<<10 || kept != zones {
			t.Errorf("%d zones kept, %d bytes each", kept, got)
		}
		t.Logf("%d bytes a zone", got)
	})
	t.Run("a bound in bytes", func(t *testing.T) {
		const most = 256 << 10
		got, kept := measure(t, 0, 20, func(c *dnssec.ValidatorConfig) { c.ZoneBytes = most })
		if got*zones > most*5/4 || kept < 4 || kept > most/(20*980) {
			t.Errorf("%d zones with 20 KB of keys kept, %d bytes in all", kept, got*zones)
		}
		t.Logf("%d zones in %d bytes", kept, got*zones)
	})
	t.Run("one that is larger than the bound", func(t *testing.T) {
		if _, kept := measure(t, 0, 20, func(c *dnssec.ValidatorConfig) { c.ZoneBytes = 10_000 }); kept != 0 {
			t.Errorf("%d zones kept", kept)
		}
	})
	t.Run("a name that is proved again replaces the old zone", func(t *testing.T) {
		tr := newTree(t)
		now := testTime
		v := tr.validator(func(c *dnssec.ValidatorConfig) {
			c.Now, c.ZoneBytes = func() time.Time { return now }, 6000
		})
		for range 20 {
			if a, err := resolve(t, v, "mx.example.test. A"); outcome(a, err) != "secure data" {
				t.Fatal(outcome(a, err))
			}
			now = now.Add(61 * time.Minute)
		}
		now = now.Add(-61 * time.Minute)
		tr.asked = nil
		if a, err := resolve(t, v, "mx.example.test. A"); outcome(a, err) != "secure data" || len(tr.asked) != 1 {
			t.Errorf("%s, asked %q: the old ones count", outcome(a, err), tr.asked)
		}
	})
}
