package conformance

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/conformance/vectors/mtasts"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// runMTASTS judges TXT records, policies, patterns, media types and what a fetch came to,
// each by the field rfc8461.
func runMTASTS(ctx context.Context, dir string) ([]Result, error) {
	return join(
		func() ([]Result, error) {
			return table(dir, "records.jsonl", func(f *os.File) ([]mtasts.Record, error) { return mtasts.ReadRecords(f) }, func(_ int, r mtasts.Record) Result {
				res := Result{Case: fmt.Sprintf("records %.200q", r.TXT), Got: "no record", Want: "no record"}
				if *r.RFC8461 {
					res.Want = "id " + r.ID
				}
				if got, err := sts.ParseRecord(r.TXT); err == nil {
					res.Got = "id " + got.ID
				}
				return res
			})
		},
		func() ([]Result, error) {
			return table(dir, "policies.jsonl", func(f *os.File) ([]mtasts.Policy, error) { return mtasts.ReadPolicies(f) }, func(_ int, r mtasts.Policy) Result {
				res := Result{Case: fmt.Sprintf("policies %.200q", r.Body), Got: "invalid", Want: "invalid"}
				if *r.RFC8461 {
					res.Want = policyWords(r.Fields)
				}
				if p, err := sts.ParsePolicy(r.Body); err == nil {
					got := mtasts.Fields{Version: "STSv1", Mode: p.Mode.String(), MaxAge: int64(p.MaxAge / time.Second), Ext: map[string]string{}}
					for _, m := range p.MX {
						got.MX = append(got.MX, m.String())
					}
					for _, f := range p.Ext {
						if f.Name != "version" && f.Name != "mode" && f.Name != "max_age" { // repeated: the first counts
							got.Ext[f.Name] = f.Value
						}
					}
					res.Got = policyWords(&got)
				}
				return res
			})
		},
		func() ([]Result, error) {
			return table(dir, "mxmatch.jsonl", func(f *os.File) ([]mtasts.Match, error) { return mtasts.ReadMatches(f) }, func(_ int, r mtasts.Match) Result {
				p, perr := sts.ParsePattern(r.Pattern)
				h, herr := rfc6125.ParseHost(r.Host)
				return Result{
					Case: fmt.Sprintf("mxmatch %q %q", r.Pattern, r.Host),
					Got:  word(perr == nil && herr == nil && p.Match(h), "match", "no match"),
					Want: word(*r.RFC8461, "match", "no match"),
				}
			})
		},
		func() ([]Result, error) { return runFetches(ctx, dir) },
		func() ([]Result, error) {
			return table(dir, "contenttype.jsonl", func(f *os.File) ([]mtasts.ContentType, error) { return mtasts.ReadContentTypes(f) }, func(_ int, r mtasts.ContentType) Result {
				return Result{
					Case: fmt.Sprintf("contenttype %q", r.ContentType),
					Got:  word(sts.MediaTypeOK(r.ContentType), "accepted", "refused"),
					Want: word(r.Accept, "accepted", "refused"),
				}
			})
		},
	)
}

func policyWords(f *mtasts.Fields) string {
	if f == nil {
		return "valid"
	}
	var ext []string
	for _, k := range slices.Sorted(maps.Keys(f.Ext)) {
		ext = append(ext, k+"="+f.Ext[k])
	}
	return fmt.Sprintf("%s %s %d mx %q ext %q", f.Version, f.Mode, f.MaxAge, f.MX, strings.Join(ext, ","))
}
