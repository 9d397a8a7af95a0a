package dane_test

import (
	"fmt"

	"github.com/mxauth/mxauth/dane"
)

// A TLSA RRset as a zone has it, judged for SMTP before any connection.
func ExampleNewSet() {
	const digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	var records []dane.Record
	for _, line := range []string{"3 1 1 " + digest, "DANE-TA Cert SHA2-256 " + digest, "1 0 1 " + digest, "3 1 1 e3b0"} {
		r, err := dane.ParseRecord(line)
		if err != nil {
			fmt.Println(err)
			continue
		}
		records = append(records, r)
	}
	for _, u := range dane.NewSet(records, dane.UsePolicy{}).Uses() {
		fmt.Printf("%s: %t %q\n", u.Record.Numbers(), u.Usable, u.Fault)
	}
	// Output:
	// 3 1 1: true ""
	// 2 0 1: true ""
	// 1 0 1: false "pkix-usage"
	// 3 1 1: false "length"
}

// The forms in which a record is printed.
func ExampleRecord() {
	r, err := dane.ParseRecord("3 1 2 AB CD")
	fmt.Println(r, err)
	fmt.Println(r.Mnemonic())
	fmt.Println(r.Generic())
	// Output:
	// 3 1 2 abcd <nil>
	// DANE-EE SPKI SHA2-512 abcd
	// \# 5 030102abcd
}
