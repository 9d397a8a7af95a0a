package main

import "testing"

// TestFirstSentence: a line ends with the first sentence, and no dot within one ends it.
func TestFirstSentence(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		"One. Two.":                   "One.",
		"mx.example.org. is no. end":  "mx.example.org. is no. end",
		"It failed (. DNSKEY). Next.": "It failed (. DNSKEY).",
		"bogus: . DNSKEY: gone. So.":  "bogus: . DNSKEY: gone.",
		"A sentence":                  "A sentence",
	} {
		if got := firstSentence(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
