package policies

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/conformance/sets"
	"github.com/mxauth/mxauth/conformance/vectors/mtasts"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// MTASTS judges TXT records, policies, patterns, media types and what a fetch came to,
// each by the field rfc8461.
func MTASTS(ctx context.Context, dir string) ([]sets.Result, error) {
	return sets.Join(
		func() ([]sets.Result, error) {
			return sets.Table(dir, "records.jsonl", mtasts.ReadRecords, func(_ int, r mtasts.Record) sets.Result {
				res := sets.Result{Case: fmt.Sprintf("records %.200q", r.TXT), Got: "no record", Want: "no record"}
				if *r.RFC8461 {
					res.Want = "id " + r.ID
				}
				switch got, err := sts.ParseRecord(r.TXT); {
				case err == nil:
					res.Got = "id " + got.ID
				case !errors.Is(err, sts.ErrNoRecord):
					res.Got = err.Error()
				}
				return res
			})
		},
		func() ([]sets.Result, error) {
			return sets.Table(dir, "policies.jsonl", mtasts.ReadPolicies, func(_ int, r mtasts.Policy) sets.Result {
				res := sets.Result{Case: fmt.Sprintf("policies %.200q", r.Body), Got: "invalid", Want: "invalid"}
				if *r.RFC8461 {
					res.Want = policyWords(r.Fields)
				}
				p, err := sts.ParsePolicy(r.Body)
				var syntax *sts.SyntaxError
				switch {
				case err != nil:
					if !errors.Is(err, sts.ErrPolicy) || !errors.As(err, &syntax) {
						res.Got = err.Error()
					}
				default:
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
		func() ([]sets.Result, error) {
			return sets.Table(dir, "mxmatch.jsonl", mtasts.ReadMatches, func(_ int, r mtasts.Match) sets.Result {
				p, perr := sts.ParsePattern(r.Pattern)
				h, herr := rfc6125.ParseHost(r.Host)
				return sets.Result{
					Case: fmt.Sprintf("mxmatch %q %q", r.Pattern, r.Host),
					Got:  sets.Word(perr == nil && herr == nil && p.Match(h), "match", "no match"),
					Want: sets.Word(*r.RFC8461, "match", "no match"),
				}
			})
		},
		func() ([]sets.Result, error) { return runFetches(ctx, dir) },
		func() ([]sets.Result, error) {
			return sets.Table(dir, "contenttype.jsonl", mtasts.ReadContentTypes, func(_ int, r mtasts.ContentType) sets.Result {
				return sets.Result{
					Case: fmt.Sprintf("contenttype %q", r.ContentType),
					Got:  sets.Word(sts.MediaTypeOK(r.ContentType), "accepted", "refused"),
					Want: sets.Word(r.Accept, "accepted", "refused"),
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
