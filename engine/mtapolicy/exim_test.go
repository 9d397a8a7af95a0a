package mtapolicy_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
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
	switch w {
	case "dane":
		// Exim looks for TLSA records behind a signed MX alone; without any, nothing passes.
		return s.secure && v.tls && tlsa == tlsaMatch
	case "may":
		return true
	case "encrypt":
		return v.tls
	case "sts", "pkix":
		return v.tls && v.public && (s.has(i, i, v) || len(v.names) == 0 && v.cn == "own")
	}
	return false // skip, defer: nothing passes
}

// Asked host by host, Exim sends nothing that the plan refuses and holds nothing that it
// would let go, but for the deviations.
func TestEximModel(t *testing.T) {
	bad, seen, excused := 0, map[string]bool{}, map[mtapolicy.DeviationID]int{}
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
					sends, want := eximSends(s, word(r), i), s.wants(p, i)
					if sends == want {
						continue
					}
					if id := (postfix{}).excuse(s, r, p, i, sends); id == "" {
						bad++
						class := fmt.Sprint(s.hosts[i], word(r), sends)
						if !seen[class] {
							seen[class] = true
							t.Errorf("%v\n host %d %s: %q, plan %v, Exim %v; %v", s, i, s.hosts[i], r.Text, want, sends, r.Deviations)
						}
					} else {
						excused[id]++
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
	t.Log("excused", excused)
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

// What Exim cannot do as the plan says is named with each reply that it concerns, and is in
// the table of docs/exim.md.
func TestEximDeviations(t *testing.T) {
	page, err := os.ReadFile("../../docs/exim.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{} // of the table, and whether it was met
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| (?:weaker|stricter) \\|").FindAllStringSubmatch(string(page), -1) {
		rows[m[1]] = false
	}
	host := func(text string) rfc6125.Host {
		h, err := rfc6125.ParseHost(text)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	tlsa := func(records ...string) func(*engine.Host) {
		return func(h *engine.Host) {
			var list []dane.Record
			for _, text := range records {
				r, err := dane.ParseRecord(text)
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, r)
			}
			h.DANE.Set = dane.NewSet(list, dane.UsePolicy{})
		}
	}
	digest, long := strings.Repeat("ab", 32), strings.Repeat("ab", 64)
	for _, x := range []struct {
		about, kind string
		s           situation
		edit        func(*engine.Host)
		want        string
	}{
		{"one record", "dok", situation{secure: true}, tlsa("3 1 1 " + digest), ""},
		{"two keys", "dok", situation{secure: true}, tlsa("3 1 1 "+digest, "3 1 1 cd"+digest[2:]), ""},
		{"two digests", "dok", situation{secure: true}, tlsa("3 1 1 "+digest, "3 1 2 "+long), "exim-agility"},
		{"usage 2", "dok", situation{secure: true}, tlsa("2 1 1 " + digest), "exim-purpose exim-usage-2"},
		{"records at an alias", "dok", situation{secure: true}, func(h *engine.Host) {
			h.DANE.Base, h.DANE.Final = h.Name, host("real.example.org").Name()
		}, "exim-alias-tlsa"},
		{"records at the end of an alias", "dok", situation{secure: true}, func(h *engine.Host) {
			h.DANE.Base, h.DANE.Final = host("real.example.org"), host("real.example.org").Name()
		}, ""},
		{"DANE and MTA-STS", "dlisted", situation{secure: true, policy: sts.ModeEnforce, both: true}, nil, "sts-unchecked"},
		{"MTA-STS", "none", situation{policy: sts.ModeEnforce}, nil, "common-name exim-purpose"},
		{"MTA-STS at an alias", "none", situation{policy: sts.ModeEnforce}, func(h *engine.Host) {
			h.DANE.Final = host("real.example.org").Name()
		}, "common-name exim-alias-sni exim-purpose"},
		{"unsigned MX", "dok", situation{}, nil, "exim-half-dane"},
		{"unsigned MX and MTA-STS", "dlisted", situation{policy: sts.ModeEnforce}, nil, "common-name exim-purpose tlsa-unchecked"},
		{"configured name", "none", situation{secure: true, level: engine.LevelSecure}, nil, "common-name exim-purpose"},
		{"configured names", "none", situation{secure: true, level: engine.LevelSecure}, func(h *engine.Host) {
			h.PKIXRefs = append(h.PKIXRefs, rfc6125.NewReference(host("other.example.org")))
		}, "exim-names"},
		{"exception for DANE", "xdane", situation{secure: true, policy: sts.ModeEnforce, both: true}, nil, "exim-no-exception sts-unchecked"},
		{"exception", "xmay", situation{secure: true}, nil, ""},
		{"excluded", "alias", situation{secure: true}, nil, ""},
		{"nothing", "plain", situation{secure: true}, nil, ""},
	} {
		t.Run(x.about, func(t *testing.T) {
			x.s.hosts = []string{x.kind}
			p := x.s.plan()
			if x.edit != nil {
				x.edit(&p.Hosts[0])
			}
			r, err := mtapolicy.Exim(p, p.Hosts[0].Name.String())
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, d := range r.Deviations {
				ids = append(ids, string(d.ID))
				if _, ok := rows[string(d.ID)]; !ok {
					t.Errorf("docs/exim.md has no %s", d.ID)
				}
				rows[string(d.ID)] = true
				if said := strings.Contains(string(page), "| `"+string(d.ID)+"` | weaker |"); said != d.Weaker {
					t.Errorf("%s: weaker %v, docs/exim.md: %v", d.ID, d.Weaker, said)
				}
			}
			slices.Sort(ids)
			if got := strings.Join(ids, " "); got != x.want {
				t.Errorf("%q: %q, want %q", r.Text, got, x.want)
			}
		})
	}
	for id, met := range rows {
		if !met {
			t.Errorf("no reply has the deviation %s of docs/exim.md", id)
		}
	}
}
