package plain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/advise/internal/plain"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "plain ~": "plain ~", "a\x1b[1m\r\n\xff": "a?[1m???",
		strings.Repeat("y", 399): strings.Repeat("y", 399), strings.Repeat("y", 1000): strings.Repeat("y", 400) + "...",
	} {
		if got := plain.Text(in); got != want {
			t.Errorf("%.20q: %q, want %q", in, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1 second", 90 * time.Second: "90 seconds", 90 * time.Minute: "90 minutes", time.Hour: "1 hour",
		24 * time.Hour: "1 day", 7 * 24 * time.Hour: "7 days", 25 * time.Hour: "25 hours", 1500 * time.Millisecond: "1.5s",
	} {
		if got := plain.Span(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
