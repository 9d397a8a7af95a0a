package explain_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
)

var update = flag.Bool("update", false, "write docs/reasons.md")

const reasonsPage = "../../docs/reasons.md"

// TestReasonsPage holds docs/reasons.md to the table. go generate writes it.
func TestReasonsPage(t *testing.T) {
	want := page()
	if *update {
		if err := os.WriteFile(reasonsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(reasonsPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/reasons.md is stale: go generate ./engine/explain")
	}
}

func page() string {
	var b strings.Builder
	b.WriteString(`# Reasons

Every verdict of mxauth carries a reason: a stable word, a sentence with the names of
the case, and the section of the rule behind it. This page lists all of them, with what
the administrators of both sides can do. It is made from the table in package engine/explain
by ` + "`go generate ./engine/explain`" + `.

"TLSRPT" is the result type of RFC 8460 under which a failure is reported to the
recipient's domain, with the policy that it belongs to; "status" is the enhanced status
code for a log line or a notification.
`)
	for _, r := range explain.Reasons() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", r.ID, r.About)
		fmt.Fprintf(&b, "- Rule: RFC %s\n", strings.Replace(r.RFC, " s.", " section ", 1))
		if r.ResultType != "" {
			fmt.Fprintf(&b, "- TLSRPT: %s", r.ResultType)
			if r.ID.Policy() != "" {
				fmt.Fprintf(&b, " (%s)", r.ID.Policy())
			}
			b.WriteString("\n")
		}
		if r.Code != "" {
			fmt.Fprintf(&b, "- Status: %s\n", r.Code)
		}
		fmt.Fprintf(&b, "- Sender: %s\n- Recipient: %s\n", r.Sender, r.Recipient)
	}
	return b.String()
}

func TestReasonTable(t *testing.T) {
	id, rfc, code := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`), regexp.MustCompile(`^\d{4} s\.\d+(\.\d+)*$`), regexp.MustCompile(`^[45]\.\d\.\d{1,2}$`)
	seen := map[reason.ID]bool{}
	for _, r := range explain.Reasons() {
		if seen[r.ID] || !id.MatchString(string(r.ID)) {
			t.Errorf("%q: twice, or no word", r.ID)
		}
		seen[r.ID] = true
		if !rfc.MatchString(r.RFC) || r.Code != "" && !code.MatchString(r.Code) {
			t.Errorf("%s: %q %q", r.ID, r.RFC, r.Code)
		}
		if r.ResultType != "" && !r.ResultType.IsValid() || r.ID.Policy() != "" && !r.ID.Policy().IsValid() {
			t.Errorf("%s: %q %q", r.ID, r.ResultType, r.ID.Policy())
		}
		for _, s := range []string{r.About, r.Sender, r.Recipient} {
			if len(s) < 8 || !strings.HasSuffix(s, ".") || strings.ToUpper(s[:1]) != s[:1] && !strings.HasPrefix(s, "https://") {
				t.Errorf("%s: no sentence: %q", r.ID, s)
			}
		}
		info, ok := explain.About(r.ID)
		if !ok || info.About != r.About {
			t.Errorf("%s: Info gives %+v", r.ID, info)
		}
	}
	if _, ok := explain.About("no-such-reason"); ok {
		t.Error("a reason that there is not")
	}
	if !(engine.Reason{}).IsZero() || (engine.Reason{ID: "x"}).IsZero() {
		t.Error("IsZero")
	}
}
