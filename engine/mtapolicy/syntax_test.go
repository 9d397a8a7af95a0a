package mtapolicy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// A tlsPolicy is a value of smtp_tls_policy_maps as Postfix reads it.
type tlsPolicy struct {
	level string
	attrs map[string][]string
}

// Attributes that each level takes. policy_* and mx_host_pattern came with Postfix 3.10.
var (
	levelAttrs = map[string][]string{
		"none": {}, "may": {"protocols", "ciphers", "exclude", "servername"}, "encrypt": {"protocols", "ciphers", "exclude", "servername"},
		"dane": {}, "dane-only": {"protocols", "ciphers", "exclude"},
		"secure": {"match", "protocols", "ciphers", "exclude", "servername"},
	}
	reportAttrs = []string{"policy_type", "policy_domain", "policy_string", "mx_host_pattern"}
	manyTimes   = []string{"policy_string", "mx_host_pattern"}
)

// readPolicy reads a value as smtp_tls_policy.c does: a level, and attributes "name=value"
// or "{ name = value }". What it refuses makes Postfix defer the domain.
func readPolicy(text string, version310 bool) (p tlsPolicy, err error) {
	p.attrs = map[string][]string{}
	word, rest, err := nextWord(text)
	if err != nil {
		return p, err
	}
	allowed, ok := levelAttrs[word]
	if !ok {
		return p, fmt.Errorf("unknown level %q", word)
	}
	p.level = word
	for {
		if word, rest, err = nextWord(rest); err != nil {
			return p, err
		}
		if word == "" {
			break
		}
		name, value, ok := strings.Cut(word, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case !ok || name == "":
			return p, fmt.Errorf("malformed attribute %q", word)
		case value == "":
			return p, fmt.Errorf("attribute %s without a value", name)
		case slices.Contains(reportAttrs, name):
			if !version310 {
				return p, fmt.Errorf("invalid attribute name %s before 3.10", name)
			}
		case !slices.Contains(allowed, name):
			return p, fmt.Errorf("invalid attribute name %s at level %s", name, p.level)
		}
		if len(p.attrs[name]) > 0 && !slices.Contains(manyTimes, name) {
			return p, fmt.Errorf("attribute %s twice", name)
		}
		p.attrs[name] = append(p.attrs[name], value)
	}
	for name := range p.attrs {
		if slices.Contains(reportAttrs, name) && len(p.attrs["policy_type"]) == 0 {
			return p, fmt.Errorf("%s without policy_type", name)
		}
	}
	return p, nil
}

// nextWord takes a word, or what braces enclose, off a text.
func nextWord(s string) (word, rest string, err error) {
	s = strings.TrimLeft(s, " \t,")
	if inner, ok := strings.CutPrefix(s, "{"); ok {
		end := strings.IndexAny(inner, "{}")
		if end < 0 || inner[end] == '{' {
			return "", "", errors.New("unbalanced braces")
		}
		return strings.TrimSpace(inner[:end]), inner[end+1:], nil
	}
	end := strings.IndexAny(s, " \t,")
	if end < 0 {
		end = len(s)
	}
	if strings.ContainsAny(s[:end], "{}") {
		return "", "", errors.New("a brace in a word")
	}
	return s[:end], s[end:], nil
}

// maxPostfixReply is what Postfix takes, and maxLog what it logs of a temporary error.
const (
	maxPostfixReply = 100_000
	maxLog          = 200
)

// mustParse says what is wrong with a reply for a form.
func mustParse(r mtapolicy.Reply, form mtapolicy.Form) error {
	for i := range len(r.Text) {
		if r.Text[i] < ' ' || r.Text[i] > '~' {
			return fmt.Errorf("byte %#x in the reply", r.Text[i])
		}
	}
	if r.Row == "" {
		return errors.New("no row")
	}
	switch r.Kind {
	case mtapolicy.NotFound:
		if r.Text != "" {
			return errors.New("a text with NOTFOUND")
		}
		return nil
	case mtapolicy.TryLater:
		if r.Text == "" || len(r.Text) > maxLog {
			return fmt.Errorf("%d bytes of cause", len(r.Text))
		}
		return nil
	}
	if len("OK "+r.Text) >= maxPostfixReply {
		return fmt.Errorf("%d bytes", len(r.Text))
	}
	p, err := readPolicy(r.Text, form == mtapolicy.Extended)
	if err != nil {
		return err
	}
	for _, m := range p.attrs["match"] {
		for n := range strings.SplitSeq(m, ":") {
			switch {
			case n == "" || n == "hostname" || n == "nexthop" || n == "dot-nexthop":
				return fmt.Errorf("%q in match=", n)
			case !strings.Contains(n, "."):
				return fmt.Errorf("the single label %q in match=", n)
			}
		}
	}
	if p.level == "dane" && len(p.attrs) > 0 {
		return errors.New("attributes at level dane")
	}
	if form == mtapolicy.Sendmail && !strings.HasPrefix(r.Text, "secure match=") {
		return errors.New("sendmail reads no such level")
	}
	if len(p.attrs["policy_type"]) > 0 {
		if r.Row != mtapolicy.P9 || len(p.attrs["mx_host_pattern"]) == 0 || len(p.attrs["policy_domain"]) != 1 {
			return errors.New("a policy for reports that is not complete")
		}
		for _, s := range p.attrs["policy_string"] {
			name, _, _ := strings.Cut(s, ":")
			if !slices.Contains([]string{"version", "mode", "mx", "max_age"}, name) {
				return fmt.Errorf("policy string %q", s)
			}
		}
	}
	return nil
}

var tableForms = []mtapolicy.Form{mtapolicy.Plain, mtapolicy.Extended, mtapolicy.Sendmail}

// Every reply of the model's situations is one that Postfix reads.
func TestRepliesParse(t *testing.T) {
	kinds := make([]string, 0, len(servers))
	for k := range servers {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	seen := map[string]bool{}
	for _, a := range kinds {
		for _, b := range append(kinds, "") {
			hosts := []string{a, b}
			if b == "" {
				hosts = hosts[:1]
			}
			for _, s := range situations(hosts) {
				p := s.plan()
				for _, form := range tableForms {
					for _, noTLS := range []bool{false, true} {
						r, err := mtapolicy.Postfix(p, mtapolicy.Options{Form: form, NoMinTLS: noTLS})
						if err == nil {
							err = mustParse(r, form)
						}
						if err == nil && noTLS && strings.Contains(r.Text, "protocols") {
							err = errors.New("protocols although min_tls is off")
						}
						if err != nil && !seen[err.Error()] {
							seen[err.Error()] = true
							t.Errorf("%v, %v: %q (%s): %v", s, form, r.Text, r.Row, err)
						}
					}
				}
			}
		}
	}
}

// Each of these defers a domain in Postfix (measured with 3.7.11 and 3.10.13); the reader of
// the tests refuses it, and so shows that no reply has it.
func TestTraps(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		new  bool
	}{
		"match at dane":                 {"dane match=mx.example.org", true},
		"match at may":                  {"may match=mx.example.org", true},
		"empty match":                   {"secure match= servername=hostname", true},
		"an attribute twice":            {"secure match=a.example.org match=b.example.org", true},
		"an unknown attribute":          {"secure match=a.example.org colour=red", true},
		"policy_* without policy_type":  {"secure match=a.example.org mx_host_pattern=a.example.org", true},
		"policy_* before 3.10":          {"secure match=a.example.org policy_type=sts", false},
		"policy_failure":                {"secure match=a.example.org policy_type=sts policy_failure=sts-policy-fetch-error", true},
		"an empty OK":                   {"", true},
		"protocols at dane":             {"dane protocols=>=TLSv1.2", true},
		"a brace that does not end":     {"secure match=a.example.org policy_type=sts { policy_string = x", true},
		"a brace in a value":            {"secure match=a.example.org policy_type=sts { policy_string = {x} }", true},
		"an attribute without a value":  {"secure match=a.example.org servername", true},
		"a level that does not exist":   {"sts match=a.example.org", true},
		"a blank in a value of no hold": {"secure match=a.example.org b.example.org", true},
	} {
		if p, err := readPolicy(c.text, c.new); err == nil {
			t.Errorf("%s: read as %+v", name, p)
		}
	}
	for _, text := range []string{
		"may", "dane", "dane-only protocols=>=TLSv1.2", "encrypt protocols=>=TLSv1.2",
		"secure match=a.example.org:b.example.org servername=hostname protocols=>=TLSv1.2 policy_type=sts policy_domain=example.org { policy_string = mx: a.example.org } mx_host_pattern=a.example.org",
	} {
		if _, err := readPolicy(text, true); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// sendmail reads nothing but secure with names, or NOTFOUND.
func TestSendmail(t *testing.T) {
	for hosts, want := range map[string]string{
		"none": "secure match=none0.example.org servername=hostname", "dok": "", "xmay": "", "xplain": "", "plain": "", "dunu": "",
	} {
		for _, level := range []engine.Level{engine.LevelDefault, engine.LevelOpportunistic} {
			s := situation{hosts: []string{hosts}, secure: true, policy: sts.ModeEnforce, level: level}
			if hosts != "none" {
				s.policy = 0
			}
			r, err := mtapolicy.Postfix(s.plan(), mtapolicy.Options{Form: mtapolicy.Sendmail})
			if err != nil {
				t.Fatal(err)
			}
			want := want
			if level == engine.LevelOpportunistic {
				want = ""
			}
			if r.Text != want || (r.Kind == mtapolicy.Found) != (want != "") {
				t.Errorf("%s %v: %v %q, want %q", hosts, level, r.Kind, r.Text, want)
			}
		}
	}
}

// A plan that was made for one message is no answer for all.
func TestMessage(t *testing.T) {
	for _, f := range []func(*engine.Request){
		func(r *engine.Request) { r.RequireTLS = true }, func(r *engine.Request) { r.TLSRequiredNo = true },
		func(r *engine.Request) { r.NullReturnPath = true }, func(r *engine.Request) { r.TLSRPTReport = true },
	} {
		p := situation{hosts: []string{"none"}, secure: true}.plan()
		f(&p.Request)
		if r, err := mtapolicy.Postfix(p, mtapolicy.Options{}); !errors.Is(err, mtapolicy.ErrMessage) || r.Kind != mtapolicy.TryLater {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// A host that only Postfix sees, because its view of DNS is another one, gets mail at row P9
// by no certificate of its own; by one that carries the name of an open host as well only
// where the reply says so.
func TestUnseenHost(t *testing.T) {
	n := 0
	for _, a := range []string{"none", "dbad", "cnonly", "noneself"} {
		for _, unseen := range []string{"multi", "plain", "noneself", "mem"} {
			for _, s := range situations([]string{a}) {
				p := s.plan()
				for _, f := range postfixes {
					r, err := mtapolicy.Postfix(p, mtapolicy.Options{Form: f.form})
					if err != nil {
						t.Fatal(err)
					}
					if r.Row != mtapolicy.P9 && r.Row != mtapolicy.P10 {
						continue
					}
					n++
					view := s
					view.hosts = []string{a, unseen}
					if f.sends(view, r, 1) {
						said := slices.ContainsFunc(r.Deviations, func(d mtapolicy.Deviation) bool { return d.ID == mtapolicy.WeakerSharedName })
						if unseen != "multi" || !said {
							t.Errorf("%v %+v: %s gets mail by %q", s, f, unseen, r.Text)
						}
					}
				}
			}
		}
	}
	if n == 0 {
		t.Error("no such situation")
	}
}

// A host of a single label, which match= cannot name, is not used, and the reply says so.
func TestSingleLabelHost(t *testing.T) {
	for _, form := range []mtapolicy.Form{mtapolicy.Plain, mtapolicy.Extended} {
		p := situation{hosts: []string{"none", "none"}, secure: true, policy: sts.ModeEnforce}.plan()
		var err error
		if p.Hosts[1].Name, err = rfc6125.ParseHost("hostname"); err != nil {
			t.Fatal(err)
		}
		r, err := mtapolicy.Postfix(p, mtapolicy.Options{Form: form})
		if err != nil {
			t.Fatal(err)
		}
		said := slices.Contains(r.Deviations, mtapolicy.Deviation{ID: mtapolicy.StrongerHostUnused, Host: "hostname"})
		if err := mustParse(r, form); err != nil || !said || !strings.Contains(r.Text, "match=none0.example.org servername") || strings.Contains(r.Text, "pattern=hostname") {
			t.Errorf("%q, %v, %v", r.Text, r.Deviations, err)
		}
	}
}

// The largest policy that RFC 8461 allows makes a reply that Postfix still takes, and it
// keeps its patterns when the strings for the report are dropped.
func TestLargePolicy(t *testing.T) {
	for _, hosts := range []int{1, 64} {
		orig, _ := rfc6125.ParseHost("example.org")
		s := situation{hosts: slices.Repeat([]string{"none"}, hosts), secure: true, policy: sts.ModeEnforce}
		p := s.plan()
		p.Orig = orig
		for i := range 64 << 10 / 60 {
			m, err := sts.ParsePattern(fmt.Sprintf("*.%s%d.%s.example.org", strings.Repeat("x", 20), i, strings.Repeat("y", 20)))
			if err != nil {
				t.Fatal(err)
			}
			p.STS.Policy.MX = append(p.STS.Policy.MX, m)
		}
		r, err := mtapolicy.Postfix(p, mtapolicy.Options{Form: mtapolicy.Extended})
		if err != nil {
			t.Fatal(err)
		}
		if err := mustParse(r, mtapolicy.Extended); err != nil || !strings.Contains(r.Text, "mx_host_pattern=none0.example.org") {
			t.Errorf("%d hosts: %d bytes, %v", hosts, len(r.Text), err)
		}
		if strings.Count(r.Text, "policy_string") > 8<<10/20 {
			t.Errorf("%d policy strings", strings.Count(r.Text, "policy_string"))
		}
	}
}

// FuzzReply: whatever reasons, names and policies a plan has, a reply is one that Postfix
// reads.
func FuzzReply(f *testing.F) {
	f.Add("none", "dbad", byte(1), byte(2), "reason", "mx.example.org", uint32(86400), false)
	f.Add("dserv", "plain", byte(7), byte(0), "a\r\nb\x00{}=,\u202e", "*.example.org", uint32(0), true)
	kinds := make([]string, 0, len(servers))
	for k := range servers {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	f.Add("dserv", "", byte(0), byte(3), "", "", uint32(1), false)
	f.Fuzz(func(t *testing.T, a, b string, flags, level byte, detail, pattern string, age uint32, noTLS bool) {
		var hosts []string
		for _, k := range []string{a, b} {
			if k == "" {
				continue
			}
			if _, ok := servers[k]; !ok {
				k = kinds[int(k[0])%len(kinds)]
			}
			hosts = append(hosts, k)
		}
		s := situation{hosts: hosts, secure: flags&1 != 0, audit: flags&2 != 0, both: flags&4 != 0, insecure: engine.InsecureMX(flags >> 3 % 3),
			policy: []sts.Mode{0, sts.ModeTesting, sts.ModeEnforce, sts.ModeNone}[flags>>5%4]}
		s.level = []engine.Level{engine.LevelDefault, engine.LevelOpportunistic, engine.LevelDANE, engine.LevelDANEOnly, engine.LevelSTS, engine.LevelSecure}[level%6]
		p := s.plan()
		for i := range p.Hosts {
			p.Hosts[i].Reason.Evidence = &reason.LookupFailed{Err: errors.New(detail)}
		}
		if len(hosts) == 0 {
			p.MX = engine.MXState{Outcome: engine.Deferred, Reason: engine.Reason{ID: reason.MXLookupFailed, Evidence: &reason.LookupFailed{Err: errors.New(detail)}}}
		}
		if p.STS.Policy != nil {
			p.STS.Policy.MaxAge = time.Duration(age) * time.Second
			if m, err := sts.ParsePattern(pattern); err == nil {
				p.STS.Policy.MX = append(p.STS.Policy.MX, m)
			}
			if h, err := rfc6125.ParseHost(strings.TrimPrefix(pattern, "*.")); err == nil {
				p.Orig = h
			}
		}
		for _, form := range tableForms {
			r, err := mtapolicy.Postfix(p, mtapolicy.Options{Form: form, NoMinTLS: noTLS})
			if err != nil {
				t.Fatal(err)
			}
			if err := mustParse(r, form); err != nil {
				t.Errorf("%v, %v: %v %q (%s): %v", s, form, r.Kind, r.Text, r.Row, err)
			}
		}
	})
}

// FuzzKey: a key is no next hop, or one whose canonical form reads as itself.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"example.org", "[192.0.2.1]:25", "[IPv6:2001:db8::1]", ".example.org", "MU\u0308LLER.example:smtp", "[mx.example.org]:submission", "\ufb01.example", "a..b", "[", "x:y:z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := mtapolicy.ParseKey(s)
		if err != nil {
			if !errors.Is(err, mtapolicy.ErrKey) && !errors.Is(err, mtapolicy.ErrKeyName) {
				t.Error(err)
			}
			return
		}
		again, err := mtapolicy.ParseKey(k.String())
		if err != nil || again != k {
			t.Errorf("%q is %+v, which reads as %+v, %v", s, k, again, err)
		}
	})
}

// Where TLSA records name an authority, Postfix does not look at its dates, and knows no
// option that excludes Common Names; both are deviations of every host with usage 2.
func TestAnchorChecks(t *testing.T) {
	for _, noCNID := range []bool{false, true} {
		p := situation{hosts: []string{"dnext"}, secure: true}.plan()
		p.Request.Options.NoCNID = noCNID
		r, err := mtapolicy.Postfix(p, mtapolicy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		want := []mtapolicy.DeviationID{mtapolicy.WeakerTADates}
		if noCNID {
			want = append(want, mtapolicy.WeakerTACommonName)
		}
		var got []mtapolicy.DeviationID
		for _, d := range r.Deviations {
			if !d.Weaker {
				t.Errorf("%s is not called weaker", d.ID)
			}
			got = append(got, d.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("no-cn-id %t: deviations %v, want %v", noCNID, got, want)
		}
	}
}
