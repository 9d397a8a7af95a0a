package forecast_test

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/advise/forecast"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/nametest"
	mxpkix "github.com/mxauth/mxauth/pkix"
)

// surveyOf looks at one world of the lab.
func surveyOf(t *testing.T, name string) survey.Snapshot {
	t.Helper()
	return surveyWorld(t, labtest.World(t, name))
}

// surveyWorld looks at a world.
func surveyWorld(t *testing.T, world lab.World) survey.Snapshot {
	t.Helper()
	l, err := lab.Start(t.Context(), lab.Config{Worlds: []lab.World{world}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	srv, err := upstream.PlainServer(l.Plain())
	if err != nil {
		t.Fatal(err)
	}
	anchors, err := anchor.Parse(strings.NewReader(l.TrustAnchor()))
	if err != nil {
		t.Fatal(err)
	}
	roots := mxpkix.NewRoots(l.CA())
	client, err := mxauth.New(mxauth.Config{Servers: []upstream.Server{srv}, Anchors: anchors, Roots: roots,
		AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Dial: l.Dial, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s, err := survey.Collect(t.Context(), survey.Config{Client: client, Roots: roots}, world.Domain)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ids(events []forecast.Event) map[forecast.ID]forecast.Event {
	m := map[forecast.ID]forecast.Event{}
	for _, e := range events {
		m[e.ID] = e
	}
	return m
}

// material makes a self-signed certificate that no one has published.
func material(t *testing.T) dane.Material {
	t.Helper()
	m, err := dane.ReadMaterial("next.pem", certtest.Issue(certtest.Server("next"), nil).PEM())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestForecast(t *testing.T) {
	t.Run("DANE-EE", func(t *testing.T) {
		s := surveyOf(t, "dane-ee")
		got := ids(forecast.Forecast(s, forecast.Options{}))
		e, ok := got[forecast.PinnedCertificate]
		if !ok || e.Effect != forecast.Notice {
			t.Errorf("%+v", got)
		}
		leaf := s.Hosts[0].Probe.Addresses[0].Peer.Chain[0]
		if !e.When.Equal(leaf.NotAfter) {
			t.Errorf("%s, want %s", e.When, leaf.NotAfter)
		}
		sig, ok := got[forecast.Signatures]
		if !ok || sig.Effect != forecast.Broken || !sig.When.After(s.At) {
			t.Errorf("%+v", sig)
		}
		if _, ok := got[forecast.HostCertificate]; ok {
			t.Error("DANE-EE looks at no dates")
		}
	})
	t.Run("DANE-TA", func(t *testing.T) {
		got := ids(forecast.Forecast(surveyOf(t, "dane-ta"), forecast.Options{}))
		if e, ok := got[forecast.HostCertificate]; !ok || e.Effect != forecast.Broken {
			t.Errorf("%+v", got)
		}
	})
	t.Run("MTA-STS", func(t *testing.T) {
		s := surveyOf(t, "sts-enforce")
		got := ids(forecast.Forecast(s, forecast.Options{}))
		if e := got[forecast.Policy]; !e.When.Equal(s.Plan.STS.Fetched.Add(s.Plan.STS.Policy.MaxAge).Truncate(time.Second)) || e.Effect != forecast.Weaker {
			t.Errorf("%+v", e)
		}
		if e := got[forecast.PolicyCertificate]; !e.When.Equal(s.Plan.STS.Chain[0].NotAfter) {
			t.Errorf("%+v", e)
		}
		if e := got[forecast.HostCertificate]; e.Effect != forecast.Broken || e.RFC != "8461 s.4.2" {
			t.Errorf("%+v", e)
		}
	})
	t.Run("nothing published", func(t *testing.T) {
		for _, e := range forecast.Forecast(surveyOf(t, "classic-mismatch"), forecast.Options{}) {
			if e.ID != forecast.Signatures && e.Effect != forecast.Notice {
				t.Errorf("%+v", e)
			}
		}
	})
	t.Run("soonest first and whole", func(t *testing.T) {
		events := forecast.Forecast(surveyOf(t, "dane-ta"), forecast.Options{})
		for i, e := range events {
			if i > 0 && e.When.Before(events[i-1].When) {
				t.Errorf("%s stands behind %s", e.When, events[i-1].When)
			}
			if e.Text == "" || e.Do == "" || e.RFC == "" || strings.Contains(e.Text, "%!") {
				t.Errorf("%+v", e)
			}
		}
	})
}

func TestChangeOfKeys(t *testing.T) {
	s := surveyOf(t, "dane-ee")
	h := &s.Plan.Hosts[0]
	next := material(t)
	e := ids(forecast.Forecast(s, forecast.Options{Next: next}))[forecast.SwitchPublish]
	if e.Effect != forecast.Broken || len(e.Publish) != 1 {
		t.Fatalf("%+v", e)
	}
	want, err := next.Generate(dane.Recommended(dane.DANEEE))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(e.Publish[0], "_25._tcp."+h.DANE.Base.String()+". ") || !strings.HasSuffix(e.Publish[0], " IN TLSA "+want.String()) {
		t.Errorf("%s, want %s", e.Publish[0], want)
	}
	// With its record beside the present one the switch is safe after two TTLs.
	h.DANE.Set = dane.NewSet(append(h.DANE.Set.Usable(), want), dane.UsePolicy{})
	got := ids(forecast.Forecast(s, forecast.Options{Next: next, TTL: time.Hour, Published: s.At}))
	if e := got[forecast.SwitchEarliest]; !e.When.Equal(s.At.Add(2 * time.Hour).UTC().Truncate(time.Second)) {
		t.Errorf("%+v at %s", e, s.At)
	}
	if _, ok := got[forecast.SwitchPublish]; ok {
		t.Error("the record is there already")
	}
}

func TestCalendar(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	events := []forecast.Event{
		{ID: forecast.HostCertificate, When: now.Add(time.Hour), Effect: forecast.Broken, Host: "mx.example.org", Text: "a, b; c\\ " + strings.Repeat("long ", 30), Do: "do it", Publish: []string{"line"}},
		{ID: forecast.Policy, When: now.Add(2 * time.Hour), Text: "x", Do: "y"},
	}
	var a, b bytes.Buffer
	if err := forecast.WriteCalendar(&a, "example.org", events, now); err != nil {
		t.Fatal(err)
	}
	text := a.String()
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n"), "\r\n") {
		if len(line) > 75 || strings.ContainsAny(line, "\n\r") {
			t.Errorf("%d octets: %q", len(line), line)
		}
	}
	whole := strings.ReplaceAll(text, "\r\n ", "")
	for _, want := range []string{
		"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n", "END:VCALENDAR\r\n", "DTSTAMP:20260102T030405Z\r\n", "DTSTART:20260102T040405Z\r\n",
		"SUMMARY:mx.example.org: host-certificate-ends (broken)\r\n", "SUMMARY:example.org: policy-forgotten (notice)\r\n",
		`DESCRIPTION:a\, b\; c\\ long`, `\ndo it\nline`, "TRIGGER:-P7D\r\n",
	} {
		if !strings.Contains(whole, want) {
			t.Errorf("no %q in\n%s", want, whole)
		}
	}
	if n := strings.Count(whole, "BEGIN:VEVENT"); n != 2 || strings.Count(whole, "END:VEVENT") != n || strings.Count(whole, "END:VALARM") != n {
		t.Errorf("%d events", n)
	}
	// The same events on another day keep their identifiers.
	if err := forecast.WriteCalendar(&b, "example.org", events, now.AddDate(0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	if x, y := uids(text), uids(b.String()); x != y || strings.Count(x, "@mxauth") != 2 {
		t.Errorf("%s and %s", x, y)
	}
}

// TestCalendarOfAnyDomain: a domain in another script is folded between characters, and is
// the same however it is written.
func TestCalendarOfAnyDomain(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	events := []forecast.Event{{ID: forecast.Policy, When: now, Text: "x", Do: "y"}}
	calendar := func(domain string) string {
		var b bytes.Buffer
		if err := forecast.WriteCalendar(&b, domain, events, now); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for n := range 4 {
		domain := strings.Repeat("a", n) + strings.Repeat("\u00fc.", 40) + "example"
		text := calendar(domain)
		for line := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n"), "\r\n") {
			if len(line) > 75 || !utf8.ValidString(line) {
				t.Errorf("%d octets: %q", len(line), line)
			}
		}
		if !strings.Contains(strings.ReplaceAll(text, "\r\n ", ""), "SUMMARY:"+domain+": policy-forgotten (notice)\r\n") {
			t.Errorf("no summary in\n%s", text)
		}
	}
	want := uids(calendar("xn--bcher-kva.example"))
	for _, domain := range []string{"b\u00fccher.example", "XN--BCHER-KVA.Example", "xn--bcher-kva.example."} {
		if got := uids(calendar(domain)); got != want {
			t.Errorf("%s: %s, want %s", domain, got, want)
		}
	}
	if got := uids(calendar("other.example")); got == want {
		t.Errorf("two domains are one: %s", got)
	}
}

func uids(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		if strings.HasPrefix(line, "UID:") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return strings.Join(out, " ")
}

// signedUntil is an answer that rests on signatures with this end.
func signedUntil(end time.Time) dane.Lookup {
	return dane.Lookup{Answer: dnssec.Answer{Status: dnssec.Secure, SignaturesEnd: end}}
}

var parseHost = nametest.Host

// TestSignatures: what ends together is one event, and a list stays short.
func TestSignatures(t *testing.T) {
	at := time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC)
	soon, later := at.Add(24*time.Hour), at.Add(48*time.Hour)
	hostOf := func(name string, a, tlsa time.Time) engine.Host {
		return engine.Host{Name: parseHost(t, name), DANE: dane.Host{A: signedUntil(a), TLSA: []dane.Lookup{signedUntil(tlsa)}}}
	}
	snapshot := func(mx time.Time, hosts ...engine.Host) survey.Snapshot {
		return survey.Snapshot{Plan: &engine.Plan{Orig: parseHost(t, "example.org"), Hosts: hosts}, Hosts: make([]survey.HostView, len(hosts)), MX: signedUntil(mx), At: at}
	}
	for _, c := range []struct {
		name string
		s    survey.Snapshot
		want []string // when, host and what of each event
	}{
		{"one zone", snapshot(soon, hostOf("mx.example.org", soon, soon)), []string{
			"2 , the MX records of example.org, the addresses of mx.example.org and the TLSA records of mx.example.org,"}},
		{"two zones", snapshot(later, hostOf("mx.example.net", soon, soon)), []string{
			"2 mx.example.net, the addresses of mx.example.net and the TLSA records of mx.example.net,", "3 , the MX records of example.org,"}},
		{"parts of a second", snapshot(soon, hostOf("mx.example.org", soon.Add(time.Millisecond), soon)), []string{
			"2 , the MX records of example.org, the addresses of mx.example.org and the TLSA records of mx.example.org,"}},
		{"many hosts", snapshot(soon, hostOf("a.example", soon, soon), hostOf("b.example", soon, soon), hostOf("c.example", soon, soon)), []string{
			"2 , the MX records of example.org, the addresses of a.example, the TLSA records of a.example, the addresses of b.example, the TLSA records of b.example and 2 more answers,"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, e := range forecast.Forecast(c.s, forecast.Options{}) {
				what, ok := strings.CutPrefix(e.Text, "The DNSSEC signatures of ")
				what, _, cut := strings.Cut(what, " or of a zone above")
				if e.ID != forecast.Signatures || e.Effect != forecast.Broken || !ok || !cut {
					t.Errorf("%+v", e)
				}
				got = append(got, e.When.Format("2 ")+e.Host+", "+what)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestChangeIsFree: where no TLSA record has a say, a planned certificate needs none.
func TestChangeIsFree(t *testing.T) {
	next := material(t)
	for state, want := range map[dane.State]bool{dane.None: true, dane.NA: true, dane.Unusable: true, dane.Failed: false} {
		s := survey.Snapshot{Plan: &engine.Plan{Orig: parseHost(t, "example.org"), Hosts: []engine.Host{{Name: parseHost(t, "mx.example.org"), DANE: dane.Host{State: state}}}}, Hosts: make([]survey.HostView, 1), At: time.Now()}
		got := ids(forecast.Forecast(s, forecast.Options{Next: next}))
		if e, ok := got[forecast.SwitchFree]; ok != want || ok && (e.Effect != forecast.Notice || e.Host != "mx.example.org") {
			t.Errorf("%v: %+v", state, got)
		}
		if got := forecast.Forecast(s, forecast.Options{}); len(got) != 0 {
			t.Errorf("%v: nothing is planned, and %+v", state, got)
		}
	}
}

// TestEnded: signatures that have ended are not "nothing that ends".
func TestEnded(t *testing.T) {
	for _, c := range []struct {
		world string
		want  forecast.ID
		says  string
	}{
		{"tlsa-expired", forecast.SignaturesEnded, "the TLSA records of mx.tlsa-expired.test"},
		{"zone-expired", forecast.SignaturesEnded, "the MX records of zone-expired.test"},
		{"tlsa-servfail", forecast.LookupFails, "SERVFAIL"},
	} {
		s := surveyOf(t, c.world)
		e, ok := ids(forecast.Forecast(s, forecast.Options{}))[c.want]
		if !ok || e.Effect != forecast.Broken || e.When.After(s.At) || !strings.Contains(e.Text, c.says) {
			t.Errorf("%s: %+v, want %s with %q", c.world, e, c.want, c.says)
		}
	}
}

// TestOriginalTTL: the TTL of the zone comes with a proved answer.
func TestOriginalTTL(t *testing.T) {
	s := surveyOf(t, "lint-short-ttl")
	tlsa := s.Plan.Hosts[0].DANE.TLSA
	if l := tlsa[len(tlsa)-1]; l.Answer.OriginalTTL != 3600 {
		t.Errorf("%d", l.Answer.OriginalTTL)
	}
}
