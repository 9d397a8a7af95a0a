package conformance

import (
	"context"

	"github.com/mxauth/mxauth/conformance/replay"
)

// validation runs a set of DNSSEC scenarios, recordings or facts.
func validation(run func(dir string) ([]replay.Result, error)) func(context.Context, string) ([]Result, error) {
	return func(_ context.Context, dir string) ([]Result, error) {
		results, err := run(dir)
		out := make([]Result, len(results))
		for i, r := range results {
			out[i] = Result(r)
		}
		return out, err
	}
}
