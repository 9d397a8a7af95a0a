package dnsjava_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/conformance/vectors"
	"github.com/mxauth/mxauth/conformance/vectors/dnsjava"
)

func TestRead(t *testing.T) {
	got, err := dnsjava.Read(strings.NewReader(`#Date: 2015-01-06T22:34:57+01:00
;; ->>HEADER<<- opcode: QUERY, status: NXDOMAIN, id: 1
;; flags: qr ; qd: 1 an: 1 au: 0 ad: 0
;; QUESTIONS:
;;	a.example., type = A, class = IN

;; ANSWERS:
a.example.	1	IN	A	192.0.2.1

;; AUTHORITY RECORDS:

;; Message size: 1 bytes

####
`))
	want := []dnsjava.Message{{Rcode: "NXDOMAIN", QName: "a.example.", QType: "A", Answer: []string{"a.example.\t1\tIN\tA\t192.0.2.1"}}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	for _, bad := range []string{"", "a. A 1.2.3.4", ";; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 1\na. 1 IN A 1.2.3.4"} {
		if got, err := dnsjava.Read(strings.NewReader(bad)); err == nil || got != nil {
			t.Errorf("Read(%q) = %v, %v", bad, got, err)
		}
	}
}

func TestVectors(t *testing.T) {
	dir := vectors.Dir(t, "dnssec/dnsjava")
	f, err := os.Open(filepath.Join(dir, "index.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cases, err := dnsjava.ReadIndex(f)
	if err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		r, err := os.Open(filepath.Join(dir, c.File))
		if err != nil {
			t.Fatal(err)
		}
		m, err := dnsjava.Read(r)
		r.Close()
		if err != nil || m[0].QName == "" {
			t.Errorf("%s: %v, %v", c.File, m, err)
		}
		if _, err := c.Time(); err != nil {
			t.Error(err)
		}
	}
}
