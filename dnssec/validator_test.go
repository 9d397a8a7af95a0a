package dnssec_test

import (
	"testing"
)

func TestTree(t *testing.T) {
	for q, want := range map[string]string{
		"mx.example.test. A":             "secure data",
		"example.test. MX":               "secure data",
		"_25._tcp.mx.example.test. TLSA": "secure data",
		"alias.example.test. A":          "secure data",
		"out.example.test. A":            "insecure data unsigned-delegation",
		"back.unsigned.test. A":          "insecure data unsigned-delegation",
		"foo.wild.example.test. A":       "secure data",
		"foo.wild.example.test. AAAA":    "secure nodata",
		"explicit.wild.example.test. A":  "secure data",
		"below.example.test. A":          "secure nodata",
		"ent.below.example.test. A":      "secure nodata",
		"nowhere.example.test. A":        "secure nxdomain",
		"a.b.c.example.test. A":          "secure nxdomain",
		"mx.example.test. TXT":           "secure nodata",
		"www.d.example.test. A":          "secure data",
		"foo.d.example.test. A":          "secure nxdomain",
		"upper.example.test. MX":         "secure data",
		"host.example.test. HINFO":       "secure data",
		"mx.unsigned.test. A":            "insecure data unsigned-delegation",
		"unsigned.test. DS":              "secure nodata",
		"nowhere.unsigned.test. A":       "insecure nxdomain unsigned-delegation",
		"example.test. DS":               "secure data",
		"mx.hashed.test. A":              "secure data",
		"foo.wild.hashed.test. A":        "secure data",
		"foo.wild.hashed.test. AAAA":     "secure nodata",
		"below.hashed.test. A":           "secure nodata",
		"nowhere.hashed.test. A":         "secure nxdomain",
		"a.b.c.hashed.test. A":           "secure nxdomain",
		"mx.hashed.test. TXT":            "secure nodata",
		"mx.opt.test. A":                 "secure data",
		"nowhere.opt.test. A":            "insecure nxdomain opt-out",
		"foo.wild.opt.test. A":           "insecure data opt-out",
		"foo.wild.opt.test. AAAA":        "insecure nodata opt-out",
		"mx.opt.test. TXT":               "secure nodata",
		"mx.unsigned.opt.test. A":        "insecure data opt-out",
		"unsigned.opt.test. DS":          "insecure nodata opt-out",
		"nowhere. A":                     "secure nxdomain",
		". NS":                           "secure data",
		". DNSKEY":                       "secure data",
		"test. DNSKEY":                   "secure data",
		". DS":                           "secure nodata",
	} {
		t.Run(q, func(t *testing.T) { newTree(t).want(q, want) })
	}
}
