package reports

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"

	"github.com/mxauth/mxauth/conformance/sets"
	"github.com/mxauth/mxauth/conformance/vectors/tlsrptfacts"
	"github.com/mxauth/mxauth/tlsrpt"
)

// TLSRPT judges TLSRPT records, and that reports as sent can be read and printed again.
func TLSRPT(_ context.Context, dir string) ([]sets.Result, error) {
	records, reports, err := tlsrptfacts.Load(dir)
	if err != nil {
		return nil, err
	}
	var out []sets.Result
	for _, v := range records {
		res := sets.Result{Case: v.Case, Want: "invalid", Got: "invalid"}
		if v.Valid {
			res.Want = "valid " + asJSON(v.RUA) + extensions(v.Ext)
		}
		r, err := tlsrpt.ParseRecord(v.Text)
		switch {
		case err == nil:
			ext := map[string]string{}
			for _, f := range r.Ext {
				ext[f.Name] = f.Value
			}
			res.Got = "valid " + asJSON(r.RUA) + extensions(ext)
		case !errors.Is(err, tlsrpt.ErrNoRecord):
			res.Got = err.Error()
		}
		out = append(out, res)
	}
	for _, v := range reports {
		res := sets.Result{Case: v.Case, Want: "reads back", Got: "reads back"}
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

// extensions prints the further fields of a record; "" if there are none.
func extensions(ext map[string]string) string {
	if len(ext) == 0 {
		return ""
	}
	return " " + asJSON(ext)
}

// asJSON prints a value for a report.
func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
