package conformance

import (
	"context"

	"github.com/mxauth/mxauth/conformance/replay"
)

// validation makes a set of one of package replay's, which judges DNSSEC validation.
func validation(run func(dir string) ([]replay.Result, error)) func(context.Context, string) ([]Result, error) {
	return func(_ context.Context, dir string) ([]Result, error) {
		got, err := run(dir)
		out := make([]Result, 0, len(got))
		for _, r := range got {
			if r.OK() {
				r.Skip = "" // what passes applies
			}
			out = append(out, Result(r))
		}
		return out, err
	}
}
