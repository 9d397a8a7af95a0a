package conformance

import (
	"context"
	"encoding/json"
	"reflect"

	"github.com/mxauth/mxauth/conformance/vectors/tlsrptfacts"
	"github.com/mxauth/mxauth/tlsrpt"
)

// runTLSRPT judges TLSRPT records, and that reports as sent can be read and printed again.
func runTLSRPT(_ context.Context, dir string) ([]Result, error) {
	records, reports, err := tlsrptfacts.Load(dir)
	if err != nil {
		return nil, err
	}
	var out []Result
	for _, v := range records {
		res := Result{Case: v.Case, Want: "invalid", Got: "invalid"}
		if v.Valid {
			res.Want = "valid " + asJSON(v.RUA)
		}
		if r, err := tlsrpt.ParseRecord(v.Text); err == nil {
			res.Got = "valid " + asJSON(r.RUA)
		}
		out = append(out, res)
	}
	for _, v := range reports {
		res := Result{Case: v.Case, Want: "reads back", Got: "reads back"}
		r, err := tlsrpt.ParseReport(v.JSON)
		if err == nil {
			var again tlsrpt.Report
			again, err = tlsrpt.ParseReport([]byte(asJSON(r)))
			if err == nil && !reflect.DeepEqual(r, again) {
				res.Got = "differs"
			}
		}
		if err != nil {
			res.Got = err.Error()
		}
		out = append(out, res)
	}
	return out, nil
}

// asJSON prints a value for a report.
func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
