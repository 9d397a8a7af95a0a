package probe_test

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/internal/smtptest"
)

// TestNotNow: a reply that says "not now" or "not you" is no statement about TLS. The host
// is deferred under every requirement, with the server's words, and nothing is reported
// (RFC 8460 section 4, RFC 5321 sections 3.2 and 3.8).
func TestNotNow(t *testing.T) {
	servers := map[string]*smtptest.Server{
		"421 4.3.2 too busy":   {TLS: serverTLS(), STARTTLS: "421 4.3.2 too busy"},
		"421 4.3.2 busy":       {TLS: serverTLS(), STARTTLS: "421-4.3.2 busy\r\n421 come back"},
		"450 4.7.1 at EHLO":    {TLS: serverTLS(), EHLO: "450 4.7.1 at EHLO"},
		"450 4.3.2 slow":       {TLS: serverTLS(), Greeting: "450 4.3.2 slow"},
		"554 5.7.1 blocked":    {TLS: serverTLS(), Greeting: "554-5.7.1 blocked\r\n554 see the list"},
		"450 4.7.1 inside TLS": {TLS: serverTLS(), InsideEHLO: "450 4.7.1 inside TLS"},
		"550 5.7.1 inside TLS": {TLS: serverTLS(), InsideEHLO: "550 5.7.1 inside TLS"},
		"421 4.3.2 inside TLS": {TLS: serverTLS(), InsideEHLO: "421-4.3.2 inside TLS\r\n421 bye"},
	}
	for _, code := range []int{421, 450, 451, 452, 455, 501, 503, 504, 521, 530, 535, 550, 553, 554, 556} {
		line := fmt.Sprintf("%d 5.5.1 said the server", code)
		servers[line] = &smtptest.Server{TLS: serverTLS(), EHLO: line}
		several := fmt.Sprintf("%d-of several lines\r\n%d STARTTLS", code, code)
		servers[fmt.Sprint(code, " of several lines")] = &smtptest.Server{TLS: serverTLS(), EHLO: several}
	}
	for _, tlsa := range []string{record(), ""} {
		for words, s := range servers {
			t.Run(words, func(t *testing.T) {
				e, plan := planned(t, tlsa)
				d := probe.New(probe.Config{Dial: dialTo(s.Start(t)), HELO: "probe.example"}).Host(t.Context(), e, plan, 0).Decision
				if d.Outcome != engine.Deferred || d.Event != engine.NoConnection || d.Deliver || d.RetryClear {
					t.Errorf("%s, event %s", d.Outcome, d.Event)
				}
				if !strings.Contains(explain.Text(d.Reason), words) || strings.Contains(explain.Text(d.Reason), "No mail server answered") {
					t.Errorf("said %s", explain.Text(d.Reason))
				}
				if r := explain.Report(plan, 0, d); r != nil {
					t.Errorf("reported: %+v", r)
				}
			})
		}
	}
	for _, reply := range []string{"500 5.5.1 what", "502 5.5.1 not implemented", "502-not\r\n502 implemented"} {
		e, plan := planned(t, record())
		s := &smtptest.Server{TLS: serverTLS(), EHLO: reply}
		d := probe.New(probe.Config{Dial: dialTo(s.Start(t)), HELO: "probe.example"}).Host(t.Context(), e, plan, 0).Decision
		if d.Outcome != engine.Refused || d.Event != engine.NoSTARTTLS || len(explain.Report(plan, 0, d)) == 0 {
			t.Errorf("EHLO %s: %s, event %s", reply, d.Outcome, d.Event)
		}
	}
}

// TestOffer: STARTTLS is the keyword, whatever blanks surround it and in any case (RFC
// 5321 section 4.1.1.1).
func TestOffer(t *testing.T) {
	for line, want := range map[string]engine.Event{
		"STARTTLS\t": engine.HandshakeDone, "STARTTLS\tREQUIRED": engine.HandshakeDone, "STARTTLS  ": engine.HandshakeDone,
		"\tstarttls": engine.HandshakeDone, "StartTls \t x": engine.HandshakeDone, "STARTTLS\v": engine.HandshakeDone,
		"XSTARTTLS": engine.NoSTARTTLS, "STARTTLS=yes": engine.NoSTARTTLS, "********": engine.NoSTARTTLS,
	} {
		for _, reply := range []string{"250-test\r\n250-" + line + "\r\n250 HELP", "250-test\r\n250 " + line, "250-test\r\n250\t" + line} {
			if p := run(t, &smtptest.Server{TLS: serverTLS(), EHLO: reply}); p.Event != want {
				t.Errorf("%q: %s %q", reply, p.Event, p.Detail)
			}
		}
	}
}

// TestClientCertificate: a server that demands a certificate of the client refuses with
// TLS 1.3 after the client believes the handshake complete. It closes with the EHLO
// unread, so a reset can overtake its alert.
func TestClientCertificate(t *testing.T) {
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := serverTLS()
		cfg.ClientAuth, cfg.MaxVersion = tls.RequireAnyClientCert, v
		to := (&smtptest.Server{TLS: cfg}).Start(t)
		for range 20 {
			e, plan := planned(t, record())
			d := probe.New(probe.Config{Dial: dialTo(to), HELO: "probe.example"}).Host(t.Context(), e, plan, 0).Decision
			if d.Outcome != engine.Refused || d.Event != engine.HandshakeFailed {
				t.Fatalf("%s: %s, event %s: %s", tls.VersionName(v), d.Outcome, d.Event, explain.Text(d.Reason))
			}
			e, plan = planned(t, "")
			d = probe.New(probe.Config{Dial: dialTo(to), HELO: "probe.example"}).Host(t.Context(), e, plan, 0).Decision
			if d.Outcome != engine.Cleartext || !d.RetryClear {
				t.Fatalf("%s: %s, retry %v: %s", tls.VersionName(v), d.Outcome, d.RetryClear, explain.Text(d.Reason))
			}
		}
	}
	t.Run("closed without an answer", func(t *testing.T) {
		for v, want := range map[uint16]engine.Event{tls.VersionTLS12: engine.NoConnection, tls.VersionTLS13: engine.HandshakeFailed} {
			cfg := serverTLS()
			cfg.MaxVersion = v
			if p := run(t, &smtptest.Server{TLS: cfg, InsideEHLO: "-"}); p.Event != want || len(p.Chain) > 0 {
				t.Errorf("%s: %s %q", tls.VersionName(v), p.Event, p.Detail)
			}
		}
	})
}

// TestShortName: a server that does not like a name without a dot is quoted together with
// the name.
func TestShortName(t *testing.T) {
	for _, c := range []struct {
		helo string
		s    *smtptest.Server
		told bool
	}{
		{"box", &smtptest.Server{EHLO: "504 5.5.2 <box>: need fully-qualified hostname"}, true},
		{"box", &smtptest.Server{EHLO: "550 bad HELO"}, true},
		{"box", &smtptest.Server{EHLO: "450 4.7.1 bad HELO"}, true},
		{"box", &smtptest.Server{EHLO: "-"}, true},
		{"box", &smtptest.Server{TLS: serverTLS(), InsideEHLO: "504 5.5.2 no"}, true},
		{"box", &smtptest.Server{EHLO: "421 busy"}, false},
		{"box", &smtptest.Server{Greeting: "554 no"}, false},
		{"box", &smtptest.Server{}, false},
		{"box.example", &smtptest.Server{EHLO: "504 5.5.2 no"}, false},
		{"box.example", &smtptest.Server{EHLO: "-"}, false},
		{"[192.0.2.9]", &smtptest.Server{EHLO: "504 5.5.2 no"}, false},
		{"[IPv6:2001:db8::1]", &smtptest.Server{EHLO: "-"}, false},
	} {
		e, plan := planned(t, "")
		r := probe.New(probe.Config{Dial: dialTo(c.s.Start(t)), HELO: c.helo, Timeout: 5 * time.Second}).Host(t.Context(), e, plan, 0)
		a := r.Addresses[0]
		if told := strings.Contains(explain.Text(r.Decision.Reason), `gave its name as "box"`); told != c.told || a.NameDoubted != c.told {
			t.Errorf("%s, %q %q: doubted %v: %s", c.helo, c.s.Greeting, c.s.EHLO, a.NameDoubted, explain.Text(r.Decision.Reason))
		}
		if !slices.Contains(strings.Split(c.s.Said(), " | "), "EHLO "+c.helo) && c.s.Greeting == "" {
			t.Errorf("said %s", c.s.Said())
		}
	}
}

func TestFullName(t *testing.T) {
	for hosts, want := range map[string]string{
		"": "box",
		"127.0.0.1 localhost\n127.0.1.1 box.example.org box\n":       "box.example.org",
		"127.0.1.1 box box.example.org # the machine\n":              "box.example.org",
		"127.0.1.1 BOX.example.org\n":                                "BOX.example.org",
		"127.0.1.1 box\n192.0.2.1 box.example.net box\n":             "box.example.net",
		"# 127.0.1.1 box.example.org box\n127.0.0.1 localhost box\n": "box",
		"127.0.0.1 localhost.localdomain localhost box\n":            "box",
		"127.0.0.1 boxes.example.org boxes\n":                        "box",
		"127.0.0.1 a..b box\n127.0.0.1 box.example.org\n":            "box.example.org",
		"box.example.org box\n":                                      "box",
	} {
		if got := probe.FullName("box", strings.NewReader(hosts)); got != want {
			t.Errorf("%q: %s, want %s", hosts, got, want)
		}
	}
	for in, want := range map[string]string{"mx.example.org.": "mx.example.org", "bücher.example": "xn--bcher-kva.example", "box": "box", "[192.0.2.1]": "[192.0.2.1]", "[IPv6:2001:db8::1]": "[IPv6:2001:db8::1]"} {
		if got, err := probe.ParseHELO(in); err != nil || got != want {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
	for _, in := range []string{"", "a b", "[x]", "x\r\nMAIL FROM:<>", "[", "[]", "192.0.2.1 "} {
		if got, err := probe.ParseHELO(in); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
}
