package policydiff_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/advise/policydiff"
	"github.com/mxauth/mxauth/internal/nametest"
	"github.com/mxauth/mxauth/sts"
)

func policy(t *testing.T, mode string, age string, mx ...string) sts.Policy {
	t.Helper()
	p, err := sts.ParsePolicy([]byte("version: STSv1\nmode: " + mode + "\nmx: " + strings.Join(mx, "\nmx: ") + "\nmax_age: " + age + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var hosts = nametest.Hosts

var since = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestEffects holds what a change does to one host, for each pair of modes and each way in
// which the policies can list it.
func TestEffects(t *testing.T) {
	mx := hosts(t, "mx.example.org")
	list := map[bool]string{true: "mx.example.org", false: "other.example.org"}
	for _, was := range []string{"testing", "enforce", "none"} {
		for _, is := range []string{"testing", "enforce", "none"} {
			for _, before := range []bool{false, true} {
				for _, after := range []bool{false, true} {
					d := policydiff.Compare(policydiff.Request{Old: policy(t, was, "604800", list[before]), New: policy(t, is, "604800", list[after]), MX: mx, Since: since})
					want := map[[2]bool]policydiff.Effect{{false, false}: policydiff.Unlisted, {true, false}: policydiff.Lost, {false, true}: policydiff.Gained, {true, true}: policydiff.Kept}[[2]bool{before, after}]
					stopped, unlisted := d.Lost()
					if len(d.Hosts) != 1 || d.Hosts[0].Effect != want || stopped != (is == "enforce" && !after) || unlisted == after {
						t.Errorf("%s to %s, listed %v and %v: %+v, %v %v", was, is, before, after, d.Hosts, stopped, unlisted)
					}
					if (d.Mode == "") != (was == is) || d.Same != (was == is && before == after) {
						t.Errorf("%s to %s, listed %v and %v: same %v, mode %q", was, is, before, after, d.Same, d.Mode)
					}
					if said := strings.Join(d.Do, "\n"); strings.Contains(said, "change the id") == (stopped || d.Same) {
						t.Errorf("%s to %s, listed %v and %v: %s", was, is, before, after, said)
					}
				}
			}
		}
	}
}

// TestMemory: a sender remembers a policy for its max_age after its own last fetch, and sees
// a new id once the old record has left the caches.
func TestMemory(t *testing.T) {
	t.Run("STS-3.2-05 max_age counts from the last fetch of the old policy", func(t *testing.T) {
		r := policydiff.Request{Old: policy(t, "enforce", "604800", "mx.example.org"), New: policy(t, "enforce", "86400", "mx.example.org", "mx2.example.org"),
			MX: hosts(t, "mx.example.org", "mx2.example.org"), Since: since, RecordTTL: time.Hour}
		d := policydiff.Compare(r)
		if !d.Remembered.Equal(since.Add(7 * 24 * time.Hour)) {
			t.Errorf("%v", d.Remembered)
		}
		for _, want := range []string{"from 2026-03-01 13:00 UTC on", "until 2026-03-08 12:00 UTC at the latest", "this changes nothing for a sender that has the old policy", "Keep a mail host that the old policy lists"} {
			if all := strings.Join(append(append([]string{d.MaxAge}, d.Memory...), d.Do...), "\n"); !strings.Contains(all, want) {
				t.Errorf("%q is not in\n%s", want, all)
			}
		}
		r.Old = policy(t, "enforce", "0", "mx.example.org")
		if d := policydiff.Compare(r); len(d.Memory) != 1 || strings.Contains(strings.Join(d.Do, "\n"), "Keep a mail host") {
			t.Errorf("%+v", d)
		}
	})
}

// TestWildcards: an asterisk is one label, and hosts are not known without an MX set.
func TestWildcards(t *testing.T) {
	t.Run("STS-4.1-02 an asterisk is one whole label", func(t *testing.T) {
		r := policydiff.Request{Old: policy(t, "enforce", "604800", "*.example.org"), New: policy(t, "enforce", "604800", "*.mail.example.org"), Since: since,
			MX: hosts(t, "mx.example.org", "mx.mail.example.org", "mail.example.org")}
		d := policydiff.Compare(r)
		want := map[string]policydiff.Effect{"mx.example.org": policydiff.Lost, "mx.mail.example.org": policydiff.Gained, "mail.example.org": policydiff.Lost}
		for _, h := range d.Hosts {
			if h.Effect != want[h.Host] {
				t.Errorf("%+v", h)
			}
		}
		if len(d.Wildcards) != 2 || d.Unsure || !strings.Contains(d.Wildcards[0].Text, "it does not list mail.example.org.") || !strings.Contains(d.Wildcards[1].Text, "it does not list mx.mail.example.org.") {
			t.Errorf("%+v", d.Wildcards)
		}
		r.MX = nil
		if d := policydiff.Compare(r); !d.Unsure || d.MXKnown || len(d.Hosts) != 0 {
			t.Errorf("%+v", d)
		}
	})
}
