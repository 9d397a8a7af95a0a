package evidence_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/internal/eachfield"
)

// TestRequestHasEachField: requests that differ in one field are written differently, and
// are read as they were. Sorted alone is not written: the hosts of a file are in order.
func TestRequestHasEachField(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	write := func(r engine.Request) string {
		plan := &engine.Plan{Request: r, Made: at}
		file := new(evidence.Recorder).File(t.Context(), at, evidence.Setup{Mode: evidence.ModeValidate}, plan, nil, engine.Summary{})
		var b bytes.Buffer
		if err := file.Write(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	base := engine.Request{NextHop: "example.org", Level: engine.LevelSecure}
	seen := map[string]string{write(base): "no field"}
	for name, r := range eachfield.Of(base) {
		text := write(r)
		if other, shared := seen[text]; shared != (name == "Sorted") {
			t.Errorf("%s: written as %s", name, other)
		}
		seen[text] = name
		file, err := evidence.Read(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := r
		want.Sorted, want.Options.TLSA = false, dane.UsePolicy{} // TLSA is in File.TLSA
		if !reflect.DeepEqual(file.Request.Request, want) {
			t.Errorf("%s: read as %+v, want %+v", name, file.Request.Request, want)
		}
	}
}

// TestRequestBytes: the request of format version 1, byte for byte.
func TestRequestBytes(t *testing.T) {
	const all = `"request":{"next_hop":"example.org","smarthost":true,"port":26,"level":"secure","requiretls":true,"tls_required_no":true,` +
		`"null_return_path":true,"tlsrpt_report":true,"options":{"insecure_mx":"may","dane_and_sts":"both","sts_undetermined":"defer",` +
		`"refuse_mx_alias":true,"no_cn_id":true,"no_clear_fallback":true,"audit":true,"no_address_defer":true,"lower_all":true,` +
		`"names":["a.example","b.example"]},"own_hosts":["own.example"],"own_addresses":["192.0.2.1"],` +
		`"exceptions":[{"id":"x","domain":"example.org","mx":"mx.example.org","method":"dane","effect":"may","reason":"r","author":"a","ends":"2026-02-01T00:00:00Z"}]}`
	const least = `"request":{"next_hop":"example.org","level":"default","options":{"insecure_mx":"dane","dane_and_sts":"dane-first","sts_undetermined":"proceed"}}`
	for _, want := range []string{all, least} {
		file, err := evidence.Read(strings.NewReader(`{"v":1,"at":"2026-01-02T03:04:05Z","mode":"validate",` + want + `,"dns":[],"sts":null,"hosts":[],"verdict":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := file.Write(&b); err != nil {
			t.Fatal(err)
		}
		got := strings.ReplaceAll(strings.ReplaceAll(b.String(), "\n", ""), " ", "")
		if !strings.Contains(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	_, err := evidence.Read(strings.NewReader(`{"v":1,"at":"2026-01-02T03:04:05Z","mode":"validate","request":{"next_hop":"example.org","Sorted":true}}`))
	if !errors.Is(err, evidence.ErrFile) {
		t.Errorf("a field that is not of the format: %v", err)
	}
}
