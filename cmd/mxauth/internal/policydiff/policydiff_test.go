package policydiff_test

import (
	"slices"
	"testing"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/policydiff"
)

func answer(s string) policydiff.Answer {
	switch s {
	case "NOTFOUND":
		return policydiff.Answer{Kind: policydiff.NotFound}
	case "TEMP":
		return policydiff.Answer{Kind: policydiff.Wait, Text: "cause"}
	case "PERM":
		return policydiff.Answer{Kind: policydiff.Failed}
	}
	return policydiff.Answer{Kind: policydiff.Found, Text: s}
}

func TestCompare(t *testing.T) {
	const p12 = " protocols=>=TLSv1.2"
	seen := map[policydiff.Reason]bool{}
	for _, x := range []struct {
		ours, theirs string
		verdict      policydiff.Verdict
		reason       policydiff.Reason
	}{
		{"NOTFOUND", "NOTFOUND", policydiff.Equal, policydiff.Same},
		{"TEMP", "TEMP", policydiff.Equal, policydiff.Same},
		{"NOTFOUND", "dane", policydiff.Equal, policydiff.Same},
		{"dane-only" + p12, "dane-only" + p12, policydiff.Equal, policydiff.Same},
		{"dane-only" + p12, "dane-only", policydiff.Stronger, policydiff.Protocols},
		{"dane", "dane" + p12, policydiff.Weaker, policydiff.Protocols},
		{"dane-only", "dane", policydiff.Stronger, policydiff.LevelHigher},
		{"may", "encrypt", policydiff.Weaker, policydiff.LevelLower},
		{"may", "NOTFOUND", policydiff.Weaker, policydiff.LevelLower},
		{"NOTFOUND", "dane-only", policydiff.Weaker, policydiff.WeNothing},
		{"NOTFOUND", "secure match=a.b", policydiff.Weaker, policydiff.WeNothing},
		{"encrypt", "NOTFOUND", policydiff.Stronger, policydiff.TheyNothing},
		{"secure match=a.b", "NOTFOUND", policydiff.Stronger, policydiff.TheyNothing},
		{"NOTFOUND", "may", policydiff.Stronger, policydiff.LevelHigher},
		{"encrypt", "dane", policydiff.Other, policydiff.LevelDiffers},
		{"secure match=a.b", "encrypt", policydiff.Stronger, policydiff.LevelHigher},
		{"dane-only", "secure match=a.b", policydiff.Other, policydiff.DANENotSTS},
		{"secure match=a.b", "dane", policydiff.Other, policydiff.STSNotDANE},
		{"TEMP", "secure match=a.b", policydiff.Stronger, policydiff.WeWait},
		{"NOTFOUND", "TEMP", policydiff.Weaker, policydiff.TheyWait},
		{"NOTFOUND", "PERM", policydiff.Other, policydiff.NoAnswer},
		{"NOTFOUND", "high", policydiff.Other, policydiff.Unreadable},
		{"NOTFOUND", "", policydiff.Other, policydiff.Unreadable},
		{"NOTFOUND", "secure match", policydiff.Other, policydiff.Unreadable},
		{"secure match=mx.a.b servername=hostname", "secure match=MX.a.b servername=hostname", policydiff.Equal, policydiff.Same},
		{"secure match=mx.a.b", "secure match=.a.b", policydiff.Stronger, policydiff.NamesFewer},
		{"secure match=.a.b", "secure match=mx.a.b", policydiff.Weaker, policydiff.NamesMore},
		{"secure match=mx.a.b", "secure match=mx.c.d", policydiff.Other, policydiff.NamesDiffer},
		{"secure match=mx.a.b", "secure", policydiff.Other, policydiff.NamesDiffer},
		{"secure match=mx.a.b" + p12, "secure match=.a.b", policydiff.Stronger, policydiff.NamesFewer},
		{"secure match=mx.a.b", "secure match=.a.b" + p12, policydiff.Other, policydiff.NamesFewer},
		{"secure match=a.b:c.d", "secure match=c.d:a.b", policydiff.Equal, policydiff.Same},
		{"secure match=a.b servername=hostname", "secure match=a.b", policydiff.Other, policydiff.SNI},
		{"secure match=a.b mx_host_pattern=a.b", "secure match=a.b", policydiff.Stronger, policydiff.HostsFewer},
		{"secure match=a.b", "secure match=a.b mx_host_pattern=a.b", policydiff.Weaker, policydiff.HostsMore},
		{"secure match=a.b mx_host_pattern=x.a.b", "secure match=a.b mx_host_pattern=*.a.b", policydiff.Stronger, policydiff.HostsFewer},
		{"secure match=a.b mx_host_pattern=x.y.a.b", "secure match=a.b mx_host_pattern=*.a.b", policydiff.Other, policydiff.HostsDiffer},
		{"secure match=a.b { policy_string = mx: a.b } policy_type=sts", "secure match=a.b", policydiff.Equal, policydiff.Same},
	} {
		v, r := policydiff.Compare(answer(x.ours), answer(x.theirs), "dane")
		seen[r] = true
		if v != x.verdict || r != x.reason {
			t.Errorf("%q against %q: %v %s, want %v %s", x.ours, x.theirs, v, r, x.verdict, x.reason)
		}
	}
	for _, r := range policydiff.Reasons() {
		if !seen[r] {
			t.Errorf("no two answers differ by %s", r)
		}
	}
}

// Seen from the other side, stronger is weaker and all else stays.
func TestCompareTurned(t *testing.T) {
	list := []string{"NOTFOUND", "TEMP", "PERM", "secure match=mx.a.b", "secure match=.a.b servername=hostname", "secure match=x.y:mx.a.b protocols=>=TLSv1.2", "high"}
	for _, l := range policydiff.Levels() {
		list = append(list, l, l+" protocols=>=TLSv1.2")
	}
	turned := []policydiff.Verdict{policydiff.Other: policydiff.Other, policydiff.Equal: policydiff.Equal, policydiff.Stronger: policydiff.Weaker, policydiff.Weaker: policydiff.Stronger}
	for _, level := range policydiff.Levels() {
		for _, a := range list {
			for _, b := range list {
				v, _ := policydiff.Compare(answer(a), answer(b), level)
				o, _ := policydiff.Compare(answer(b), answer(a), level)
				if o != turned[v] {
					t.Errorf("%s: %q against %q is %v, and turned %v", level, a, b, v, o)
				}
			}
		}
	}
	if !slices.Contains(policydiff.Levels(), "dane") {
		t.Error("dane is no level")
	}
}

func FuzzCompare(f *testing.F) {
	f.Add("secure match=a { policy_string = x } b=c", "dane")
	f.Fuzz(func(t *testing.T, a, b string) {
		v, r := policydiff.Compare(answer(a), answer(b), "dane")
		if r == "" || (v == policydiff.Equal) != (r == policydiff.Same) {
			t.Errorf("%v %q", v, r)
		}
	})
}
