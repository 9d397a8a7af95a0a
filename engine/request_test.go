package engine_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/rfc6125"
)

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		name string
		r    engine.Request
		want string // the option at fault
	}{
		{"empty", engine.Request{NextHop: ""}, "next hop"},
		{"root", engine.Request{NextHop: "."}, "next hop"},
		{"bare address", engine.Request{NextHop: "192.0.2.1"}, "brackets"},
		{"no host name", engine.Request{NextHop: "a b"}, "next hop"},
		{"over-long", engine.Request{NextHop: strings.Repeat("a.", 200) + "org"}, "next hop"},
		{"no closing bracket", engine.Request{NextHop: "[relay.example.org"}, "closing bracket"},
		{"port 0", engine.Request{NextHop: "[relay.example.org]:0"}, "port"},
		{"port too large", engine.Request{NextHop: "[relay.example.org]:65536"}, "port"},
		{"port not a number", engine.Request{NextHop: "[relay.example.org]:smtp"}, "port"},
		{"junk after the bracket", engine.Request{NextHop: "[relay.example.org]x"}, "after the bracket"},
		{"IPv4 with the tag of IPv6", engine.Request{NextHop: "[IPv6:192.0.2.1]"}, "next hop"},
		{"IPv6 with a zone", engine.Request{NextHop: "[IPv6:fe80::1%eth0]"}, "next hop"},
		{"two ports", engine.Request{NextHop: "[relay.example.org]:587", Port: 25}, "port"},
		{"level", engine.Request{NextHop: "example.org", Level: 77}, "level"},
		{"insecure-mx", engine.Request{NextHop: "example.org", Options: engine.Options{InsecureMX: 3}}, "insecure-mx"},
		{"dane-and-sts", engine.Request{NextHop: "example.org", Options: engine.Options{DANEAndSTS: 2}}, "dane-and-sts"},
		{"sts-undetermined", engine.Request{NextHop: "example.org", Options: engine.Options{STSUndetermined: 2}}, "sts-undetermined"},
		{"literal with dane-only", engine.Request{NextHop: "[192.0.2.1]", Level: engine.LevelDANEOnly}, "level"},
		{"both without both", engine.Request{NextHop: "example.org", Level: engine.LevelDANE, Options: engine.Options{DANEAndSTS: engine.Both}}, "dane-and-sts"},
		{"lower-all without a demand", engine.Request{NextHop: "example.org", Options: engine.Options{LowerAll: true}}, "lower-all"},
		{"names that mean nothing", engine.Request{NextHop: "example.org", Options: engine.Options{Names: []rfc6125.Host{host(t, "a.example")}}}, "names"},
		{"an empty name", engine.Request{NextHop: "example.org", Level: engine.LevelSecure, Options: engine.Options{Names: []rfc6125.Host{{}}}}, "names"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t).signed()
			p, err := w.engine().Plan(context.Background(), c.r)
			if p != nil || !errors.Is(err, engine.ErrRequest) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v", p, err)
			}
			if len(w.dns.Asked()) != 0 || len(w.sts.asked) != 0 {
				t.Error("something was looked up")
			}
		})
	}
	t.Run("everything that is wrong is told together", func(t *testing.T) {
		w := newWorld(t)
		_, err := w.engine().Plan(context.Background(), engine.Request{NextHop: "", Level: engine.LevelSecure + 1, Options: engine.Options{InsecureMX: 9}})
		for _, word := range []string{"next hop", "level", "insecure-mx"} {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%q is missing: %v", word, err)
			}
		}
	})
	t.Run("level sts without a client", func(t *testing.T) {
		w := newWorld(t).signed()
		w.cfg.STS = nil
		if _, err := w.engine().Plan(context.Background(), engine.Request{NextHop: "example.org", Level: engine.LevelSTS}); !errors.Is(err, engine.ErrRequest) {
			t.Error(err)
		}
		if p := w.plan(engine.Request{}); !strings.Contains(steps(explain.Plan(p), explain.StepSTSRecord), "not looked at") {
			t.Errorf("%+v", explain.Plan(p))
		}
	})
	t.Run("a context that is done", func(t *testing.T) {
		w := newWorld(t).signed()
		ctx, cancel := context.WithCancelCause(context.Background())
		why := errors.New("the caller left")
		cancel(why)
		if p, err := w.engine().Plan(ctx, engine.Request{NextHop: "example.org"}); p != nil || !errors.Is(err, why) {
			t.Errorf("%v %v", p, err)
		}
	})
	t.Run("good ones", func(t *testing.T) {
		for in, want := range map[string]uint16{"example.org": 25, "[mx.example.org]": 25, "[mx.example.org]:587": 587, "EXAMPLE.org.": 25} {
			w := newWorld(t).signed()
			if p := w.plan(engine.Request{NextHop: in}); len(p.Hosts) != 1 || p.Hosts[0].Port != want {
				t.Errorf("%s: %+v", in, p.Hosts)
			}
		}
		w := newWorld(t).signed()
		if p := w.plan(engine.Request{Port: 26}); p.Hosts[0].Port != 26 {
			t.Errorf("port %d", p.Hosts[0].Port)
		}
		if p := w.plan(engine.Request{NextHop: "[mx.example.org]:26", Port: 26}); p.Hosts[0].Port != 26 {
			t.Errorf("port %d", p.Hosts[0].Port)
		}
	})
	t.Run("configurations", func(t *testing.T) {
		for _, c := range []engine.Config{{}, {Resolver: newWorld(t).dns, OwnHosts: []rfc6125.Host{{}}}, {Resolver: newWorld(t).dns, OwnAddresses: []netip.Addr{{}}}} {
			if e, err := engine.New(c); e != nil || err == nil {
				t.Errorf("%+v: %v %v", c, e, err)
			}
		}
	})
	t.Run("port and TLSA policy reach the lookups", func(t *testing.T) {
		w := newWorld(t).signed()
		w.tlsa(tlsaOf(3, 1, w.self.Cert))
		o := engine.Options{TLSA: dane.UsePolicy{Forbid: func(dane.Record) string { return "not here" }}}
		p := w.plan(engine.Request{Options: o})
		if p.Hosts[0].Requirement != engine.Encrypt || !strings.Contains(explain.Text(p.Hosts[0].Reason), "not here") {
			t.Errorf("%s: %s", p.Hosts[0].Requirement, explain.Text(p.Hosts[0].Reason))
		}
	})
}
