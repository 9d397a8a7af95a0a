package lint_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/advise/lint"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
)

var update = flag.Bool("update", false, "write testdata/words.golden anew")

const wordsFile = "testdata/words.golden"

// A teller holds one finding of each kind to testdata/words.golden, which is to be read
// as a text: a mail administrator who knows no RFC must understand what is wrong, and know
// what to do. `go test ./advise/lint -run TestWorlds -update` writes it.
type teller struct {
	street street
	want   map[lint.ID]string // the golden text of each kind
	world  map[lint.ID]string // the world of which it tells
	got    map[lint.ID]string
}

// heading is the first line of a kind: its id and the world that shows it.
var heading = regexp.MustCompile(`(?m)^## ([a-z0-9-]+), in the world ([a-z0-9-]+)$`)

func newTeller(t *testing.T, s street) *teller {
	t.Helper()
	o := &teller{s, map[lint.ID]string{}, map[lint.ID]string{}, map[lint.ID]string{}}
	if *update {
		return o
	}
	b, err := os.ReadFile(wordsFile)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	at := heading.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		id := lint.ID(text[m[2]:m[3]])
		o.want[id], o.world[id] = text[m[0]:end], text[m[4]:m[5]]
	}
	return o
}

// finding takes down the first finding of its kind in the world of which the golden file
// tells, or in any world if the file is to be written.
func (o *teller) finding(w lab.World, f lint.Finding) {
	told, is := o.world[f.ID]
	if _, have := o.got[f.ID]; have || is && told != w.Name {
		return
	}
	o.world[f.ID] = w.Name
	o.got[f.ID] = words(w, f)
}

// words is a finding as text, without what differs from run to run.
func words(w lab.World, f lint.Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s, in the world %s\n\n%s: %s\n", f.ID, w.Name, f.Severity, f.Text)
	for _, part := range []struct {
		label string
		lines []string
	}{{"seen", f.Evidence}, {"do", []string{f.Do}}, {"publish", f.Publish}, {"serve at " + f.PolicyURL, f.Policy}, {"RFC", []string{f.RFC}}} {
		for _, l := range part.lines {
			fmt.Fprintf(&b, "- %s: %s\n", part.label, l)
		}
	}
	return differs.ReplaceAllString(b.String()+"\n", "HASH") // keys, and the ports of the lab
}

// differs is what is not the same in every run: hashes of keys, and the lab's port.
var differs = regexp.MustCompile(`[0-9a-f]{16,}|127\.0\.0\.1:[0-9]+`)

// check holds what was told to the file, and writes it if that is wanted.
func (o *teller) check(t *testing.T) {
	t.Helper()
	if *update {
		var b strings.Builder
		b.WriteString("One finding of each kind, as the worlds of the lab show it.\n\n")
		for _, k := range lint.Kinds() {
			b.WriteString(o.got[k.ID])
		}
		if err := os.WriteFile(wordsFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, k := range lint.Kinds() {
		if o.got[k.ID] != o.want[k.ID] {
			o.again(t, k.ID)
		}
		if diff := cmp.Diff(o.want[k.ID], o.got[k.ID]); diff != "" {
			t.Errorf("%s: the words have changed (go test ./advise/lint -run TestWorlds -update): -want +got\n%s", k.ID, diff)
		}
	}
}

// again looks at the world of a kind with patience, since a machine with other work may
// not keep to short limits.
func (o *teller) again(t *testing.T, id lint.ID) {
	t.Helper()
	worlds := o.street.lab.Worlds()
	i := slices.IndexFunc(worlds, func(w lab.World) bool { return w.Name == o.world[id] })
	if i < 0 {
		return
	}
	findings, err := o.street.look(t.Context(), worlds[i].Domain, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range slices.Backward(findings) {
		if f.ID == id {
			o.got[id] = words(worlds[i], f)
		}
	}
}

// TestNotSaid: what would be wrong to say, or to advise.
func TestNotSaid(t *testing.T) {
	for _, c := range []struct {
		world string
		not   lint.ID
		why   string
	}{
		{"no-address", lint.TLSAUnsigned, "the zone is signed; the host lacks an address"},
		{"lint-certificate-cn", lint.CertName, "the certificate names the host, in the wrong place"},
	} {
		t.Run(c.world, func(t *testing.T) {
			s := start(t, []lab.World{labtest.World(t, c.world)})
			findings, err := s.look(t.Context(), s.lab.Worlds()[0].Domain, 10*time.Second)
			if err != nil || len(findings) == 0 {
				t.Fatalf("%d findings, %v", len(findings), err)
			}
			for _, f := range findings {
				if f.ID == c.not {
					t.Errorf("%s: %s; but %s", f.ID, f.Text, c.why)
				}
			}
		})
	}
}

// TestAdvice: what is to be published would end the finding, and contradicts no other.
func TestAdvice(t *testing.T) {
	for _, c := range []struct {
		world string
		id    lint.ID
		want  string // of the lines to publish or serve, parted by " | "; "" where there is nothing
	}{
		{"agility-weak", lint.TLSAAgility, "_25._tcp.mx.agility-weak.test. 3600 IN TLSA 3 1 1 HASH | _25._tcp.mx.agility-weak.test. 3600 IN TLSA 3 1 2 HASH"},
		{"implicit-mx-alias", lint.MXImplicit, "real.implicit-mx-alias.test. 3600 IN MX 10 real.implicit-mx-alias.test."},
		{"implicit-mx-alias", lint.HostAlias, ""},
		{"lint-testing-long", lint.STSTestingLong, `_mta-sts.lint-testing-long.test. 3600 IN TXT "v=STSv1; id=20260601000000;" | version: STSv1 | mode: enforce | mx: mx.lint-testing-long.test | max_age: 31536000`},
		{"lint-short-max-age", lint.STSShort, `_mta-sts.lint-short-max-age.test. 3600 IN TXT "v=STSv1; id=20260601000000;" | version: STSv1 | mode: enforce | mx: mx.lint-short-max-age.test | max_age: 2592000`},
	} {
		t.Run(c.world, func(t *testing.T) {
			w := labtest.World(t, c.world)
			s := start(t, []lab.World{w})
			findings, err := s.look(t.Context(), w.Domain, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(findings, func(f lint.Finding) bool { return f.ID == c.id })
			if i < 0 {
				t.Fatalf("no %s", c.id)
			}
			got := differs.ReplaceAllString(strings.Join(slices.Concat(findings[i].Publish, findings[i].Policy), " | "), "HASH")
			if got != c.want {
				t.Errorf("%s advises\n%s, want\n%s", c.id, got, c.want)
			}
		})
	}
}

// TestUnreachable: at how many addresses a host does not answer, as people say it.
func TestUnreachable(t *testing.T) {
	down := labtest.World(t, "two-addresses-one-down")
	down.Hosts = slices.Clone(down.Hosts)
	for i := range down.Hosts {
		down.Hosts[i].SMTP = lab.SMTP{State: lab.ConnRefused}
	}
	for _, c := range []struct {
		world lab.World
		want  string
	}{
		{labtest.World(t, "conn-refused"), "mx.conn-refused.test does not answer at its address."},
		{labtest.World(t, "two-addresses-one-down"), "mx.two-addresses-one-down.test does not answer at 1 of its 2 addresses."},
		{down, "mx.two-addresses-one-down.test does not answer at any of its 2 addresses."},
	} {
		s := start(t, []lab.World{c.world})
		findings, err := s.look(t.Context(), c.world.Domain, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(findings, func(f lint.Finding) bool { return f.ID == lint.HostUnreachable && f.Text == c.want }) {
			t.Errorf("%+v, want %q", findings, c.want)
		}
	}
}
