package rfc6125_test

import (
	"fmt"

	"github.com/mxauth/mxauth/rfc6125"
)

// The case that the package comment begins with: a host shows a certificate for
// another name.
func Example() {
	expected, err := rfc6125.ParseReference("alt1.smtp-in.example")
	if err != nil {
		fmt.Println(err)
		return
	}
	presented := rfc6125.ParsePresented(san(dnsName("mx.example")), subject(cn("mx.example")))

	match := presented.Match([]rfc6125.Reference{expected}, rfc6125.Options{})
	fmt.Println("matches:", match.OK)
	for _, v := range presented.Explain([]rfc6125.Reference{expected}, rfc6125.Options{}) {
		fmt.Printf("%s: %s\n", v.Identifier, v.Mismatch)
	}
	// Output:
	// matches: false
	// mx.example: other-name
	// CN=mx.example: common-name
}

// A submission client that found its server by an SRV lookup takes the mail
// domain as SRV-ID or as DNS-ID (RFC 7817 section 3).
func ExampleNewServiceReference() {
	domain, err := rfc6125.ParseHost("example.org")
	if err != nil {
		fmt.Println(err)
		return
	}
	service, err := rfc6125.NewServiceReference("submissions", domain)
	if err != nil {
		fmt.Println(err)
		return
	}
	list := []rfc6125.Reference{service, rfc6125.NewReference(domain)}
	presented := rfc6125.ParsePresented(san(dnsName("mail.example.org"), srvName("_submissions.example.org")), nil)
	match := presented.Match(list, rfc6125.Options{SRVID: true})
	fmt.Println(match.OK, match.Reference, match.Kind)
	// Output: true _submissions.example.org SRV-ID
}

func ExampleHost_Unicode() {
	for _, s := range []string{"bücher.example", "xn--bcher-kva.example", "paypаl.example"} {
		h, err := rfc6125.ParseHost(s)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s, shown as %s (%s)\n", h, h.Unicode(), h.Hints())
	}
	// Output:
	// xn--bcher-kva.example, shown as bücher.example ()
	// xn--bcher-kva.example, shown as bücher.example ()
	// xn--paypl-7ve.example, shown as xn--paypl-7ve.example (mixed scripts, confusable)
}
