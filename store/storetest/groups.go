package storetest

import (
	"strings"
	"time"

	"github.com/mxauth/mxauth/store"
)

// groups: a group and a use change nothing of an entry, and a store that gives them back gives
// those of the entry.
func (s *suite) groups() {
	before := s.o.Now()
	for _, g := range []string{"", "example.org", strings.Repeat("g", store.MaxGroup)} {
		e := store.Entry{Key: "k" + g[:min(len(g), 20)], Value: []byte("value"), Class: store.Testing, Expires: s.in(time.Hour), Group: g, Used: s.in(-time.Hour)}
		if err := s.st.Put(s.ctx, e); err != nil {
			s.Fatal(err)
		}
		s.want(e)
		got, ok, err := store.Peek(s.ctx, s.st, e.Key)
		if err != nil || !ok {
			s.Fatalf("Peek: %v, %v", ok, err)
		}
		s.same(got, e)
		if got.Group != "" && got.Group != g {
			s.Errorf("group %q became %q", g, got.Group)
		}
		if !got.Used.IsZero() && got.Used.Before(before.Add(-store.UsePrecision)) {
			s.Errorf("used %s, put at %s", got.Used, before)
		}
		if n, ok := s.st.(store.UseNoter); ok {
			n.NoteUse(e.Key)
			n.NoteUse("nothing")
			s.want(e)
			s.wantAbsent("nothing")
		}
	}
	if e, ok, err := store.Peek(s.ctx, s.st, "nothing"); err != nil || ok {
		s.Errorf("Peek: %q, %v, %v", e.Value, ok, err)
	}
}
