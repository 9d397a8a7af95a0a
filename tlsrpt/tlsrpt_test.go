package tlsrpt_test

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/conformance/sets/reports"
	"github.com/mxauth/mxauth/conformance/sets/setstest"
	"github.com/mxauth/mxauth/conformance/vectors"
	"github.com/mxauth/mxauth/conformance/vectors/tlsrptfacts"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/internal/nametest"
	"github.com/mxauth/mxauth/tlsrpt"
)

func TestVectors(t *testing.T) { setstest.Run(t, "tlsrpt", reports.TLSRPT) }

// TestReportsPrinted: nothing of a published report is lost in print but the form of the
// times.
func TestReportsPrinted(t *testing.T) {
	_, all, err := tlsrptfacts.Load(vectors.Dir(t, "tlsrpt"))
	if err != nil || len(all) == 0 {
		t.Fatalf("%d reports: %v", len(all), err)
	}
	for _, v := range all {
		t.Run(v.Case, func(t *testing.T) {
			r, err := tlsrpt.ParseReport(v.JSON)
			if err != nil {
				t.Fatal(err)
			}
			out, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			var a, b map[string]any
			if json.Unmarshal(v.JSON, &a) != nil || json.Unmarshal(out, &b) != nil {
				t.Fatal("not JSON")
			}
			for _, m := range []map[string]any{a, b} {
				rng := m["date-range"].(map[string]any)
				for k, s := range rng {
					rng[k] = strings.TrimSuffix(s.(string), "Z")
				}
			}
			if d := cmp.Diff(a, b); d != "" {
				t.Errorf("as printed: %s", d)
			}
		})
	}
}

var host = nametest.Host

func TestRecord(t *testing.T) {
	const good = "v=TLSRPTv1; rua=mailto:a@example.org"
	t.Run("TLSRPT-3-01 the record is TXT at _smtp._tls below the policy domain and begins with v=TLSRPTv1 in exactly that case", func(t *testing.T) {
		r := dnsfake.New()
		r.Add(`_smtp._tls.xn--bcher-kva.example. 300 IN TXT "` + good + `"`)
		if _, err := tlsrpt.Lookup(t.Context(), r, host(t, "bücher.example")); err != nil {
			t.Fatal(err)
		}
		if q := r.Asked(); len(q) != 1 || q[0].String() != "_smtp._tls.xn--bcher-kva.example TXT" {
			t.Errorf("asked %v", q)
		}
		for _, bad := range []string{"V=TLSRPTv1; rua=mailto:a@example.org", "v=tlsrptv1; rua=mailto:a@example.org", " " + good, "v=TLSRPTv11; rua=mailto:a@example.org", "v=TLSRPTv1", "x", ""} {
			if _, err := tlsrpt.ParseRecord(bad); err == nil {
				t.Errorf("%q was taken", bad)
			}
		}
	})
	t.Run("TLSRPT-3-02 rua is required, and schemes but mailto and https are no destination", func(t *testing.T) {
		r, err := tlsrpt.ParseRecord("v=TLSRPTv1; rua=ftp://example.org/x,mailto:a@example.org,https://r.example.org/v1,mailto:a@example.org")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"mailto:a@example.org", "https://r.example.org/v1"}, r.Destinations()); d != "" {
			t.Error(d)
		}
		for _, bad := range []string{"v=TLSRPTv1; x=y", "v=TLSRPTv1;", "v=TLSRPTv1; rua=", "v=TLSRPTv1; rua"} {
			if _, err := tlsrpt.ParseRecord(bad); err == nil {
				t.Errorf("%q was taken", bad)
			}
		}
	})
	t.Run("TLSRPT-3-03 an encoded comma does not split a URI", func(t *testing.T) {
		r, err := tlsrpt.ParseRecord("v=TLSRPTv1; rua=mailto:a%2Cb%3Bc%21@example.org")
		if err != nil || len(r.RUA) != 1 || len(r.RUA[0]) != 1 || r.RUA[0][0] != "mailto:a%2Cb%3Bc%21@example.org" {
			t.Errorf("%v, %v", r.RUA, err)
		}
		if _, err := tlsrpt.ParseRecord("v=TLSRPTv1; rua=mailto:a!b@example.org"); err == nil {
			t.Error("a bare exclamation point was taken")
		}
	})
	t.Run("TLSRPT-3-04 other TXT records are dropped before counting", func(t *testing.T) {
		for _, lead := range []string{"v=TLSRPTv1;", "v=TLSRPTv1 \t;"} {
			r, err := tlsrpt.SelectRecord([]string{"v=spf1 -all", lead + " rua=mailto:a@example.org", "v=TLSRPTv10; rua=mailto:b@example.org", "v=TLSRPTv1"})
			if err != nil || len(r.RUA) != 1 {
				t.Errorf("%q: %v, %v", lead, r, err)
			}
		}
	})
	t.Run("TLSRPT-3-05 none or two records are no record", func(t *testing.T) {
		for _, txt := range [][]string{nil, {"v=spf1"}, {good, good}} {
			if _, err := tlsrpt.SelectRecord(txt); !errors.Is(err, tlsrpt.ErrNoRecord) {
				t.Errorf("%q: %v", txt, err)
			}
		}
	})
	t.Run("TLSRPT-3-06 strings are joined without blanks and unknown fields are kept", func(t *testing.T) {
		r := dnsfake.New()
		r.Add(`_smtp._tls.example.org. 300 IN TXT "v=TLSRPTv1; r" "ua=mailto:a@exam" "ple.org; x=y"`)
		rec, err := tlsrpt.Lookup(t.Context(), r, host(t, "example.org"))
		if err != nil {
			t.Fatal(err)
		}
		if rec.Text != "v=TLSRPTv1; rua=mailto:a@example.org; x=y" || len(rec.Ext) != 1 || rec.Ext[0] != (tlsrpt.Field{Name: "x", Value: "y"}) {
			t.Errorf("%+v", rec)
		}
	})
	t.Run("a failed lookup is not an absent record", func(t *testing.T) {
		r := dnsfake.New()
		r.Fail("_smtp._tls.example.org", dnssec.TypeTXT, dnssec.ErrTimeout)
		_, err := tlsrpt.Lookup(t.Context(), r, host(t, "example.org"))
		if !errors.Is(err, dnssec.ErrTimeout) || errors.Is(err, tlsrpt.ErrNoRecord) {
			t.Error(err)
		}
	})
	t.Run("bounds", func(t *testing.T) {
		many := strings.TrimSuffix(strings.Repeat("mailto:a@example.org,", 16), ",")
		if _, err := tlsrpt.ParseRecord("v=TLSRPTv1; rua=" + many); err != nil {
			t.Error(err)
		}
		if _, err := tlsrpt.ParseRecord("v=TLSRPTv1; rua=" + many + ",mailto:b@example.org"); err == nil {
			t.Error("17 destinations were taken")
		}
		long := good + "; x=" + strings.Repeat("y", 4096-len(good)-4)
		if _, err := tlsrpt.ParseRecord(long); err != nil {
			t.Errorf("4096 octets: %v", err)
		}
		if _, err := tlsrpt.ParseRecord(long + "y"); err == nil {
			t.Error("4097 octets were taken")
		}
		name := strings.Repeat("a", 32)
		if _, err := tlsrpt.ParseRecord(good + "; " + name + "=1"); err != nil {
			t.Error(err)
		}
	})
	t.Run("a syntax error names the offending text", func(t *testing.T) {
		_, err := tlsrpt.ParseRecord(good + "; b\x1bd=1")
		var se *tlsrpt.SyntaxError
		if !errors.As(err, &se) || se.Text != "b\x1bd=1" || strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%v", err)
		}
	})
	t.Run("names that cannot be are refused", func(t *testing.T) {
		label := strings.Repeat("a", 61)
		h := host(t, label+"."+label+"."+label+"."+label)
		if _, err := tlsrpt.Lookup(t.Context(), dnsfake.New(), h); !errors.Is(err, tlsrpt.ErrNoRecord) {
			t.Errorf("a name too long for the labels in front of it: %v", err)
		}
	})
}

func session() tlsrpt.Session {
	return tlsrpt.Session{
		Domain: "xn--bcher-kva.example", Record: "v=TLSRPTv1; rua=mailto:a@example.org",
		Entries: []tlsrpt.Entry{
			{
				Policy: tlsrpt.Policy{Type: tlsrpt.PolicySTS, Strings: []string{"version: STSv1", "mode: enforce"}, Domain: "xn--bcher-kva.example", MXHosts: []string{"*.example"}},
				Failures: []tlsrpt.Failure{
					{Type: tlsrpt.CertificateExpired, SendingIP: "192.0.2.1", MXHost: "mx.example", MXHelo: "mx", ReceivingIP: "192.0.2.2", Info: "https://x.example", ReasonCode: "expired"},
					{Type: tlsrpt.STSPolicyFetchError},
				},
			},
			{Policy: tlsrpt.Policy{Type: tlsrpt.PolicyTLSA, Strings: []string{"3 1 1 ab"}, Domain: "mx.example"}, Compliant: true},
		},
	}
}

// taken reads a datagram the way the collector does, by the key names of libtlsrpt's
// public sources, independent of the client's own types.
func taken(t *testing.T, b []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return m
}

func TestClient(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tlsrpt.socket")
	listen := func() *net.UnixConn {
		t.Helper()
		l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return l
	}
	c, err := tlsrpt.NewClient(tlsrpt.ClientConfig{Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(session()); !errors.Is(err, tlsrpt.ErrDropped) {
		t.Errorf("without a collector: %v", err)
	}
	l := listen()
	if err := c.Send(session()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	n, err := l.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"d": "xn--bcher-kva.example", "pr": "v=TLSRPTv1; rua=mailto:a@example.org",
		"policies": []any{
			map[string]any{
				"policy-type": 2.0, "policy-domain": "xn--bcher-kva.example", "policy-string": []any{"version: STSv1", "mode: enforce"}, "mx-host": []any{"*.example"},
				"failure-details": []any{
					map[string]any{"c": 204.0, "s": "192.0.2.1", "n": "mx.example", "h": "mx", "r": "192.0.2.2", "a": "https://x.example", "f": "expired"},
					map[string]any{"c": 301.0},
				},
				"t": 2.0, "f": 1.0,
			},
			map[string]any{"policy-type": 1.0, "policy-domain": "mx.example", "policy-string": []any{"3 1 1 ab"}, "t": 0.0, "f": 0.0},
		},
	}
	if d := cmp.Diff(want, taken(t, buf[:n])); d != "" {
		t.Error(d)
	}

	// A collector that was restarted is found again: one datagram may be lost to it.
	l.Close()
	if err := c.Send(session()); !errors.Is(err, tlsrpt.ErrDropped) {
		t.Errorf("to a collector that is gone: %v", err)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	l = listen()
	defer l.Close()
	if err := c.Send(session()); err != nil {
		t.Errorf("after its return: %v", err)
	}

	// One that does not read costs a counter, not time.
	start := time.Now()
	var dropped error
	for range 20000 {
		if dropped = c.Send(session()); dropped != nil {
			break
		}
	}
	if !errors.Is(dropped, tlsrpt.ErrDropped) {
		t.Errorf("a full queue: %v", dropped)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	big := session()
	big.Record = strings.Repeat("x", 65000)
	if err := c.Send(big); !errors.Is(err, tlsrpt.ErrDropped) {
		t.Errorf("a datagram over 65,000 octets: %v", err)
	}
	sent, lost := c.Stats()
	if sent < 2 || lost != 4 {
		t.Errorf("sent %d, dropped %d", sent, lost)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Send(session()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestClientRefuses(t *testing.T) {
	if _, err := tlsrpt.NewClient(tlsrpt.ClientConfig{}); err == nil {
		t.Error("no socket was taken")
	}
	for what, change := range map[string]func(*tlsrpt.Session){
		"no domain":   func(s *tlsrpt.Session) { s.Domain = "" },
		"no policy":   func(s *tlsrpt.Session) { s.Entries = nil },
		"policy type": func(s *tlsrpt.Session) { s.Entries[0].Policy.Type = "dane" },
		"result type": func(s *tlsrpt.Session) { s.Entries[0].Failures[1].Type = "other" },
	} {
		s := session()
		change(&s)
		if _, err := tlsrpt.Datagram(s); !errors.Is(err, tlsrpt.ErrSession) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSessionCounts(t *testing.T) {
	t.Run("TLSRPT-4.2-01 a session counts once, whatever the number of failures", func(t *testing.T) {
		b, err := tlsrpt.Datagram(session())
		if err != nil {
			t.Fatal(err)
		}
		failed, good := 0.0, 0.0
		for _, p := range taken(t, b)["policies"].([]any) {
			f := p.(map[string]any)["f"].(float64)
			failed += f
			good += 1 - f
		}
		if failed != 1 || good != 1 {
			t.Errorf("%v failed and %v good entries in %s", failed, good, b)
		}
	})
	t.Run("TLSRPT-4.4-02 domains and patterns are A-labels", func(t *testing.T) {
		s := session()
		s.Domain = "b\u00fccher.example"
		if _, err := tlsrpt.Datagram(s); !errors.Is(err, tlsrpt.ErrSession) {
			t.Errorf("a U-label as domain: %v", err)
		}
		s = session()
		s.Entries[0].Policy.MXHosts = []string{"*.b\u00fccher.example"}
		if _, err := tlsrpt.Datagram(s); !errors.Is(err, tlsrpt.ErrSession) {
			t.Errorf("a U-label as pattern: %v", err)
		}
		s = session()
		s.Entries[1].Policy.Domain = "b\u00fccher.example"
		if _, err := tlsrpt.Datagram(s); !errors.Is(err, tlsrpt.ErrSession) {
			t.Errorf("a U-label as policy domain: %v", err)
		}
	})
}

func TestCodes(t *testing.T) {
	want := map[tlsrpt.ResultType]float64{
		"starttls-not-supported": 201, "certificate-host-mismatch": 202, "certificate-not-trusted": 203, "certificate-expired": 204, "validation-failure": 205,
		"sts-policy-fetch-error": 301, "sts-policy-invalid": 302, "sts-webpki-invalid": 303, "tlsa-invalid": 304, "dnssec-invalid": 305, "dane-required": 306,
	}
	if len(tlsrpt.ResultTypes()) != len(want) {
		t.Fatalf("%d result types", len(tlsrpt.ResultTypes()))
	}
	for _, rt := range tlsrpt.ResultTypes() {
		s := tlsrpt.Session{Domain: "a.example", Entries: []tlsrpt.Entry{{Policy: tlsrpt.Policy{Type: tlsrpt.PolicyNoFound}, Failures: []tlsrpt.Failure{{Type: rt}}}}}
		b, err := tlsrpt.Datagram(s)
		if err != nil {
			t.Fatal(err)
		}
		p := taken(t, b)["policies"].([]any)[0].(map[string]any)
		if p["policy-type"] != 9.0 || p["failure-details"].([]any)[0].(map[string]any)["c"] != want[rt] {
			t.Errorf("%s: %s", rt, b)
		}
	}
	if tlsrpt.ResultType("").IsValid() || tlsrpt.PolicyType("").IsValid() {
		t.Error("a zero value is valid")
	}
}

func report() tlsrpt.Report {
	return tlsrpt.Report{
		Organization: "Example", Contact: "postmaster@example.org", ID: "2026-11-24T00:00:00Z_a b",
		Start: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC), End: time.Date(2026, 11, 24, 23, 59, 59, 0, time.UTC),
		Policies: []tlsrpt.PolicyReport{{
			Policy:  tlsrpt.Policy{Type: tlsrpt.PolicySTS, Domain: "xn--bcher-kva.example", MXHosts: []string{"*.xn--bcher-kva.example"}, Strings: []string{"version: STSv1", "mx: a", "mx: b", "bogus line"}},
			Success: 3, Failure: 1,
			Failures: []tlsrpt.FailureCount{{Failure: tlsrpt.Failure{Type: tlsrpt.CertificateNotTrusted, ReasonCode: "unknown-ca"}, Sessions: 1}},
		}},
	}
}

func TestReport(t *testing.T) {
	t.Run("TLSRPT-4.4-01 names, nesting and types follow the schema", func(t *testing.T) {
		b, err := json.Marshal(report())
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"organization-name": "Example", "contact-info": "postmaster@example.org", "report-id": "2026-11-24T00:00:00Z_a b",
			"date-range": map[string]any{"start-datetime": "2026-11-24T00:00:00Z", "end-datetime": "2026-11-24T23:59:59Z"},
			"policies": []any{map[string]any{
				"policy":          map[string]any{"policy-type": "sts", "policy-domain": "xn--bcher-kva.example", "mx-host": []any{"*.xn--bcher-kva.example"}, "policy-string": []any{"version: STSv1", "mx: a", "mx: b", "bogus line"}},
				"summary":         map[string]any{"total-successful-session-count": 3.0, "total-failure-session-count": 1.0},
				"failure-details": []any{map[string]any{"result-type": "certificate-not-trusted", "failed-session-count": 1.0, "failure-reason-code": "unknown-ca"}},
			}},
		}
		if d := cmp.Diff(want, taken(t, b)); d != "" {
			t.Error(d)
		}
	})
	t.Run("TLSRPT-4-02 policies is an array, also an empty one", func(t *testing.T) {
		r := report()
		r.Policies = nil
		b, _ := json.Marshal(r)
		if p, ok := taken(t, b)["policies"].([]any); !ok || len(p) != 0 {
			t.Errorf("%s", b)
		}
		if _, err := tlsrpt.ParseReport([]byte(`{"date-range":{"start-datetime":"2026-11-24T00:00:00Z","end-datetime":"2026-11-24T00:00:00Z"}}`)); !errors.Is(err, tlsrpt.ErrReport) {
			t.Errorf("a report without policies: %v", err)
		}
	})
	t.Run("TLSRPT-4-01 output is UTF-8 and has no key twice", func(t *testing.T) {
		r := report()
		r.Organization = "a\xffb"
		b, err := json.Marshal(r)
		if err != nil || !json.Valid(b) || strings.ContainsRune(string(b), 0xff) {
			t.Errorf("%q, %v", b, err)
		}
		if strings.Count(string(b), `"policy-type"`) != 1 || strings.Count(string(b), `"report-id"`) != 1 {
			t.Errorf("%s", b)
		}
	})
	t.Run("TLSRPT-5.1-01 the file name", func(t *testing.T) {
		r := report()
		if got, want := r.FileName("mail.example.org", "xn--bcher-kva.example", true), "mail.example.org!xn--bcher-kva.example!1795478400!1795564799!20261124T000000Zab.json.gz"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		r.ID = ""
		if got, want := r.FileName("a", "b", false), "a!b!1795478400!1795564799.json"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
	t.Run("TLSRPT-5.2-01 a report is sent compressed and read so", func(t *testing.T) {
		b, err := report().Compress()
		if err != nil {
			t.Fatal(err)
		}
		if b[0] != 0x1f || b[1] != 0x8b {
			t.Errorf("% x is no gzip", b[:2])
		}
		r, err := tlsrpt.ParseReport(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(report(), r); d != "" {
			t.Error(d)
		}
	})
	t.Run("what others send", func(t *testing.T) {
		const lone = `{"date-range":{"start-datetime":"2026-11-24T00:00:00","end-datetime":"2026-11-24T02:00:00+02:00"},"policies":[{"policy":{"policy-type":"sts","mx-host":"a.example"},"new":1}]}`
		r, err := tlsrpt.ParseReport([]byte(lone))
		if err != nil {
			t.Fatal(err)
		}
		if !r.Start.Equal(r.End) || r.End.Location() != time.UTC || len(r.Policies[0].Policy.MXHosts) != 1 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("what is no report", func(t *testing.T) {
		for _, bad := range []string{
			"", "{}", "[]", "\x1f\x8b", "\x1f\x8bxxxxxxxxxxxx",
			`{"date-range":{"start-datetime":"today","end-datetime":"2026-11-24T00:00:00Z"},"policies":[]}`,
			`{"date-range":{"start-datetime":"2026-11-24T00:00:00Z","end-datetime":"then"},"policies":[]}`,
			`{"date-range":{"start-datetime":"2026-11-24T00:00:00Z","end-datetime":"2026-11-24T00:00:00Z"},"policies":[{"policy":{"policy-type":"x"}}]}`,
			`{"date-range":{"start-datetime":"2026-11-24T00:00:00Z","end-datetime":"2026-11-24T00:00:00Z"},"policies":[{"policy":{"policy-type":"sts","mx-host":1}}]}`,
			strings.Repeat(" ", tlsrpt.MaxReport+1),
		} {
			if _, err := tlsrpt.ParseReport([]byte(bad)); !errors.Is(err, tlsrpt.ErrReport) {
				t.Errorf("%.60q: %v", bad, err)
			}
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	f.Add("v=TLSRPTv1; rua=mailto:a@example.org,https://r.example.org/v1; x=y;")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := tlsrpt.ParseRecord(s)
		if err != nil {
			if !reflect.DeepEqual(r, tlsrpt.Record{}) {
				t.Errorf("an error and a record: %+v", r)
			}
			return
		}
		if len(r.RUA) == 0 || r.Text != s {
			t.Errorf("%+v", r)
		}
		// Printed in one canonical form it reads back to the same.
		out := "v=TLSRPTv1"
		for _, list := range r.RUA {
			out += "; rua=" + strings.Join(list, ",")
		}
		for _, e := range r.Ext {
			out += "; " + e.Name + "=" + e.Value
		}
		again, err := tlsrpt.ParseRecord(out)
		if err != nil {
			if len(out) > 4096 {
				return
			}
			t.Fatalf("%q from %q: %v", out, s, err)
		}
		if !reflect.DeepEqual(again.RUA, r.RUA) || !reflect.DeepEqual(again.Ext, r.Ext) {
			t.Errorf("%+v, again %+v", r, again)
		}
	})
}

func FuzzParseReport(f *testing.F) {
	b, _ := json.Marshal(report())
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := tlsrpt.ParseReport(b)
		if err != nil {
			return
		}
		out, err := json.Marshal(r)
		if err != nil {
			return // a year that RFC 3339 has no form for cannot come from one
		}
		again, err := tlsrpt.ParseReport(out)
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if out2, _ := json.Marshal(again); string(out2) != string(out) {
			t.Errorf("%s, again %s", out, out2)
		}
	})
}
