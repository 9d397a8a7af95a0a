package mxauth_test

import (
	"context"
	"fmt"
	"go/parser"
	"go/token"
	"log"
	"os"
	"strings"
	"testing"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
)

// printVerdict is the whole of a program: the zero Config is ready.
func printVerdict(ctx context.Context, config mxauth.Config, domain string) error {
	client, err := mxauth.New(config)
	if err != nil {
		return err
	}
	defer client.Close()
	verdict, err := client.Check(ctx, domain)
	if err != nil {
		return err
	}
	fmt.Println(verdict.Outcome, explain.Text(verdict.Reason))
	return nil
}

func Example() {
	config, stop, err := worlds(context.Background(), "dane-ee", "null-mx") // in real life mxauth.Config{}
	if err != nil {
		log.Fatal(err)
	}
	defer stop()
	if err := printVerdict(context.Background(), config, "null-mx.test"); err != nil {
		log.Fatal(err)
	}
	// Output: bounced The domain null-mx.test says that it takes no mail (null MX record `0 .`, validated by DNSSEC).
}

// The plan says what each host must prove before a mail server connects to it.
func ExampleClient_Plan() {
	ctx := context.Background()
	config, stop, err := worlds(ctx, "dane-ee") // in real life mxauth.Config{}
	if err != nil {
		log.Fatal(err)
	}
	defer stop()
	client, err := mxauth.New(config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	plan, err := client.Plan(ctx, engine.Request{NextHop: "dane-ee.test"})
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range plan.Hosts {
		fmt.Println(h.Name, h.Requirement, h.SNI)
	}
	// Output: mx.dane-ee.test dane mx.dane-ee.test
}

// TestPackageComment checks that the code of the package comment is that of the example.
func TestPackageComment(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "mxauth.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for line := range strings.Lines(f.Doc.Text()) {
		if code, ok := strings.CutPrefix(line, "\t"); ok {
			shown = append(shown, "\t"+code)
		}
	}
	src, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	code := strings.Replace(strings.Join(shown, ""), "mxauth.New(mxauth.Config{})", "mxauth.New(config)", 1)
	code = strings.Replace(code, `"example.org"`, "domain", 1)
	if len(shown) != 10 || !strings.Contains(string(src), "domain string) error {\n"+code) {
		t.Errorf("%d lines:\n%s", len(shown), code)
	}
}
