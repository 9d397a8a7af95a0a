package bolt_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/bolt"
	"github.com/mxauth/mxauth/store/storetest"
)

// version1 writes the file that the first version of this package has made.
func version1(t *testing.T) string {
	t.Helper()
	packed, err := os.Open("testdata/version1.db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "v1.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestVersion1: a file of the first version is read, and becomes one of the second with the
// first write, record by record.
func TestVersion1(t *testing.T) {
	path := version1(t)
	check := func(s store.Store, extra int) {
		t.Helper()
		got := content(t, s)
		if len(got) != 60+extra {
			t.Errorf("%d entries", len(got))
		}
		for i := range 60 {
			want := strings.Repeat(fmt.Sprint(i, " "), 40)
			if i == 7 {
				want = strings.Repeat("x", 9000)
			}
			key := fmt.Sprintf("sts/p/d%02d.example", i)
			if e, ok, err := s.Get(ctx, key); err != nil || !ok || string(e.Value) != want || got[key] != want || e.Class != store.Class(i%4) || e.Group != "" {
				t.Fatalf("%s: %v %v", key, ok, err)
			}
		}
	}
	s := open(t, bolt.Config{Path: path})
	check(s, 0)
	put(t, s, "new", "v", store.Enforce, time.Now().Add(time.Hour))
	check(s, 1)
	if e, _, _ := s.Get(ctx, "sts/p/d07.example"); time.Since(e.Used) > time.Hour {
		t.Errorf("its use is not noted: %s", e.Used)
	}
	s.Close()
	s = open(t, bolt.Config{Path: path})
	check(s, 1)
	s.Close()
	b, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(b, []byte("mxauth store 2")) {
		t.Errorf("the format is not noted: %v", err)
	}
	// What is damaged in such a file is rescued from it.
	path, to := version1(t), filepath.Join(t.TempDir(), "to.db")
	if n, err := bolt.Rescue(ctx, path, bolt.Config{Path: to}); err != nil || n != 60 {
		t.Fatal(n, err)
	}
	check(open(t, bolt.Config{Path: to}), 0)
	// When it is full, its entries count as used when it was opened.
	c := storetest.NewClock()
	s = open(t, bolt.Config{Path: version1(t), MaxEntries: 60, Now: c.Now})
	c.Advance(48 * time.Hour)
	s.Get(ctx, "sts/p/d03.example")
	put(t, s, "sts/p/new.example", "v", store.Enforce, c.Now().Add(time.Hour))
	if _, ok, _ := s.Get(ctx, "sts/p/d03.example"); !ok {
		t.Error("an entry in use is gone")
	}
}

// putHonest stores policies of many domains, which end in a week.
func putHonest(t *testing.T, s *bolt.Store, c *storetest.Clock) (es []store.Entry) {
	t.Helper()
	for i := range 1000 {
		es = append(es, store.Entry{Key: fmt.Sprintf("sts/p/honest%d.example", i), Value: bytes.Repeat([]byte("v"), 300), Class: store.Enforce,
			Expires: c.Now().Add(7 * 24 * time.Hour), Group: fmt.Sprintf("honest%d.example", i)})
	}
	if err := s.PutAll(ctx, es); err != nil {
		t.Fatal(err)
	}
	return es
}

// TestFlood: policies that their owner makes large and long-lived drive none out that is in
// use (issue 14, C1), whether they are of one registrable domain or of many.
func TestFlood(t *testing.T) {
	for _, group := range []string{"", "hostile.example", "own"} {
		t.Run("group "+group, func(t *testing.T) {
			c := storetest.NewClock()
			path := filepath.Join(t.TempDir(), "s.db")
			cfg := bolt.Config{Path: path, MaxBytes: 16 << 20, Now: c.Now}
			s := open(t, cfg)
			es := putHonest(t, s, c)
			c.Advance(24 * time.Hour)
			for _, e := range es {
				s.Get(ctx, e.Key)
			}
			s.Close() // uses are written
			s = open(t, cfg)
			c.Advance(20 * time.Hour)
			for i := 0; i < 300; i += 20 {
				var flood []store.Entry
				for k := range 20 {
					i := i + k
					g := group
					if g == "own" {
						g = fmt.Sprintf("hostile%d.example", i)
					}
					flood = append(flood, store.Entry{Key: fmt.Sprintf("sts/p/x%d.hostile.example", i), Value: make([]byte, 64<<10), Class: store.Enforce,
						Expires: c.Now().Add(365 * 24 * time.Hour), Group: g})
				}
				if err := s.PutAll(ctx, flood); err != nil {
					t.Fatal(err)
				}
			}
			got := content(t, s)
			for _, e := range es {
				if _, ok := got[e.Key]; !ok {
					t.Fatalf("%s is gone", e.Key)
				}
			}
			if st := s.Stats(); st.Bytes > 16<<20 || len(got) < 1200 {
				t.Errorf("%d entries, stats %+v", len(got), st)
			}
		})
	}
	// Small ones: a share for each registrable domain.
	t.Run("small", func(t *testing.T) {
		c := storetest.NewClock()
		s := open(t, bolt.Config{Path: filepath.Join(t.TempDir(), "s.db"), MaxEntries: 2000, Now: c.Now})
		es := putHonest(t, s, c)
		c.Advance(6 * 24 * time.Hour) // unused since then
		for i := range 50 {
			var flood []store.Entry
			for k := range 100 {
				flood = append(flood, store.Entry{Key: fmt.Sprintf("sts/p/x%d.hostile.example", 100*i+k), Class: store.Enforce, Expires: c.Now().Add(365 * 24 * time.Hour), Group: "hostile.example"})
			}
			if err := s.PutAll(ctx, flood); err != nil {
				t.Fatal(err)
			}
		}
		// Nor does it take room from what is worth less.
		put(t, s, "absent", "v", store.Negative, c.Now().Add(time.Hour))
		got := content(t, s)
		for _, e := range es {
			if _, ok := got[e.Key]; !ok {
				t.Fatalf("%s is gone", e.Key)
			}
		}
		if _, ok := got["absent"]; !ok || len(got) > 2000 {
			t.Errorf("%d entries, the cheap one is there: %v", len(got), ok)
		}
	})
}

// TestUses: uses are written with the next change, when there are many, and at the end.
func TestUses(t *testing.T) {
	c := storetest.NewClock()
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, bolt.Config{Path: path, Now: c.Now})
	start := c.Now()
	var es []store.Entry
	for i := range 5000 {
		es = append(es, store.Entry{Key: fmt.Sprintf("k%d", i), Class: store.Enforce, Expires: c.Now().Add(999 * time.Hour), Group: "g"})
	}
	if err := s.PutAll(ctx, es); err != nil {
		t.Fatal(err)
	}
	used := func(key string) time.Time {
		t.Helper()
		e, ok, err := s.Peek(ctx, key)
		if err != nil || !ok || e.Group != "g" {
			t.Fatal(key, ok, err)
		}
		return e.Used
	}
	c.Advance(store.UsePrecision - time.Second)
	s.Get(ctx, "k0")
	put(t, s, "other", "v", store.None, c.Now().Add(time.Hour))
	if !used("k0").Equal(start) {
		t.Errorf("noted too soon: %s", used("k0"))
	}
	c.Advance(time.Second)
	s.Get(ctx, "k0")
	if !used("k0").Equal(start) {
		t.Errorf("written at once: %s", used("k0"))
	}
	put(t, s, "other", "v", store.None, c.Now().Add(time.Hour))
	if !used("k0").Equal(c.Now()) || !used("k1").Equal(start) {
		t.Errorf("used %s and %s at %s", used("k0"), used("k1"), c.Now())
	}
	s.NoteUse("k2")
	s.NoteUse("not there")
	s.Close()
	s.NoteUse("k3")
	s = open(t, bolt.Config{Path: path, Now: c.Now})
	if !used("k2").Equal(c.Now()) || !used("k3").Equal(start) {
		t.Errorf("used %s and %s at %s", used("k2"), used("k3"), c.Now())
	}
	for _, e := range es {
		s.Get(ctx, e.Key)
	}
	if !used("k4").Equal(c.Now()) {
		t.Error("many uses are not written")
	}
	// A use that was noted by a clock that was ahead.
	c.Advance(-1000 * time.Hour)
	s.Get(ctx, "k4")
	s.Delete(ctx, "not there")
	if !used("k4").Equal(c.Now()) {
		t.Errorf("used %s at %s", used("k4"), c.Now())
	}
}
