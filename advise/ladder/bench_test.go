package ladder_test

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/advise/ladder"
)

// BenchmarkSVG draws a ladder of long texts.
func BenchmarkSVG(b *testing.B) {
	l := foreign(strings.Repeat("w", 253), strings.Repeat("some words ", 100))
	b.ReportAllocs()
	for b.Loop() {
		l.SVG(ladder.SVGOptions{})
	}
}
