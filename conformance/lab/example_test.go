package lab_test

import (
	"context"
	"fmt"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/conformance/lab"
)

// A world is described in a few lines: here a domain with DANE whose TLSA records have
// lost their signatures on the way.
func Example() {
	l, err := lab.Start(context.Background(), lab.Config{Worlds: []lab.World{{
		Name: "stripped", Domain: "stripped.test",
		About: "the TLSA records come without signatures",
		Zones: []lab.Zone{{Apex: "stripped.test", Break: []lab.Break{{What: lab.Stripped, Type: "TLSA"}}}},
		Hosts: []lab.Host{{Name: "mx.stripped.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}}},
		Want:  lab.Want{Outcome: "deferred"},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	for _, question := range []struct {
		name string
		typ  uint16
	}{{"stripped.test.", dns.TypeMX}, {"_25._tcp.mx.stripped.test.", dns.TypeTLSA}} {
		q := new(dns.Msg)
		q.SetQuestion(question.name, question.typ)
		q.SetEdns0(1232, true)
		r, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(q, l.Resolver().String())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(question.name, dns.RcodeToString[r.Rcode], "AD", r.AuthenticatedData)
	}
	// Output:
	// stripped.test. NOERROR AD true
	// _25._tcp.mx.stripped.test. SERVFAIL AD false
}
