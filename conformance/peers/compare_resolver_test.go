package peers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// A comparedRow is what mxauth compare prints of a domain.
type comparedRow struct {
	Domain   string        `json:"domain"`
	Verdict  string        `json:"verdict"`
	ReasonID string        `json:"reason_id"`
	Ours     string        `json:"ours"`
	Theirs   string        `json:"theirs"`
	Row      mtapolicy.Row `json:"row"`
}

// A knownDifference explains answers of mxauth that are not those of postfix-mta-sts-resolver.
type knownDifference struct {
	text string
	fits func(s *situation, r *comparedRow) bool
}

// differs fits a verdict and a reason of compare.
func differs(verdict, reason string) func(*situation, *comparedRow) bool {
	return func(_ *situation, r *comparedRow) bool { return r.Verdict == verdict && r.ReasonID == reason }
}

// both fits where all do.
func both(fits ...func(*situation, *comparedRow) bool) func(*situation, *comparedRow) bool {
	return func(s *situation, r *comparedRow) bool {
		return !slices.ContainsFunc(fits, func(f func(*situation, *comparedRow) bool) bool { return !f(s, r) })
	}
}

// ofWorld fits situations of these names.
func ofWorld(names ...string) func(*situation, *comparedRow) bool {
	return func(s *situation, _ *comparedRow) bool { return slices.Contains(names, s.Name) }
}

// knowsTLSA fits where a host has TLSA records, or they could not be looked up.
func knowsTLSA(s *situation, _ *comparedRow) bool {
	return slices.ContainsFunc(s.check.Plan.Hosts, func(h engine.Host) bool {
		return h.DANE.State == dane.Usable || h.DANE.State == dane.Unusable || h.DANE.State == dane.Failed
	})
}

// knownDifferences are all. The first that fits explains.
var knownDifferences = []knownDifference{
	{"It cannot read a question with a byte above 127 and ends the connection.", both(differs("other", "no-answer"), ofWorld("idn"))},
	{"Where DANE and MTA-STS both apply it answers `secure`, and Postfix then leaves DANE out (RFC 8461 section 2 forbids it).", both(differs("other", "dane-not-sts"), knowsTLSA)},
	{"It knows no DANE: main.cf decides.", both(differs("stronger", "they-nothing"), knowsTLSA)},
	{"It looks at the TXT record at most once a minute (`cache_grace`), so a policy that has changed a moment ago counts as it was.", ofWorld("cached-new", "cached-removed")},
	{"A field that is there twice counts by its last value (RFC 8461 section 3.2: the first).", both(differs("stronger", "they-nothing"), ofWorld("lint-field-repeated"))},
	{"It takes a policy or a record that the grammar of RFC 8461 does not allow, and enforces it.", both(differs("weaker", "we-nothing"), ofWorld("near-policy-comment", "near-policy-cr-cr-lf", "near-policy-nbsp", "near-txt-date", "near-policy-yaml"))},
	{"The same, with an answer that Postfix does not take.", both(differs("other", "unreadable"), ofWorld("near-policy-preference"))},
	{"It takes a policy whose host has its name only as a Common Name (RFC 8461 section 3.3 wants a DNS name).", both(differs("weaker", "we-nothing"), ofWorld("sts-cert-cn"))},
	{"It takes a policy that comes compressed without having been asked for, or with headers of 100 kB; mxauth refuses both.", both(differs("weaker", "we-nothing"), ofWorld("policy-gzip", "policy-big-header"))},
	{"mxauth names the MX hosts that the policy lists, it the patterns, of which a wildcard covers names two labels below (RFC 8461 section 4.1: one).", differs("stronger", "names-fewer")},
	{"mxauth demands TLS 1.2 or later (RFC 8461 section 4), it what main.cf demands.", differs("stronger", "protocols")},
	{"An exception of the administrator lowers what is demanded.", both(differs("weaker", "level-lower"), ofWorld("excepted-sts"))},
	{"No host may be used now: mxauth lets the message wait, it has main.cf decide, or answers by the policy alone.", both(differs("stronger", "we-wait"), noHostNow)},
}

// noHostNow fits where the plan has no host that may be used now.
func noHostNow(s *situation, _ *comparedRow) bool {
	return !slices.ContainsFunc(s.check.Plan.Hosts, func(h engine.Host) bool { return h.Requirement != engine.Skip && len(h.Addresses) > 0 })
}

// compareResolver compares mxauth's answers with those of Debian's postfix-mta-sts-resolver
// about every domain of the lab, as an administrator does: every difference has a known reason,
// and every known reason explains a difference.
func (w *mailWorld) compareResolver(t *testing.T) {
	byKey := map[string]*situation{}
	var list strings.Builder
	for _, s := range w.situations {
		if s.group == "" && byKey[s.key] == nil {
			byKey[s.key] = s
			list.WriteString(s.key + "\n")
		}
	}
	cmd := exec.CommandContext(t.Context(), w.binary, "compare", "--config", w.daemons[""].config, "--json", "--with", "socketmap:inet:"+w.other+":"+byResolver, "-")
	cmd.Stdin = strings.NewReader(list.String())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var ee *exec.ExitError
	if err != nil && (!errors.As(err, &ee) || ee.ExitCode() != 1) {
		t.Fatalf("mxauth compare: %v\n%s", err, stderr.Bytes())
	}
	t.Logf("%s", stderr.Bytes())
	used, rows := make([]int, len(knownDifferences)), 0
	for line := range bytes.Lines(out) {
		var r comparedRow
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		s := byKey[r.Domain]
		if s == nil {
			t.Fatalf("an answer about %q, which was not asked", r.Domain)
		}
		rows++
		if r.Verdict == "equal" {
			continue
		}
		i := slices.IndexFunc(knownDifferences, func(k knownDifference) bool { return k.fits(s, &r) })
		if i < 0 {
			t.Errorf("%s (%s): %s %s, and no reason is known\n  mxauth %.200s\n  other  %.200s", s.Name, s.About, r.Verdict, r.ReasonID, r.Ours, r.Theirs)
			continue
		}
		used[i]++
	}
	if rows != len(byKey) || rows < 40 {
		t.Errorf("%d answers to %d questions", rows, len(byKey))
	}
	for i, k := range knownDifferences {
		t.Logf("%4d %s", used[i], k.text)
		if used[i] == 0 {
			t.Errorf("no difference is explained by: %s", k.text)
		}
	}
}
