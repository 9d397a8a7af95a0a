package main

import (
	"fmt"
	"slices"

	"github.com/mxauth/mxauth/conformance/lab"
)

// A scene is one world of the story that demo prints by default.
type scene struct {
	world     string // a name in [lab.Worlds]
	situation string // what the domain publishes and what its server does, in one line
}

// story lists the scenes in an order that teaches: first the delivery that nothing protects,
// then each attack without and with a protection, then the mistakes of owners.
var story = []scene{
	{"classic-mismatch", "A mail host shows a certificate for another name, and its domain publishes nothing."},
	{"stripped-nothing", "An attacker removes STARTTLS from the server's reply. The domain publishes nothing."},
	{"stripped-sts", "The same attack on a domain with an MTA-STS policy in mode enforce."},
	{"forged-mx", "An attacker forges the MX record. The sender remembers the domain's MTA-STS policy."},
	{"dane-ee", "DANE done right: a signed TLSA record names the key of a self-signed certificate."},
	{"tlsa-mismatch", "DANE done wrong: the certificate was renewed, the TLSA record was not."},
	{"sts-enforce", "MTA-STS done right: the policy lists the host, a public CA has issued its certificate."},
	{"mx-name", "MTA-STS done wrong: the certificate is for another name."},
	{"half-dane", "The mail host has DANE, but the MX record that names it is not signed."},
	{"tlsa-forged", "A resolver changes a signed TLSA record in its answer."},
	{"rollover", "A key change done right: the TLSA records of the old and the new key are published."},
	{"memory-dane-defer", "A downgrade is remembered: the domain had TLSA records an hour ago and has none now."},
}

// storyWorlds returns the worlds of the story in its order.
func storyWorlds(worlds []lab.World) []lab.World {
	var out []lab.World
	for _, s := range story {
		i := slices.IndexFunc(worlds, func(w lab.World) bool { return w.Name == s.world })
		if i >= 0 { // TestDemoStory: always
			out = append(out, worlds[i])
		}
	}
	return out
}

// printScene prints one world of the story: its situation and its verdict.
func (e *env) printScene(n int, r demoResult) {
	situation := r.world.About
	if i := slices.IndexFunc(story, func(s scene) bool { return s.world == r.world.Name }); i >= 0 {
		situation = story[i].situation
	}
	e.out.Linef("%2d. %s", n, paint(strong, r.world.Name))
	block(e.out, 4, "", situation)
	block(e.out, 4, "-> ", r.verdict.short())
	e.out.Linef("")
}

// printStoryEnd says what to type next.
func (e *env) printStoryEnd(total int) {
	for _, l := range [][2]string{
		{"mxauth demo stripped-sts", "the whole explanation of one of them, with the cure"},
		{"mxauth demo --all", fmt.Sprintf("all %d situations, a line each", total)},
		{"mxauth check example.org", "the same about a real domain"},
		{"mxauth lint example.org", "what your own domain could publish"},
	} {
		e.out.Linef("%-26s %s", l[0], paint(faint, l[1]))
	}
}
