package dnssec_test

import (
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
)

// TestDay lets a day pass, minute by minute, over zones that do what zones do: sign
// again every hour, roll their keys, change their records, let signatures expire, give
// up DNSSEC, and over a resolver that is in trouble for an hour. No answer may ever have
// a status that the zone did not have within the answer's life, and nothing may grow.
func TestDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now() // 2000-01-01
		at := func() time.Duration { return time.Since(start) }
		tr := newTree(t)
		rolling := tr.zone("rolling.test.", "mx A 192.0.2.1\n_25._tcp.mx TLSA 3 1 1 00\nalias CNAME mx\nout CNAME mx.leaving.test.\n")
		expiring := tr.zone("expiring.test.", "mx A 192.0.2.1\n")
		leaving := tr.zone("leaving.test.", "mx A 192.0.2.1\n")
		for _, z := range tr.zones {
			z.from, z.until = start.Add(-time.Hour), start.Add(48*time.Hour)
		}
		const ends = 6*time.Hour + 30*time.Second
		expiring.until = start.Add(ends)

		// The zones' day. What is cached of a zone lives for an hour (its TTL).
		resign := func(zs ...*testZone) {
			for _, z := range zs {
				clear(z.sigs)
			}
		}
		keys := 0
		change := func(minute int) {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			now := time.Now()
			parent := tr.zones["test."]
			if minute%60 == 0 { // three hours' signatures, new every hour
				rolling.from, rolling.until = now.Add(-time.Hour), now.Add(3*time.Hour)
				resign(rolling)
			}
			if minute%10 == 0 { // a new address every ten minutes
				for _, rr := range rolling.rrs {
					if a, ok := rr.(*dns.A); ok && a.Hdr.Name == "mx.rolling.test." {
						a.Hdr.Ttl = 300
						a.A = []byte{192, 0, 2, byte(minute / 10)}
					}
				}
				resign(rolling)
			}
			switch minute % 240 {
			case 60: // a second key beside the first, in DNSKEY and DS, both signing
				keys++
				rolling.keys = append(rolling.keys, defaultKey(t, "rolling.test.", keys%4))
				resign(rolling, parent)
			case 180: // the first one goes
				rolling.keys = rolling.keys[1:]
				resign(rolling, parent)
			}
			switch minute {
			case 12 * 60: // no DS any more
				leaving.ds = []dns.RR{}
				resign(parent)
			case 14 * 60: // no signatures any more
				leaving.keys = nil
				resign(leaving, parent)
			}
			tr.hook = nil
			if minute >= 20*60 && minute < 21*60 {
				tr.hook = func(dns.Question) (*dns.Msg, error) { return nil, dnssec.ErrTimeout }
			}
			tr.asked, tr.raw = nil, nil // the test's own growth
		}

		v := tr.validator(func(cfg *dnssec.ValidatorConfig) { cfg.Now = nil })
		c := dnssec.NewCached(v, dnssec.CacheConfig{})
		defer c.Close()
		trouble := func() bool { return at() >= 20*time.Hour && at() < 21*time.Hour+dnssec.MaxFailureTTL }
		ask := func(name string, typ dnssec.Type) (dnssec.Answer, string) {
			a, err := c.Resolve(t.Context(), question(t, name, typ))
			switch {
			case err != nil && errors.Is(err, dnssec.ErrBogus):
				return a, "bogus"
			case err != nil:
				return a, "failed"
			case !time.Now().Before(a.Expires):
				t.Fatalf("%v: %s %s is over since %v", at(), name, typ, a.Expires.Sub(start))
			}
			return a, a.Status.String() + " " + a.Kind.String()
		}
		want := func(name string, typ dnssec.Type, statuses ...string) dnssec.Answer {
			t.Helper()
			a, got := ask(name, typ)
			if !slices.Contains(statuses, got) && !(got == "failed" && trouble()) {
				t.Fatalf("%v: %s %s is %s, want %v: %s", at(), name, typ, got, statuses, a.Reason)
			}
			return a
		}
		heap := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		var early uint64
		var failures int
		for minute := range 24 * 60 {
			change(minute)
			a := want("mx.rolling.test", dnssec.TypeA, "secure data")
			if len(a.Records) == 1 {
				// The address was the zone's own at most its TTL ago.
				n := int(a.Records[0].Data[3])
				if oldest := (minute - 5) / 10; n < oldest || n > minute/10 {
					t.Fatalf("%v: address %d", at(), n)
				}
			} else {
				failures++
			}
			want("_25._tcp.mx.rolling.test", dnssec.TypeTLSA, "secure data")
			want("alias.rolling.test", dnssec.TypeA, "secure data")
			want("nowhere.rolling.test", dnssec.TypeTLSA, "secure nxdomain")
			switch {
			case at() < ends:
				a := want("mx.expiring.test", dnssec.TypeA, "secure data")
				if a.Expires.After(start.Add(ends)) {
					t.Fatalf("%v: an answer outlives its signature: %v", at(), a.Expires.Sub(start))
				}
			default:
				want("mx.expiring.test", dnssec.TypeA, "bogus")
			}
			left := []string{"secure data"}
			switch {
			case at() >= 14*time.Hour+time.Minute:
				left = []string{"insecure data"}
			case at() >= 12*time.Hour:
				left = []string{"secure data", "insecure data"} // whichever is cached
			}
			want("mx.leaving.test", dnssec.TypeA, left...)
			a = want("out.rolling.test", dnssec.TypeA, left...)
			if len(a.Chain) == 1 && a.Kind != 0 && a.FirstStatus() != dnssec.Secure {
				t.Fatalf("%v: the alias itself is %s", at(), a.FirstStatus())
			}
			if n, _ := c.Size(); n > 7 {
				t.Fatalf("%d entries for 7 questions", n)
			}
			if minute == 4*60 {
				early = heap()
			}
			time.Sleep(time.Minute)
		}
		if keys < 5 {
			t.Errorf("%d rollovers", keys)
		}
		if failures == 0 || failures > 61 {
			t.Errorf("%d minutes without an answer, in an hour of trouble", failures)
		}
		if late := heap(); late > early+1<<20 {
			t.Errorf("the heap grew from %d to %d octets in 20 hours", early, late)
		}
	})
}
