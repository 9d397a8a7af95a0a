package lab_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/conformance/lab"
)

func described(t *testing.T, worlds []lab.World) []lab.World {
	t.Helper()
	out, err := lab.Describe(t.Context(), worlds)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The JSON of a world holds all of it: read again it is the same world.
func TestWorldAsJSON(t *testing.T) {
	for _, w := range described(t, lab.Worlds()) {
		b, err := json.Marshal(w)
		if err != nil {
			t.Fatalf("%s: %v", w.Name, err)
		}
		var back lab.World
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("%s: %v", w.Name, err)
		}
		if !reflect.DeepEqual(w, back) {
			again, _ := json.Marshal(back)
			t.Errorf("%s:\n%s\n%s", w.Name, b, again)
		}
	}
}

// A description is that of a running lab, and does not change the worlds that it is made of.
func TestDescribe(t *testing.T) {
	specs := lab.Worlds()
	worlds := described(t, specs)
	l := start(t, lab.Worlds()...)
	if !reflect.DeepEqual(worlds, l.Worlds()) {
		t.Error("a running lab describes its worlds otherwise")
	}
	if !reflect.DeepEqual(specs, lab.Worlds()) {
		t.Error("Describe changed the worlds")
	}
	for _, w := range worlds {
		at := l.Plain()
		for _, line := range w.Published.Records {
			if w.Was != nil || len(w.Faults) > 0 || slices.ContainsFunc(w.Zones, func(z lab.Zone) bool { return z.Break != nil }) {
				continue // what is served differs on purpose
			}
			if !served(t, l, at, line) {
				t.Errorf("%s: not served: %s", w.Name, line)
			}
		}
	}
	for _, w := range worlds {
		if p := w.Published.Policy; (p == nil) != (w.STS == nil) {
			t.Errorf("%s: policy %+v", w.Name, p)
		}
		for _, h := range w.Hosts {
			if (len(h.Addresses) == 0) != (h.NoAddress || h.NoV4 && !h.V6) {
				t.Errorf("%s: %s has the addresses %s", w.Name, h.Name, h.Addresses)
			}
		}
	}
}

// served reports whether a resolver of the lab returns the record; the data of a TLSA record
// is taken from the host that its braces name.
func served(t *testing.T, l *lab.Lab, at netip.AddrPort, line string) bool {
	t.Helper()
	kind, braces := "", false
	if before, rest, ok := strings.Cut(line, "{"); ok {
		words := strings.Fields(strings.TrimSuffix(rest, "}"))
		kind, braces = strings.Join(words[:3], " "), true
		if len(words) == 5 { // the first server of the name: TLSA knows no other
			data, err := l.TLSA(words[4], strings.Join(words[:4], " "))
			if err != nil {
				t.Fatal(err)
			}
			line, braces = before+data, false
		} else {
			line = before + kind + " 00"
		}
	}
	want, err := dns.NewRR(line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	h := want.Header()
	name := h.Name
	if strings.HasPrefix(name, "*.") {
		name = "any" + name[1:]
		h.Name = name
	}
	answer := ask(t, at, name, dns.TypeToString[h.Rrtype]).Answer
	if h.Rrtype == dns.TypeCNAME { // a name may have another alias for IPv6
		answer = append(answer, ask(t, at, name, "AAAA").Answer...)
	}
	return slices.ContainsFunc(answer, func(rr dns.RR) bool {
		if braces {
			return strings.Contains(rr.String(), "\tTLSA\t"+kind+" ")
		}
		return dns.IsDuplicate(rr, want)
	})
}
