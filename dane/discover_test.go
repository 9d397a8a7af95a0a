package dane_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/rfc6125"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	hex32 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	ee    = "3 1 1 " + hex32
	ta    = "2 1 1 " + hex32
)

func host(s string) rfc6125.Host {
	h, err := rfc6125.ParseHost(s)
	if err != nil {
		panic(err)
	}
	return h
}

func dnsName(s string) rfc6125.Name {
	n, err := rfc6125.ParseName(s)
	if err != nil {
		panic(err)
	}
	return n
}

// world makes a resolver: the zone sec.example is secure, plain.example insecure,
// bad.example bogus. A line "fail NAME TYPE" lets a lookup fail, "status RR" gives one
// RRset a status of its own; the rest are records.
func world(lines ...string) *dnsfake.Resolver {
	r := dnsfake.New()
	r.Zone("sec.example", dnssec.Secure)
	r.Zone("plain.example", dnssec.Insecure)
	r.Zone("bad.example", dnssec.Bogus)
	types := map[string]dnssec.Type{"A": dnssec.TypeA, "AAAA": dnssec.TypeAAAA, "TLSA": dnssec.TypeTLSA, "CNAME": dnssec.TypeCNAME}
	for _, l := range lines {
		f := strings.Fields(l)
		switch f[0] {
		case "fail":
			r.Fail(f[1], types[f[2]], dnssec.ErrServFail)
		case "insecure":
			r.AddAs(dnssec.Insecure, strings.TrimPrefix(l, "insecure "))
		case "secure":
			r.AddAs(dnssec.Secure, strings.TrimPrefix(l, "secure "))
		default:
			r.Add(l)
		}
	}
	return r
}

// asked lists the questions of type TLSA, and checks that all others came before.
func asked(t *testing.T, r *dnsfake.Resolver) []string {
	t.Helper()
	var out []string
	for _, q := range r.Asked() {
		if q.Type == dnssec.TypeTLSA {
			out = append(out, q.Name.String())
		} else if len(out) > 0 {
			t.Errorf("%s was asked after a TLSA question", q)
		}
	}
	return out
}

func TestDiscover(t *testing.T) {
	const (
		mx   = "mx.sec.example. 300 IN A 192.0.2.1"
		mx6  = "mx.sec.example. 200 IN AAAA 2001:db8::1"
		tmx  = "_25._tcp.mx.sec.example. 100 IN TLSA " + ee
		q    = "_25._tcp.mx.sec.example"
		fin  = "_25._tcp.final.sec.example"
		toF  = "mx.sec.example. 300 IN CNAME final.sec.example."
		fA   = "final.sec.example. 300 IN A 192.0.2.7"
		tf   = "_25._tcp.final.sec.example. 100 IN TLSA " + ta
		pA   = "final.plain.example. 300 IN A 192.0.2.8"
		toP  = "mx.sec.example. 300 IN CNAME final.plain.example."
		bogT = "_25._tcp.mx.sec.example. 100 IN CNAME x.bad.example."
	)
	for _, c := range []struct {
		name    string // begins with the rows shown
		world   []string
		opts    dane.DiscoverOptions
		address dane.AddressState
		state   dane.State
		row     string
		base    string
		asked   []string
		addrs   int
	}{
		{"A1 both families fail", []string{"fail mx.sec.example A", "fail mx.sec.example AAAA", tmx}, dane.DiscoverOptions{},
			dane.AddressFailed, dane.Failed, "A1", "", nil, 0},
		{"A1 one fails, no addresses in the other", []string{"fail mx.sec.example A", tmx}, dane.DiscoverOptions{},
			dane.AddressFailed, dane.Failed, "A1", "", nil, 0},
		{"A1 the other one fails", []string{"fail mx.sec.example AAAA", tmx}, dane.DiscoverOptions{},
			dane.AddressFailed, dane.Failed, "A1", "", nil, 0},
		{"A2 AAAA fails, A is secure", []string{mx, "fail mx.sec.example AAAA", tmx}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Usable, "A2 A5", "mx.sec.example", []string{q}, 1},
		{"A2 A fails, AAAA is secure", []string{mx6, "fail mx.sec.example A", tmx}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Usable, "A2 A5", "mx.sec.example", []string{q}, 1},
		{"A2 A fails, AAAA is insecure", []string{"insecure " + mx6, "fail mx.sec.example A", tmx}, dane.DiscoverOptions{},
			dane.AddressOK, dane.NA, "A2 A6", "", nil, 1},
		{"A2b A insecure, AAAA secure", []string{"insecure " + mx, mx6, tmx}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Usable, "A2b A5", "mx.sec.example", []string{q}, 2},
		{"A2b A secure, AAAA insecure", []string{mx, "insecure " + mx6, tmx}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Usable, "A2b A5", "mx.sec.example", []string{q}, 2},
		{"A2b A secure behind an alias, AAAA not", []string{toF, fA, "insecure final.sec.example. 300 IN AAAA 2001:db8::7", tf}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Usable, "A2b A7", "final.sec.example", []string{fin}, 2},
		{"A6 a secure denial of the other family makes nothing secure", []string{"insecure " + mx, tmx}, dane.DiscoverOptions{},
			dane.AddressOK, dane.NA, "A6", "", nil, 1},
		{"DANE7672-2.2.2-02 A3 no address, no TLSA query", []string{tmx}, dane.DiscoverOptions{},
			dane.AddressNone, dane.NA, "A3", "", nil, 0},
		{"A3 no such name", nil, dane.DiscoverOptions{},
			dane.AddressNone, dane.NA, "A3", "", nil, 0},
		{"A4 an alias and mx-alias = refuse", []string{toF, fA, tf, tmx}, dane.DiscoverOptions{RefuseAlias: true},
			dane.AddressAlias, dane.NA, "A4", "", nil, 1},
		{"A5 no alias and mx-alias = refuse", []string{mx, tmx}, dane.DiscoverOptions{RefuseAlias: true},
			dane.AddressOK, dane.Usable, "A5", "mx.sec.example", []string{q}, 1},
		{"DANE7672-2.2.2-04 A5 no alias and secure", []string{mx, mx6, tmx}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Usable, "A5", "mx.sec.example", []string{q}, 2},
		{"DANE7672-2.2.2-03 A6 insecure addresses, no TLSA query", []string{"insecure " + mx, tmx}, dane.DiscoverOptions{},
			dane.AddressOK, dane.NA, "A6", "", nil, 1},
		{"DANE7672-2.2.2-07 A7 a secure alias: final name, then the own", []string{toF, fA, tmx}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Usable, "A7", "mx.sec.example", []string{fin, q}, 1},
		{"DANE7672-2.2.3-02 A7 T2 records at both names: the expanded one wins", []string{toF, fA, tf, tmx}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Usable, "A7", "final.sec.example", []string{fin}, 1},
		{"DANE7672-2.2.3-05 A7 names in the middle of a chain are no candidates",
			[]string{"mx.sec.example. 300 IN CNAME mid.sec.example.", "mid.sec.example. 300 IN CNAME final.sec.example.", fA,
				"_25._tcp.mid.sec.example. 300 IN TLSA " + ee}, dane.DiscoverOptions{},
			dane.AddressOK, dane.None, "A7", "", []string{fin, q}, 1},
		{"A7 an alias that ends at a name that is no host name", []string{"mx.sec.example. 300 IN CNAME a\\@b.sec.example.", "a\\@b.sec.example. 300 IN A 192.0.2.7", tmx}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Usable, "A7", "mx.sec.example", []string{q}, 1},
		{"DANE7672-2.2.2-05 A8 insecure addresses behind a secure first alias", []string{toP, pA, tmx, "_25._tcp.final.plain.example. 300 IN TLSA " + ee}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Usable, "A8", "mx.sec.example", []string{q}, 1},
		{"A8 the chain goes back into a secure zone", []string{"mx.sec.example. 300 IN CNAME mid.plain.example.", "mid.plain.example. 300 IN CNAME final.sec.example.", fA, tf}, dane.DiscoverOptions{},
			dane.AddressOK, dane.None, "A8", "", []string{q}, 1},
		{"DANE7672-2.2.2-06 A9 insecure addresses behind an insecure first alias", []string{"insecure " + toF, "insecure " + fA, tf, tmx}, dane.DiscoverOptions{},
			dane.AddressOK, dane.NA, "A9", "", nil, 1},
		{"A9 a secure end behind an insecure first alias", []string{"insecure " + toF, fA, tf, tmx}, dane.DiscoverOptions{},
			dane.AddressOK, dane.NA, "A9", "", nil, 1},
		{"T1 the TLSA lookup fails", []string{mx, "fail _25._tcp.mx.sec.example TLSA"}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Failed, "A5", "", []string{q}, 1},
		{"T1 at the expanded name: the own name is not tried", []string{toF, fA, tmx, "fail _25._tcp.final.sec.example TLSA"}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Failed, "A7", "", []string{fin}, 1},
		{"TLSA6698-4.1-02 T1 a bogus TLSA alias", []string{mx, bogT}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Failed, "A5", "", []string{q}, 1},
		{"TLSA6698-4.1-02 T3 an insecure TLSA RRset counts as none", []string{mx, "insecure " + tmx}, dane.DiscoverOptions{},
			dane.AddressOK, dane.None, "A5", "", []string{q}, 1},
		{"DANE7672-2.2.3-03 T2 a TLSA alias is followed, the base domain stays", []string{mx, q + ". 300 IN CNAME tlsa.sec.example.", "tlsa.sec.example. 60 IN TLSA " + ta}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Usable, "A5", "mx.sec.example", []string{q}, 1},
		{"DANE7672-2.2.3-04 T3 an insecure link in the TLSA alias chain moves on", []string{toF, fA, fin + ". 300 IN CNAME x.plain.example.", "x.plain.example. 300 IN TLSA " + ta, tmx}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Usable, "A7", "mx.sec.example", []string{fin, q}, 1},
		{"T3 nothing anywhere", []string{mx}, dane.DiscoverOptions{},
			dane.AddressOK, dane.None, "A5", "", []string{q}, 1},
		{"TLSA6698-4.1-07 T2 usage 0 alone is not none", []string{mx, q + ". 300 IN TLSA 0 0 1 " + hex32}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Unusable, "A5", "mx.sec.example", []string{q}, 1},
		{"T2 an unusable set at the expanded name stops the search", []string{toF, fA, tmx, fin + ". 300 IN TLSA 1 0 1 " + hex32}, dane.DiscoverOptions{},
			dane.AddressOK, dane.Unusable, "A7", "final.sec.example", []string{fin}, 1},
		{"DANE7672-2.2.3-01 another port", []string{mx, "_2525._tcp.mx.sec.example. 300 IN TLSA " + ee, tmx}, dane.DiscoverOptions{Port: 2525},
			dane.AddressOK, dane.Usable, "A5", "mx.sec.example", []string{"_2525._tcp.mx.sec.example"}, 1},
		{"the addresses alone", []string{mx, tmx}, dane.DiscoverOptions{SkipTLSA: true},
			dane.AddressOK, dane.NA, "A5", "", nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := world(c.world...)
			h := dane.Discover(context.Background(), r, host("mx.sec.example"), c.opts)
			if h.Address != c.address || h.State != c.state || h.Row != c.row || h.Base.String() != c.base || len(h.Addresses) != c.addrs {
				t.Errorf("address %d state %s row %q base %q, %d addresses; want %d %s %q %q %d",
					h.Address, h.State, h.Row, h.Base, len(h.Addresses), c.address, c.state, c.row, c.base, c.addrs)
			}
			if got := asked(t, r); !slices.Equal(got, c.asked) {
				t.Errorf("asked for TLSA at %q, want %q", got, c.asked)
			}
			if len(h.TLSA) != len(c.asked) {
				t.Errorf("%d TLSA lookups in the trace, want %d", len(h.TLSA), len(c.asked))
			}
			if h.State == dane.Failed && len(h.TLSA) > 0 && !errors.Is(h.TLSA[len(h.TLSA)-1].Err, dnssec.ErrLookup) {
				t.Errorf("the failed lookup says %v", h.TLSA[len(h.TLSA)-1].Err)
			}
			if (h.State == dane.Usable) != (len(h.Set.Usable()) > 0) {
				t.Errorf("state %s with %d usable records", h.State, len(h.Set.Usable()))
			}
		})
	}
}

func TestDiscoverDetails(t *testing.T) {
	t.Run("DANE7672-2.2.2-01 addresses are asked for before TLSA", func(t *testing.T) {
		r := world("mx.sec.example. 300 IN A 192.0.2.1", "_25._tcp.mx.sec.example. 100 IN TLSA "+ee)
		release := r.Hold("mx.sec.example", dnssec.TypeAAAA)
		done := make(chan dane.Host)
		go func() { done <- dane.Discover(context.Background(), r, host("mx.sec.example"), dane.DiscoverOptions{}) }()
		deadline := time.Now().Add(10 * time.Second)
		for len(r.Asked()) < 2 && time.Now().Before(deadline) { // both families side by side
			runtime.Gosched()
		}
		if got := r.Asked(); len(got) != 2 || got[0].Type == dnssec.TypeTLSA || got[1].Type == dnssec.TypeTLSA {
			t.Errorf("asked %v while an address question is open", got)
		}
		release()
		if h := <-done; h.State != dane.Usable {
			t.Errorf("state %s", h.State)
		}
		asked(t, r)
	})
	t.Run("DANE7672-2.1.2-03 each secure host has its TLSA lookup", func(t *testing.T) {
		for i := 1; i <= 3; i++ {
			name := fmt.Sprintf("mx%d.sec.example", i)
			r := world(name + ". 300 IN A 192.0.2.1")
			h := dane.Discover(context.Background(), r, host(name), dane.DiscoverOptions{})
			if len(h.TLSA) != 1 || h.TLSA[0].Answer.Question.Name.String() != "_25._tcp."+name {
				t.Errorf("%s: %+v", name, h.TLSA)
			}
		}
	})
	t.Run("TLSA6698-3-02 the query name of an IDN is made of A-labels", func(t *testing.T) {
		r := world("xn--bcher-kva.sec.example. 300 IN A 192.0.2.1")
		dane.Discover(context.Background(), r, host("bücher.sec.example"), dane.DiscoverOptions{})
		if got := asked(t, r); !slices.Equal(got, []string{"_25._tcp.xn--bcher-kva.sec.example"}) {
			t.Errorf("asked %q", got)
		}
	})
	t.Run("TLSA6698-3-01 owner names", func(t *testing.T) {
		for port, want := range map[uint16]string{25: "_25._tcp.mail.example.com", 1: "_1._tcp.mail.example.com", 65535: "_65535._tcp.mail.example.com"} {
			if n, err := dane.Owner(host("mail.example.com"), port); err != nil || n.String() != want {
				t.Errorf("port %d: %s, %v", port, n, err)
			}
		}
		if n, err := dane.Owner(rfc6125.Host{}, 25); !errors.Is(err, rfc6125.ErrName) || n.IsValid() {
			t.Errorf("of the zero Host: %s, %v", n, err)
		}
		long := strings.Repeat(strings.Repeat("a", 49)+".", 5) // 250 octets on the wire and the root
		if _, err := dane.Owner(host(strings.TrimSuffix(long, ".")), 25); !errors.Is(err, rfc6125.ErrName) {
			t.Errorf("an owner of more than 255 octets: %v", err)
		}
		short := strings.Repeat(strings.Repeat("a", 49)+".", 4) + strings.Repeat("a", 44) // 200 + 45 + 1, and 9 before it
		if _, err := dane.Owner(host(short), 25); err != nil {
			t.Errorf("an owner of 255 octets: %v", err)
		}
		r := dnsfake.New()
		name := strings.TrimSuffix(long, ".")
		r.Zone(name, dnssec.Secure)
		r.Add(name + ". 300 IN A 192.0.2.1")
		if h := dane.Discover(context.Background(), r, host(name), dane.DiscoverOptions{}); h.State != dane.None || len(h.TLSA) != 0 || h.Row != "A5" {
			t.Errorf("a host too long for an owner name: %s, %d lookups", h.State, len(h.TLSA))
		}
	})
	t.Run("D6 a denial that is insecure by its iterations is a failure", func(t *testing.T) {
		for code, want := range map[dnssec.ReasonCode]dane.State{"nsec3-iterations": dane.Failed, "unsigned-delegation": dane.None, "": dane.None} {
			r := world("mx.sec.example. 300 IN A 192.0.2.1")
			r.Deny("_25._tcp.mx.sec.example", dnssec.TypeTLSA, dnssec.NXDomain, dnssec.Insecure, dnssec.Reason{Code: code, Text: "why"})
			h := dane.Discover(context.Background(), r, host("mx.sec.example"), dane.DiscoverOptions{})
			if h.State != want {
				t.Errorf("reason %q: state %s, want %s", code, h.State, want)
			}
			if want != dane.Failed {
				continue
			}
			var e *dnssec.LookupError
			if !errors.As(h.TLSA[0].Err, &e) || !errors.Is(e, dnssec.ErrIndeterminate) || e.Reason.Code != code || e.Server == "" || e.Question.Type != dnssec.TypeTLSA {
				t.Errorf("the lookup says %v", h.TLSA[0].Err)
			}
		}
	})
	t.Run("a secure denial with such a reason is a denial", func(t *testing.T) {
		r := world("mx.sec.example. 300 IN A 192.0.2.1")
		r.Deny("_25._tcp.mx.sec.example", dnssec.TypeTLSA, dnssec.NXDomain, dnssec.Secure, dnssec.Reason{Code: "nsec3-iterations"})
		if h := dane.Discover(context.Background(), r, host("mx.sec.example"), dane.DiscoverOptions{}); h.State != dane.None {
			t.Errorf("state %s", h.State)
		}
	})
	t.Run("addresses, final name, expiry and lookups are kept", func(t *testing.T) {
		r := world("mx.sec.example. 300 IN CNAME final.sec.example.", "final.sec.example. 200 IN A 192.0.2.1", "final.sec.example. 250 IN AAAA 2001:db8::1",
			"_25._tcp.mx.sec.example. 90 IN TLSA "+ee, "_25._tcp.mx.sec.example. 90 IN TLSA "+ta)
		r.Add("_25._tcp.final.sec.example. 5 IN A 192.0.2.9")
		h := dane.Discover(context.Background(), r, host("mx.sec.example"), dane.DiscoverOptions{})
		want := []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.1")}
		if !slices.Equal(h.Addresses, want) || h.Final != dnsName("final.sec.example") || h.Name != host("mx.sec.example") {
			t.Errorf("%v, final %s", h.Addresses, h.Final)
		}
		if got := h.Expires.Sub(h.A.Answer.Received); got != 90*time.Second {
			t.Errorf("lives for %v", got)
		}
		if h.A.Answer.Question.Type != dnssec.TypeA || h.AAAA.Answer.Question.Type != dnssec.TypeAAAA || len(h.TLSA) != 2 {
			t.Errorf("lookups: %+v", h)
		}
		if h.Set.Len() != 2 || len(h.Set.Usable()) != 2 {
			t.Errorf("set: %+v", h.Set.Uses())
		}
	})
	t.Run("the answer that ends first is an address", func(t *testing.T) {
		r := world("mx.sec.example. 30 IN A 192.0.2.1", "mx.sec.example. 250 IN AAAA 2001:db8::1", "_25._tcp.mx.sec.example. 90 IN TLSA "+ee)
		h := dane.Discover(context.Background(), r, host("mx.sec.example"), dane.DiscoverOptions{})
		if got := h.Expires.Sub(h.A.Answer.Received); got != 30*time.Second {
			t.Errorf("lives for %v", got)
		}
	})
	t.Run("nothing answered: no expiry", func(t *testing.T) {
		h := dane.Discover(context.Background(), world("fail mx.sec.example A", "fail mx.sec.example AAAA"), host("mx.sec.example"), dane.DiscoverOptions{})
		if !h.Expires.IsZero() || h.Final != dnsName("mx.sec.example") || h.A.Err == nil || h.AAAA.Err == nil {
			t.Errorf("%+v", h)
		}
	})
	t.Run("the context ends", func(t *testing.T) {
		r := world("mx.sec.example. 30 IN A 192.0.2.1")
		defer r.Hold("mx.sec.example", dnssec.TypeAAAA)()
		defer r.Hold("mx.sec.example", dnssec.TypeA)()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		h := dane.Discover(ctx, r, host("mx.sec.example"), dane.DiscoverOptions{})
		if h.State != dane.Failed || h.Address != dane.AddressFailed || !errors.Is(h.A.Err, context.Canceled) {
			t.Errorf("%+v", h)
		}
	})
	t.Run("the policy of the operator reaches the set", func(t *testing.T) {
		r := world("mx.sec.example. 30 IN A 192.0.2.1", "_25._tcp.mx.sec.example. 90 IN TLSA "+ee)
		h := dane.Discover(context.Background(), r, host("mx.sec.example"), dane.DiscoverOptions{Policy: dane.UsePolicy{Strength: []dane.MatchingType{dane.SHA2_512}}})
		if h.State != dane.Unusable || h.Base != host("mx.sec.example") {
			t.Errorf("state %s", h.State)
		}
	})
	t.Run("a record shorter than its numbers makes a set that is not empty", func(t *testing.T) {
		r := world("mx.sec.example. 30 IN A 192.0.2.1")
		r.AddRaw("_25._tcp.mx.sec.example", dnssec.TypeTLSA, 60, []byte{3, 1})
		h := dane.Discover(context.Background(), r, host("mx.sec.example"), dane.DiscoverOptions{})
		if h.State != dane.Unusable || h.Set.Len() != 1 {
			t.Errorf("state %s", h.State)
		}
	})
	t.Run("addresses that cannot be read are a failure", func(t *testing.T) {
		r := world()
		r.AddRaw("mx.sec.example", dnssec.TypeA, 60, []byte{192, 0, 2})
		h := dane.Discover(context.Background(), r, host("mx.sec.example"), dane.DiscoverOptions{})
		if h.Address != dane.AddressFailed || !errors.Is(h.A.Err, dnssec.ErrMalformed) {
			t.Errorf("%+v", h)
		}
	})
}

// families answers A and AAAA questions each by a resolver of its own.
type families struct{ v4, v6 dnssec.Resolver }

func (f families) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	if q.Type == dnssec.TypeAAAA {
		return f.v6.Resolve(ctx, q)
	}
	return f.v4.Resolve(ctx, q)
}

// TestTwoFaces: an alias that leads to one end for A and to another for AAAA, both
// secure. IPv6 decides, as it comes first.
func TestTwoFaces(t *testing.T) {
	f := families{
		world("mx.sec.example. 300 IN CNAME four.sec.example.", "four.sec.example. 300 IN A 192.0.2.1"),
		world("mx.sec.example. 300 IN CNAME six.sec.example.", "six.sec.example. 300 IN AAAA 2001:db8::1"),
	}
	h := dane.Discover(context.Background(), f, host("mx.sec.example"), dane.DiscoverOptions{})
	if h.Row != "A7" || h.Final != dnsName("six.sec.example") || len(h.Addresses) != 2 || len(h.TLSA) != 2 {
		t.Errorf("row %s, final %s, %v", h.Row, h.Final, h.Addresses)
	}
}

// liar answers without error what must not come without one.
type liar struct {
	dnssec.Resolver
	status dnssec.Status
	kind   dnssec.Kind
	on     dnssec.Type
}

func (l liar) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	a, err := l.Resolver.Resolve(ctx, q)
	if q.Type == l.on {
		a.Status, a.Kind = l.status, l.kind
	}
	return a, err
}

func TestResolverOutOfContract(t *testing.T) {
	for _, c := range []struct {
		status dnssec.Status
		kind   dnssec.Kind
		err    error
	}{
		{dnssec.Bogus, dnssec.Data, dnssec.ErrBogus},
		{dnssec.Bogus, dnssec.NXDomain, dnssec.ErrBogus},
		{dnssec.Indeterminate, dnssec.Data, dnssec.ErrIndeterminate},
		{dnssec.Secure, 0, dnssec.ErrIndeterminate},
		{dnssec.Status(9), dnssec.Data, dnssec.ErrIndeterminate},
	} {
		r := world("mx.sec.example. 30 IN A 192.0.2.1", "_25._tcp.mx.sec.example. 90 IN TLSA "+ee)
		h := dane.Discover(context.Background(), liar{r, c.status, c.kind, dnssec.TypeTLSA}, host("mx.sec.example"), dane.DiscoverOptions{})
		if h.State != dane.Failed || !errors.Is(h.TLSA[0].Err, c.err) {
			t.Errorf("TLSA %s %s: state %s", c.status, c.kind, h.State)
		}
		h = dane.Discover(context.Background(), liar{r, c.status, c.kind, dnssec.TypeA}, host("mx.sec.example"), dane.DiscoverOptions{})
		if h.State != dane.Failed || h.Address != dane.AddressFailed || !errors.Is(h.A.Err, c.err) {
			t.Errorf("A %s %s: state %s", c.status, c.kind, h.State)
		}
	}
}

// A spoiler adds a malformed record to the answers of one type.
type spoiler struct {
	dnssec.Resolver
	typ dnssec.Type
}

func (s spoiler) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	a, err := s.Resolver.Resolve(ctx, q)
	if q.Type == s.typ {
		a.Kind, a.Records = dnssec.Data, append(a.Records, dnssec.Record{Type: q.Type, TTL: 60, Data: []byte{192, 0, 2, 1, 0}})
	}
	return a, err
}

// TestMalformedAddress: one malformed address record fails the lookup of its family,
// whatever resolver let it through (issue 1/8, F8).
func TestMalformedAddress(t *testing.T) {
	for _, c := range []struct {
		records []string
		typ     dnssec.Type
		row     string
	}{
		{[]string{"mx.sec.example. 30 IN A 192.0.2.1"}, dnssec.TypeA, "A1"},
		{[]string{"mx.sec.example. 30 IN A 192.0.2.1"}, dnssec.TypeAAAA, "A2 A5"},
		{[]string{"mx.sec.example. 30 IN AAAA 2001:db8::1"}, dnssec.TypeAAAA, "A1"},
		{nil, dnssec.TypeA, "A1"},
	} {
		h := dane.Discover(context.Background(), spoiler{world(c.records...), c.typ}, host("mx.sec.example"), dane.DiscoverOptions{})
		failed := h.A
		if c.typ == dnssec.TypeAAAA {
			failed = h.AAAA
		}
		if h.Row != c.row || !errors.Is(failed.Err, dnssec.ErrMalformed) {
			t.Errorf("%s beside %v: row %s, %v", c.typ, c.records, h.Row, failed.Err)
		}
	}
}

func TestStateWords(t *testing.T) {
	for s, want := range map[dane.State]string{dane.Failed: "error", dane.NA: "na", dane.None: "none", dane.Unusable: "unusable", dane.Usable: "usable", 77: "error"} {
		if s.String() != want {
			t.Errorf("%d is %q", s, s)
		}
	}
	var h dane.Host
	if h.State != dane.Failed || h.Address != dane.AddressFailed {
		t.Error("the zero Host is not the safe one")
	}
}
