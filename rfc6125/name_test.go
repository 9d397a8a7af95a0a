package rfc6125_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mxauth/mxauth/internal/nametest"
	"github.com/mxauth/mxauth/rfc6125"
)

var mustName = nametest.Name

func label(n int) string { return strings.Repeat("a", n) }

// longest is a name of 255 octets in wire form, 253 in text.
var longest = label(63) + "." + label(63) + "." + label(63) + "." + label(61)

func TestParseName(t *testing.T) {
	for _, c := range []struct {
		in, out string // out with the dot at the end
		labels  int
	}{
		{".", ".", 0},
		{"example.org", "example.org.", 2},
		{"example.org.", "example.org.", 2},
		{"EXAMPLE.Org", "example.org.", 2},
		{"_25._tcp.mx.example.org", "_25._tcp.mx.example.org.", 5},
		{"_mta-sts.example", "_mta-sts.example.", 2},
		{"*.example", "*.example.", 2},
		{"ab--cd.example", "ab--cd.example.", 2},
		{`a\.b.example`, `a\.b.example.`, 2},
		{`a\046b.example`, `a\.b.example.`, 2},
		{`\097.example`, "a.example.", 2},
		{`\065.example`, "a.example.", 2},
		{`\000.example`, `\000.example.`, 2},
		{`\255`, `\255.`, 1},
		{`\\.x`, `\\.x.`, 2},
		{`\".x`, `\".x.`, 2},
		{`a b`, `a\032b.`, 1},
		{"b\u00fc", `b\195\188.`, 1},
		{`(;@$)`, `\(\;\@\$\).`, 1},
		{"~!", "~!.", 1},
		{"a", "a.", 1},
		{"\x7f", `\127.`, 1},
		{label(63), label(63) + ".", 1},
		{longest, longest + ".", 4},
		{longest + ".", longest + ".", 4},
		{strings.Repeat("a.", 127), strings.Repeat("a.", 127), 127},
	} {
		n, err := rfc6125.ParseName(c.in)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		if n.FQDN() != c.out || n.NumLabels() != c.labels {
			t.Errorf("%q prints as %q with %d labels, want %q with %d", c.in, n.FQDN(), n.NumLabels(), c.out, c.labels)
		}
		if want := strings.TrimSuffix(c.out, "."); c.out != "." && n.String() != want {
			t.Errorf("%q: String %q, want %q", c.in, n.String(), want)
		}
		if m := mustName(t, n.String()); m != n {
			t.Errorf("%q reads back as %q", n, m)
		}
		if m, err := rfc6125.NameFromWire(n.Wire()); err != nil || m != n {
			t.Errorf("%q from wire: %q, %v", n, m, err)
		}
		if !n.IsValid() || n.WireLen() != len(n.Wire()) || n.IsRoot() != (c.in == ".") {
			t.Errorf("%q: valid %v, length %d, root %v", n, n.IsValid(), n.WireLen(), n.IsRoot())
		}
	}
}

func TestParseNameErrors(t *testing.T) {
	for _, s := range []string{
		"", "..", ".a", "a..", "a..b", label(64), "a." + label(64), longest + "a", "a." + longest,
		`\`, `a\`, `\1`, `\12`, `\1x2`, `\12x`, `\256`, `\999.a`, strings.Repeat("a.", 128), strings.Repeat("a.", 127) + "a",
	} {
		if n, err := rfc6125.ParseName(s); !errors.Is(err, rfc6125.ErrName) || n.IsValid() {
			t.Errorf("%q: %q, %v", s, n, err)
		}
	}
	for n, cut := range map[int]bool{80: false, 81: true} {
		if _, err := rfc6125.ParseName(label(n)); err == nil || strings.Contains(err.Error(), "...") != cut {
			t.Errorf("%d octets: %v", n, err)
		}
	}
	if _, err := rfc6125.ParseName(strings.Repeat("x", 10_000)); err == nil || len(err.Error()) > 200 {
		t.Errorf("an error of %d octets", len(err.Error()))
	}
}

func TestNameFromWireErrors(t *testing.T) {
	for _, b := range [][]byte{
		nil, {}, {1}, {1, 'a'}, {0, 0}, {1, 'a', 0, 0}, {2, 'a', 0}, {64, 'a', 0}, {0xc0, 0}, {3, 'a', 'b', 0},
		append(bytes.Repeat([]byte{1, 'a'}, 127), 1, 'a', 0), append(append([]byte{64}, label(64)...), 0),
	} {
		if n, err := rfc6125.NameFromWire(b); !errors.Is(err, rfc6125.ErrName) || n.IsValid() {
			t.Errorf("%v: %q, %v", b, n, err)
		}
	}
	long := strings.Repeat("\x3f"+label(63), 3) + "\x3e" + label(62) + "\x00" // 256 octets
	if n, err := rfc6125.NameFromWire([]byte(long)); !errors.Is(err, rfc6125.ErrName) || n.IsValid() {
		t.Errorf("256 octets: %v", err)
	}
	n, err := rfc6125.NameFromWire(append(bytes.Repeat([]byte{1, 'A'}, 127), 0))
	if err != nil || n.WireLen() != 255 || n.Label(126) != "a" {
		t.Errorf("a name of 255 octets: %v", err)
	}
}

func TestNameZero(t *testing.T) {
	var z rfc6125.Name
	if z.IsValid() || z.IsRoot() || z.IsWildcard() || z.NumLabels() != 0 || z.String() != "" || z.FQDN() != "" || z.Wire() != nil || z.WireLen() != 0 {
		t.Error("the zero Name is something")
	}
	if z.Parent().IsValid() || z.Ancestor(1).IsValid() || z.Label(0) != "" || len(z.AppendWire(nil)) != 0 {
		t.Error("the zero Name has parts")
	}
	if z.IsSubdomainOf(rfc6125.RootName()) || rfc6125.RootName().IsSubdomainOf(z) || z.IsSubdomainOf(z) {
		t.Error("the zero Name is below or above another")
	}
	if _, err := z.Child("a"); !errors.Is(err, rfc6125.ErrName) {
		t.Error("a label below the zero Name")
	}
	if z.Compare(rfc6125.RootName()) != -1 || rfc6125.RootName().Compare(z) != 1 || z.Compare(z) != 0 {
		t.Error("the zero Name does not sort first")
	}
	b, err := z.MarshalText()
	n := rfc6125.RootName()
	if err != nil || len(b) != 0 || n.UnmarshalText(b) != nil || n != z {
		t.Error("the zero Name does not survive its text")
	}
}

func TestNameParts(t *testing.T) {
	n := mustName(t, "a.b.Example.org")
	for i, want := range []string{"a", "b", "example", "org", ""} {
		if n.Label(i) != want {
			t.Errorf("label %d is %q", i, n.Label(i))
		}
	}
	if n.Label(-1) != "" {
		t.Errorf("label -1 is %q", n.Label(-1))
	}
	if n.Parent() != mustName(t, "b.example.org") || rfc6125.RootName().Parent().IsValid() || mustName(t, "org").Parent() != rfc6125.RootName() {
		t.Error("wrong parent")
	}
	for k, want := range []string{".", "org", "example.org", "b.example.org", "a.b.example.org", "a.b.example.org"} {
		if n.Ancestor(k) != mustName(t, want) {
			t.Errorf("ancestor %d is %s", k, n.Ancestor(k))
		}
	}
	if !mustName(t, "*.a").IsWildcard() || mustName(t, "a.*").IsWildcard() || mustName(t, "*a.b").IsWildcard() || mustName(t, `\*.x`) != mustName(t, "*.x") {
		t.Error("wrong wildcard")
	}
	if got := n.AppendWire([]byte{7}); !bytes.Equal(got, append([]byte{7}, n.Wire()...)) {
		t.Errorf("AppendWire: %v", got)
	}
}

func TestNameSubdomain(t *testing.T) {
	for _, c := range []struct {
		n, parent string
		want      bool
	}{
		{"example.com", "example.com", true},
		{"a.example.com", "example.com", true},
		{"a.b.example.com", "example.com", true},
		{"evilexample.com", "example.com", false},
		{"example.com", "a.example.com", false},
		{"com", ".", true},
		{".", ".", true},
		{".", "com", false},
		{`x\.example.com`, "example.com", false},
		{"A.EXAMPLE.com", "Example.COM", true},
	} {
		if got := mustName(t, c.n).IsSubdomainOf(mustName(t, c.parent)); got != c.want {
			t.Errorf("%s below %s: %v", c.n, c.parent, got)
		}
	}
}

func TestNameChild(t *testing.T) {
	n, err := mustName(t, "example").Child("MX.a")
	if err != nil || n.String() != `mx\.a.example` || n.NumLabels() != 2 {
		t.Errorf("%v, %v", n, err)
	}
	if n, err := rfc6125.RootName().Child(label(63)); err != nil || n.WireLen() != 65 {
		t.Errorf("a label of 63 octets: %v", err)
	}
	for _, l := range []string{"", label(64)} {
		if _, err := rfc6125.RootName().Child(l); !errors.Is(err, rfc6125.ErrName) {
			t.Errorf("%d octets: %v", len(l), err)
		}
	}
	long := mustName(t, label(63)+"."+label(63)+"."+label(63)) // 193 octets
	if n, err := long.Child(label(61)); err != nil || n.WireLen() != 255 {
		t.Errorf("255 octets: %v", err)
	}
	if _, err := long.Child(label(62)); !errors.Is(err, rfc6125.ErrName) {
		t.Errorf("256 octets: %v", err)
	}
}

// The order of RFC 4034 section 6.1.
func TestNameCompare(t *testing.T) {
	order := []string{
		"example", "a.example", "yljkjljk.a.example", "Z.a.example", "zABC.a.EXAMPLE",
		"z.example", `\001.z.example`, "*.z.example", `\200.z.example`,
	}
	var names []rfc6125.Name
	for _, s := range order {
		names = append(names, mustName(t, s))
	}
	names = append([]rfc6125.Name{{}, rfc6125.RootName()}, names...)
	for i, a := range names {
		for j, b := range names {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%q with %q: %d, want %d", a, b, got, want)
			}
		}
	}
	shuffled := slices.Clone(names)
	slices.Reverse(shuffled)
	slices.SortFunc(shuffled, rfc6125.Name.Compare)
	if !slices.Equal(shuffled, names) {
		t.Errorf("sorted: %v", shuffled)
	}
}

func TestNameText(t *testing.T) {
	n := mustName(t, `a\.b.example`)
	b, err := n.MarshalText()
	var m rfc6125.Name
	if err != nil || m.UnmarshalText(b) != nil || m != n {
		t.Errorf("%q, %v: %q", b, err, m)
	}
	if err := m.UnmarshalText([]byte("a..b")); !errors.Is(err, rfc6125.ErrName) || m != n {
		t.Errorf("an error changed the name: %v, %q", err, m)
	}
}

func TestNameRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rfc6125.RootName()
		for _, l := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 20), 0, 8).Draw(t, "labels") {
			var err error
			if n, err = n.Child(string(l)); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range []string{n.String(), n.FQDN(), strings.ToUpper(n.String())} {
			if m, err := rfc6125.ParseName(s); err != nil || m != n {
				t.Fatalf("%q: %v, %v", s, m, err)
			}
		}
		if m, err := rfc6125.NameFromWire(n.Wire()); err != nil || m != n {
			t.Fatalf("wire: %v, %v", m, err)
		}
		if strings.ContainsFunc(n.String(), func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("%q is not safe to print", n.String())
		}
	})
}
