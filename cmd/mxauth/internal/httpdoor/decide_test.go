package httpdoor_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/httpdoor"
	"github.com/mxauth/mxauth/internal/certtest"
)

// a chain of one certificate in base64.
func leaf() string {
	return base64.StdEncoding.EncodeToString(certtest.NewCA().Issue(certtest.New("mx.example.org", certtest.NewKey().SPKI)))
}

func decide(host, rest string) string {
	return fmt.Sprintf(`{"v":1,"request":{"next_hop":"example.org"},"host":%q,%s}`, host, rest)
}

// TestDecide: what a connection showed, in each of its forms; and what is no connection.
func TestDecide(t *testing.T) {
	c, _ := config(t)
	s := httpdoor.New(c)
	one := leaf()
	certificates := func(n, size int) string {
		return `"tls":"TLS 1.3","chain":["` + strings.Repeat(base64.StdEncoding.EncodeToString(make([]byte, size))+`","`, n-1) + base64.StdEncoding.EncodeToString(make([]byte, size)) + `"]`
	}
	for _, x := range []struct {
		name, rest string
		status     int
		want       string // in the answer
	}{
		{"no STARTTLS", `"event":"no-starttls"`, 200, `"reason_id":"no-starttls"`},
		{"no connection", `"event":"no-connection"`, 200, `"outcome":"deferred"`},
		{"a failed handshake", `"event":"handshake-failed","detail":"alert 40"`, 200, `"deliver":false`},
		{"an old version", `"tls":"TLSv1.1","chain":["` + one + `"]`, 200, `"deliver":false`},
		{"a chain that does not match", `"tls":"TLSv1.3","chain":["` + one + `"]`, 200, `"reason_id":"dane-no-match"`},
		{"another port", `"address":"192.0.2.1:26","tls":"TLS 1.3","chain":["` + one + `"]`, 200, `"reason_id":"wrong-port"`},
		{"a raw key", `"tls":"TLS 1.3","raw_key":"` + one + `"`, 200, `"deliver":false`},
		{"junk in the chain", `"tls":"TLS 1.3","chain":["AAAA"]`, 200, `"deliver":false`},
		{"nothing", `"detail":"x"`, 400, "give chain or raw_key"},
		{"two forms", `"event":"no-starttls","tls":"TLS 1.3","chain":["` + one + `"]`, 400, "give one of"},
		{"done without a chain", `"event":"handshake-done"`, 400, "has a chain"},
		{"an event of its own", `"event":"handshake-good"`, 400, "event"},
		{"an event that is a number", `"event":4`, 400, "event"},
		{"no version", `"chain":["` + one + `"]`, 400, "tls"},
		{"a strange version", `"tls":"TLS 9","chain":["` + one + `"]`, 400, "tls"},
		{"tls of an event", `"event":"no-starttls","tls":"TLS 1.3"`, 400, "completed handshake"},
		{"an empty certificate", `"tls":"TLS 1.3","chain":[""]`, 400, "empty"},
		{"64 certificates", certificates(64, 10), 200, `"deliver":false`},
		{"65 certificates", certificates(65, 10), 400, "more than 64"},
		{"256 KB", certificates(2, 128<<10), 200, `"deliver":false`},
		{"more than 256 KB", certificates(2, 128<<10+1), 400, "more than 262144"},
		{"no base64", `"tls":"TLS 1.3","chain":["!"]`, 400, "base64"},
		{"a reply code", `"event":"no-starttls","code":42`, 400, "reply code"},
		{"a long detail", `"event":"no-starttls","detail":"` + strings.Repeat("a", 1001) + `"`, 400, "detail"},
		{"a handshake that is not the caller's", `"tls":"TLS 1.3","chain":["` + one + `"],"handshake":"read"`, 400, "handshake"},
	} {
		t.Run(x.name, func(t *testing.T) {
			if status, body, _ := answer(s, post("/v1/decide", decide("mx.example.org", x.rest))); status != x.status || !strings.Contains(body, x.want) {
				t.Errorf("%d %.400s, want %d %s", status, body, x.status, x.want)
			}
		})
	}
	for host, want := range map[string]int{"MX.Example.ORG": 200, "mx.example.org.": 200, "": 400, "[192.0.2.1]": 404, "mx.example.org.example.org": 404} {
		if status, body, _ := answer(s, post("/v1/decide", decide(host, `"event":"no-starttls"`))); status != want {
			t.Errorf("%q: %d %s", host, status, body)
		}
	}
	if status, body, _ := answer(s, post("/v1/decide", `{"request":{"next_hop":"[192.0.2.9]"},"host":"[192.0.2.9]","event":"no-starttls"}`)); status != 200 || !strings.Contains(body, `"outcome":"cleartext"`) {
		t.Errorf("a literal: %d %s", status, body)
	}
}

// TestJudges: four decisions are computed at a time. One that waits longer than an answer may
// take is 504, and one that gets a place is answered.
func TestJudges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := config(t)
		b.judge = make(chan struct{})
		s := httpdoor.New(c)
		ask := func() (int, string) {
			status, body, _ := answer(s, post("/v1/decide", decide("mx.example.org", `"event":"no-starttls"`)))
			return status, body
		}
		statuses := make(chan int, 5)
		for range 4 {
			go func() { status, _ := ask(); statuses <- status }()
		}
		synctest.Wait()
		begun := time.Now()
		if status, body := ask(); status != 504 || reasonOf(t, status, body) != "late" || time.Since(begun) != httpdoor.AnswerTime {
			t.Errorf("the fifth: %d %s after %v", status, body, time.Since(begun))
		}
		go func() { status, _ := ask(); statuses <- status }()
		synctest.Wait()
		close(b.judge)
		for range 5 {
			if status := <-statuses; status != 200 {
				t.Errorf("%d", status)
			}
		}
	})
}

// TestRequestFields: the fields that the schemas describe are those that are read.
func TestRequestFields(t *testing.T) {
	for name, body := range map[string]any{"decide.schema.json": httpdoor.DecideBody{}, "delivery.schema.json": httpdoor.Delivery{}} {
		text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		var schema struct{ Properties map[string]json.RawMessage }
		if err := json.Unmarshal(text, &schema); err != nil {
			t.Fatal(err)
		}
		if err := sameFields(schema.Properties, reflect.TypeOf(body)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// sameFields compares the properties of a schema with the fields of a type.
func sameFields(properties map[string]json.RawMessage, of reflect.Type) error {
	var read, described []string
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		read = append(read, name)
		var sub struct{ Properties map[string]json.RawMessage }
		if json.Unmarshal(properties[name], &sub) == nil && sub.Properties != nil {
			if err := sameFields(sub.Properties, f.Type); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	for name := range properties {
		described = append(described, name)
	}
	slices.Sort(read)
	slices.Sort(described)
	if !slices.Equal(read, described) {
		return fmt.Errorf("read are %q, described %q", read, described)
	}
	return nil
}

// FuzzDecide: no body makes the server panic, and none that lets a message go to a host with
// TLSA records that nothing in it matches.
func FuzzDecide(f *testing.F) {
	one := leaf()
	for _, rest := range []string{`"event":"no-starttls"`, `"tls":"TLS 1.3","chain":["` + one + `"]`, `"tls":"TLS 1.3","raw_key":"AAAA"`, `"event":4`, `"requiretls":true`} {
		f.Add([]byte(decide("mx.example.org", rest)))
	}
	f.Add([]byte(`{"request":{"next_hop":"example.org","options":{"names":["a"]},"level":"secure"},"host":"mx.example.org","event":"no-connection","code":550}`))
	f.Add([]byte(`[[[[`))
	c, _ := config(f)
	s := httpdoor.New(c)
	f.Fuzz(func(t *testing.T, body []byte) {
		status, text, h := answer(s, post("/v1/decide", string(body)))
		if !slices.Contains([]int{200, 400, 404, 413}, status) || h.Get("Cache-Control") != "no-store" || !json.Valid([]byte(text)) {
			t.Fatalf("%d %s", status, text)
		}
		var b struct {
			Request struct {
				NextHop       string `json:"next_hop"`
				Level         string `json:"level"`
				TLSRequiredNo bool   `json:"tls_required_no"`
				Report        bool   `json:"tlsrpt_report"`
				Options       struct {
					Audit      bool   `json:"audit"`
					InsecureMX string `json:"insecure_mx"`
				} `json:"options"`
			} `json:"request"`
		}
		if status != http.StatusOK || json.Unmarshal(body, &b) != nil || !strings.EqualFold(b.Request.NextHop, "example.org") {
			return
		}
		weak := b.Request.Options.Audit || b.Request.TLSRequiredNo || b.Request.Report || b.Request.Level == "opportunistic" || b.Request.Level == "sts"
		if !weak && strings.Contains(text, `"deliver":true`) {
			t.Errorf("let go: %s\n%s", body, text)
		}
	})
}
