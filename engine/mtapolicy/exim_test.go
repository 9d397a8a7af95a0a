package mtapolicy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// word is the requirement of a reply.
func word(r mtapolicy.Reply) string {
	w, _, _ := strings.Cut(strings.TrimPrefix(r.Text, "req="), " ")
	return w
}

// eximSends is what Exim does with a host under a word, with the transport of docs/exim.md.
func eximSends(s situation, w string, i int) bool {
	v := servers[s.hosts[i]]
	if v.addr == addrNone || v.addr == addrFails {
		return false
	}
	tlsa := v.tlsa
	if tlsa == tlsaOursFails {
		tlsa = tlsaMatch
	}
	// hosts_try_dane: DANE applies by Exim's own lookup where MX and addresses are signed.
	dane := func() (applies, ok bool) {
		if !s.secure {
			return false, false
		}
		switch tlsa {
		case tlsaServfail:
			return true, false
		case tlsaMatch, tlsaMismatch:
			return true, v.tls && tlsa == tlsaMatch
		}
		return false, false
	}
	if applies, ok := dane(); applies {
		return ok
	}
	switch w {
	case "may":
		return true
	case "encrypt":
		return v.tls
	case "sts", "pkix":
		return v.tls && v.public && (s.has(i, i, v) || len(v.names) == 0 && v.cn == "own")
	}
	return false // dane, skip, defer: nothing passes /dev/null
}

// Asked host by host, Exim sends nothing that the plan refuses, but for the deviations.
func TestEximModel(t *testing.T) {
	bad, seen := 0, map[string]bool{}
	words := map[string]int{}
	kinds := make([]string, 0, len(servers))
	for k := range servers {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	for _, a := range kinds {
		for _, b := range kinds {
			for _, s := range situations([]string{a, b}) {
				p := s.plan()
				for i := range s.hosts {
					r, err := mtapolicy.Exim(p, p.Hosts[i].Name.String())
					if err != nil {
						t.Fatal(err)
					}
					words[word(r)]++
					if !eximSends(s, word(r), i) || s.wants(p, i) {
						continue
					}
					if id := (postfix{}).excuse(s, r, p, i, true); id == "" {
						bad++
						class := s.hosts[i] + word(r)
						if !seen[class] {
							seen[class] = true
							t.Errorf("%v\n host %d %s: %q, plan refuses; %v", s, i, s.hosts[i], r.Text, r.Deviations)
						}
					}
				}
				if d, _ := mtapolicy.Exim(p, ""); word(d) != "defer" {
					// The router lets the message through, so some host may be tried.
					if !slices.ContainsFunc(p.Hosts, func(h engine.Host) bool { return h.Requirement != engine.Skip }) && !slices.ContainsFunc(p.Hosts, func(h engine.Host) bool { return h.Unusable }) {
						t.Errorf("%v: the domain is %q and no host may be tried", s, d.Text)
					}
				}
			}
		}
	}
	if bad > 0 {
		t.Errorf("%d in all", bad)
	}
	for _, w := range []string{"dane", "sts", "pkix", "encrypt", "may", "skip", "defer"} {
		if words[w] == 0 {
			t.Errorf("%q was never said", w)
		}
	}
}

func TestExim(t *testing.T) {
	s := situation{hosts: []string{"dok", "none"}, secure: true}
	p := s.plan()
	for _, x := range []struct{ host, want string }{
		{"dok0.example.org", "req=dane"},
		{"DOK0.example.org.", "req=dane"},
		{"none1.example.org", "req=may"},
		{"other.example.org", `req=defer reason="this host is not among the mail hosts of the plan"`},
		{"..", `req=defer reason="this host is not among the mail hosts of the plan"`},
		{"", "req=dane"},
	} {
		r, err := mtapolicy.Exim(p, x.host)
		if err != nil || !strings.HasPrefix(r.Text+" ", x.want+" ") {
			t.Errorf("%q: %q, %v; want %q", x.host, r.Text, err, x.want)
		}
	}
	p.Request.RequireTLS = true
	if r, err := mtapolicy.Exim(p, "dok0.example.org"); err == nil || word(r) != "defer" {
		t.Errorf("a plan for one message: %q, %v", r.Text, err)
	}
	if r := mtapolicy.EximFailed("a \"b\" {c} $d \\e\n\u202e"); r.Text != `req=defer reason="a 'b' .c. .d .e??"` {
		t.Errorf("%q", r.Text)
	}
}
