package main

import (
	"fmt"
	"slices"
	"strings"
)

// What lint and forecast have in common: advice, which is often the same for several hosts,
// with lines that are to be pasted.

// advice is what is said of one host, and the other hosts of which the same is true.
type advice[T any] struct {
	said T
	also []string
}

// together puts what is said of several hosts in the same words into one. words
// returns the host that something is about, and all that is said; no host: it is about the domain.
func together[T any](list []T, words func(T) (host, words string)) []advice[T] {
	var out []advice[T]
	var known []string // the words of each, without its host
	for _, said := range list {
		host, text := words(said)
		if host != "" {
			text = strings.ReplaceAll(text, host, "\x00")
			if i := slices.Index(known, text); i >= 0 {
				out[i].also = append(out[i].also, host)
				continue
			}
		}
		out, known = append(out, advice[T]{said: said}), append(known, text)
	}
	return out
}

// also prints of which other hosts the same is true.
func (e *env) also(hosts []string) {
	if len(hosts) > 0 {
		block(e.out, 2, pad("the same of"), strings.Join(hosts, ", "))
	}
}

// paste prints lines that are to be pasted, so they are not broken.
func (e *env) paste(label, where string, lines []string) {
	if len(lines) == 0 {
		return
	}
	block(e.out, 2, pad(label), where)
	for _, l := range lines {
		e.out.Linef("    %s", l)
	}
}

// counted is a number of things: "1 day", "2 days".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
