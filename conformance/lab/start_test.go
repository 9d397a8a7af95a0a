package lab_test

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/internal/nametest"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// Start refuses worlds that are not well described, and names the one at fault.
func TestStartRefuses(t *testing.T) {
	ok := smtpWorld(lab.SMTP{})
	edit := func(e func(*lab.World)) lab.World {
		w := ok
		w.Hosts = slices.Clone(ok.Hosts)
		e(&w)
		return w
	}
	for _, c := range []struct {
		about  string
		worlds []lab.World
		says   string
	}{
		{"no name", []lab.World{edit(func(w *lab.World) { w.Name = "" })}, "no name"},
		{"one name twice", []lab.World{ok, ok}, `"smtp" twice`},
		{"one zone twice", []lab.World{ok, edit(func(w *lab.World) { w.Name = "other" })}, "world other: the zone smtp.test. is there already"},
		{"no domain", []lab.World{edit(func(w *lab.World) { w.Domain = "xn--" })}, "world smtp"},
		{"host in no zone", []lab.World{edit(func(w *lab.World) { w.Hosts[0].Name = "mx.elsewhere.test" })}, "no zone of the world holds mx.elsewhere.test."},
		{"no such top level", []lab.World{edit(func(w *lab.World) { w.Domain = "smtp.nowhere"; w.Hosts = nil })}, "no top-level domain for smtp.nowhere."},
		{"TLSA of what", []lab.World{edit(func(w *lab.World) { w.Hosts[0].TLSA = []string{"3 1 1 nothing"} })}, "of what?"},
		{"TLSA without numbers", []lab.World{edit(func(w *lab.World) { w.Hosts[0].TLSA = []string{"leaf"} })}, `TLSA "leaf"`},
		{"record", []lab.World{edit(func(w *lab.World) { w.Records = []string{"smtp.test. A nowhere"} })}, "zone smtp.test."},
		{"braces", []lab.World{edit(func(w *lab.World) { w.Records = []string{"smtp.test. A {A nobody.smtp.test}"} })}, "is not known"},
		{"empty braces", []lab.World{edit(func(w *lab.World) { w.Records = []string{"smtp.test. A {}"} })}, "empty braces"},
		{"request", []lab.World{edit(func(w *lab.World) { w.Request.NextHop = "[{A nobody.smtp.test}]" })}, "is not known"},
		{"earlier state", []lab.World{edit(func(w *lab.World) { w.Was = &lab.World{Records: []string{"x.test. A 127.0.0.1"}} })}, "was: no zone"},
		{"collisions of P-256", []lab.World{edit(func(w *lab.World) { w.Zones = []lab.Zone{{Apex: "smtp.test", Colliding: 1}} })}, "algorithms 8, 10 and 15"},
	} {
		l, err := lab.Start(t.Context(), lab.Config{Worlds: c.worlds})
		if err == nil {
			l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "lab: ") {
			t.Errorf("%s: %v", c.about, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lab.Start(ctx, lab.Config{Worlds: []lab.World{ok}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// The clock of the Config dates certificates and signatures.
func TestClock(t *testing.T) {
	at := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	l := labtest.Start(t, lab.Config{Worlds: []lab.World{smtpWorld(lab.SMTP{})}, Now: func() time.Time { return at }})
	if leaf := presented(t, l, "mx.smtp.test", "mx.smtp.test")[0]; !leaf.NotBefore.Before(at) || !leaf.NotAfter.After(at) || leaf.NotAfter.After(at.AddDate(1, 0, 0)) {
		t.Errorf("the certificate holds from %s to %s", leaf.NotBefore, leaf.NotAfter)
	}
	for _, rr := range ask(t, l.Plain(), "smtp.test", "MX").Answer {
		if s, ok := rr.(*dns.RRSIG); ok && !s.ValidityPeriod(at) {
			t.Errorf("%s does not hold at the lab's time", s)
		}
	}
}

// A world with an earlier state shows that until Forge, and nothing of it is cached.
func TestForge(t *testing.T) {
	w := smtpWorld(lab.SMTP{})
	w.Was = &lab.World{Hosts: []lab.Host{{Name: "old.smtp.test"}}}
	w.Hosts[0].Name = "new.smtp.test"
	l := start(t, w)
	mx := func() string {
		a := ask(t, l.Resolver(), "smtp.test", "MX").Answer
		if a[0].Header().Ttl != 0 {
			t.Errorf("TTL %d", a[0].Header().Ttl)
		}
		return a[0].(*dns.MX).Mx
	}
	key := func() string { return ask(t, l.Plain(), "smtp.test", "DNSKEY").Answer[0].(*dns.DNSKEY).PublicKey }
	before := key()
	if got := mx(); got != "old.smtp.test." {
		t.Errorf("before: %s", got)
	}
	if err := l.Forge("nobody"); err == nil {
		t.Error("a world that is not there was forged")
	}
	if err := l.Forge("smtp"); err != nil {
		t.Fatal(err)
	}
	if got := mx(); got != "new.smtp.test." {
		t.Errorf("after: %s", got)
	}
	if key() != before {
		t.Error("the zone has other keys than before")
	}
}

// Args are flags of mxauth check, and what is checked.
func TestArgs(t *testing.T) {
	hosts := func(names ...string) []rfc6125.Host { return nametest.Hosts(t, names...) }
	for _, c := range []struct {
		w    lab.World
		want string
	}{
		{lab.World{Domain: "a.test"}, "a.test"},
		{lab.World{Domain: "a.test", Request: lab.Request{Request: engine.Request{NextHop: "[b.test]:587"}}}, "[b.test]:587"},
		{lab.World{Domain: "a.test", Request: lab.Request{Request: engine.Request{NextHop: "b.test", Smarthost: true, Port: 26}}}, "--port 26 --smarthost b.test a.test"},
		{lab.World{Domain: "a.test", Request: lab.Request{Request: engine.Request{
			Level: engine.LevelSecure, RequireTLS: true, TLSRequiredNo: true, NullReturnPath: true, TLSRPTReport: true,
			Options: engine.Options{InsecureMX: engine.InsecureMXMay, DANEAndSTS: engine.Both, STSUndetermined: engine.STSDefer, RefuseMXAlias: true,
				NoCNID: true, NoClearFallback: true, Audit: true, NoAddressDefer: true, LowerAll: true, Names: hosts("n.test", "m.test")},
		}, OwnHosts: []string{"o.test"}}}, "--level secure --requiretls --tls-required-no --null-return-path --tlsrpt-report --insecure-mx may --dane-and-sts both" +
			" --sts-undetermined defer --mx-alias refuse --no-cn-id --no-clear-fallback --audit --no-address-defer --lower-all --name n.test --name m.test --own o.test a.test"},
	} {
		if got := strings.Join(c.w.Args(), " "); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// With real ports a program needs nothing of the lab but addresses. It takes the right
// to bind them, and that no one else has them: another lab may have for a while.
func TestRealPorts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("ports below 1024 take root")
	}
	w := smtpWorld(lab.SMTP{})
	w.Hosts = append(w.Hosts, lab.Host{Name: "none.smtp.test", SMTP: lab.SMTP{State: lab.ConnRefused}})
	w.STS = &lab.STS{Mode: "enforce"}
	var l *lab.Lab
	var err error
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for range 1500 { // five minutes: the test of mxconform has them for more than one on a loaded machine
		if l, err = lab.Start(t.Context(), lab.Config{Worlds: []lab.World{w}, RealPorts: true}); !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		<-tick.C
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = lab.Start(t.Context(), lab.Config{Worlds: []lab.World{w}, RealPorts: true})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "127.9.0.1:53") || !strings.Contains(err.Error(), "only one lab with real ports") {
		t.Errorf("a second lab: %v", err)
	}
	if l.Resolver().String() != "127.9.0.1:53" || l.IgnoresCD().String() != "127.9.0.5:53" {
		t.Errorf("resolvers at %s to %s", l.Resolver(), l.IgnoresCD())
	}
	for host, port := range map[string]uint16{"mx.smtp.test": 25, "mta-sts.smtp.test": 443} {
		at := address(t, l, host, port)
		c, err := net.DialTimeout("tcp", at.String(), patience)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if c.RemoteAddr().String() != at.String() {
			t.Errorf("%s is at %s", host, c.RemoteAddr())
		}
		c.Close()
		if c, err = l.Dial(t.Context(), at); err != nil || c.RemoteAddr().String() != at.String() {
			t.Errorf("%s by Dial: %v", host, err)
			continue
		}
		c.Close()
	}
	if _, err := net.DialTimeout("tcp", address(t, l, "none.smtp.test", 25).String(), patience); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a host that refuses: %v", err)
	}
}

// A kept policy is fetched again about daily, whatever the record says: a success takes
// the new one (S10), a failure keeps the old one (S11).
func TestRefresh(t *testing.T) {
	for _, c := range []struct {
		row  string
		now  lab.STS
		mode sts.Mode
	}{
		{"S10", lab.STS{Mode: "none"}, sts.ModeNone},
		{"S11", lab.STS{Mode: "none", HTTP: lab.HTTP500}, sts.ModeEnforce},
	} {
		t.Run(c.row, func(t *testing.T) {
			w := smtpWorld(lab.SMTP{})
			w.STS = &c.now
			w.Was = &lab.World{Hosts: w.Hosts, STS: &lab.STS{Mode: "enforce"}}
			l := start(t, w)
			j := newJudge(l, validator(t, l, l.Plain()))
			st, err := store.NewMemory(store.MemoryConfig{})
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			h, err := rfc6125.ParseHost(w.Domain)
			if err != nil {
				t.Fatal(err)
			}
			old, err := j.client(st, 48*time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			if r := old.Policies().Lookup(t.Context(), h); r.Row.String() != "S3" {
				t.Fatalf("at first: %+v", r)
			}
			old.Close()
			if err := l.Forge(w.Name); err != nil {
				t.Fatal(err)
			}
			var rows []string
			client, err := j.client(st, 0, func(c *mxauth.Config) {
				c.Policies.Fetched = func(_ rfc6125.Host, row sts.Row, _ time.Duration, _ error) { rows = append(rows, row.String()) }
			})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			client.Policies().Refresh(t.Context())
			if !slices.Equal(rows, []string{c.row}) {
				t.Errorf("rows %v", rows)
			}
			r, ok := client.Policies().Cached(t.Context(), h)
			if !ok || r.Policy == nil || r.Policy.Mode != c.mode {
				t.Errorf("kept: %v, %+v", ok, r.Policy)
			}
		})
	}
}
