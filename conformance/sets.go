package conformance

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/mxauth/mxauth/conformance/replay"
)

// Sets lists the sets that can be read, in the order in which they are run.
func Sets() []Set {
	return []Set{
		{"rfc6125", runHostmatch},
		{"idna", runIDNA},
		{"mta-sts", runMTASTS},
		{"limbo", runLimbo},
		{"bettertls", runBetterTLS},
		{"danetest", runDanetest},
		{"tlsa-wild", runTLSAWild},
		{"smtp-dane", runSMTPDANE},
		{"tlsrpt", runTLSRPT},
		{"dnssec/rfc", validation(replay.Facts)},
		{"dnssec/unbound-unit", validation(replay.Units)},
		{"dnssec/dnsjava", validation(replay.Recordings)},
		{"dnssec/deckard", validation(replay.Scenarios)},
		{"dnssec/unbound", validation(replay.Scenarios)},
	}
}

// table reads one file of a set with its reader and makes a result of each row; a file
// that is not there has none.
func table[T any](dir, file string, read func(*os.File) ([]T, error), one func(i int, row T) Result) ([]Result, error) {
	f, err := os.Open(filepath.Join(dir, file))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	out := make([]Result, 0, len(rows))
	for i, row := range rows {
		out = append(out, one(i, row))
	}
	return out, nil
}

// join runs the parts of a set in turn. What was judged before an error is kept.
func join(parts ...func() ([]Result, error)) ([]Result, error) {
	var out []Result
	for _, p := range parts {
		r, err := p()
		out = append(out, r...)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// word puts a verdict in words.
func word(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}
