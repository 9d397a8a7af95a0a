package bolt_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/bolt"
)

// image makes a store file with several leaf pages, a large value and free pages.
func image(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, bolt.Config{Path: path})
	end := time.Now().Add(time.Hour)
	for i := range 4 {
		var es []store.Entry
		for k := range 25 {
			es = append(es, store.Entry{Key: fmt.Sprintf("sts/p/domain-%d-%d.example", i, k), Value: value(k), Class: store.Class(k % 4), Expires: end})
		}
		if err := s.PutAll(ctx, es); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, "large", string(make([]byte, 5000)), store.Enforce, end)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestEveryOctet changes each octet that means something, one at a time. The walk finds
// every one of these changes, but for some that move the border between two pages to
// another place where it is as good: with those every entry is still found.
func TestEveryOctet(t *testing.T) {
	b := image(t)
	if err := bolt.Verify(b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "good.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, bolt.Config{Path: path})
	want := content(t, s)
	s.Close()
	used := bolt.Used(b)
	n, passed := 0, 0
	for i, u := range used {
		if !u {
			continue
		}
		for _, bit := range []byte{[...]byte{0x01, 0x80}[i%2]} {
			b[i] ^= bit
			n++
			if err := bolt.Verify(b); err == nil {
				passed++
				if missing := unfound(t, b, want); missing != "" {
					t.Errorf("octet %d (page %d, octet %d in it) ^ %#x is not noticed, and %s is not found", i, i/4096, i%4096, bit, missing)
				}
			} else if !errors.Is(err, store.ErrDamaged) {
				t.Fatalf("octet %d: %v", i, err)
			}
			b[i] ^= bit
		}
	}
	if n < 10_000 || passed > 100 {
		t.Errorf("%d changes, %d not noticed", n, passed)
	}
}

// unfound opens a store file and returns the first key of want that it does not give as it
// should.
func unfound(t *testing.T, b []byte, want map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, bolt.Config{Path: path})
	defer s.Close()
	for k, v := range want {
		if e, ok, err := s.Get(ctx, k); err != nil || !ok || string(e.Value) != v {
			return k
		}
	}
	return ""
}

// TestEveryLength cuts the file at every page, and in the first pages at every octet.
func TestEveryLength(t *testing.T) {
	b := image(t)
	for n := 0; n < len(b); n++ {
		if n > 3*4096 && n%4096 != 0 {
			continue
		}
		err := bolt.Verify(b[:n])
		if n >= bolt.InUse(b) {
			if err != nil {
				t.Fatalf("%d octets, %d in use: %v", n, bolt.InUse(b), err)
			}
		} else if !errors.Is(err, store.ErrDamaged) {
			t.Fatalf("%d octets, %d in use: %v", n, bolt.InUse(b), err)
		}
	}
}

// FuzzVerify: whatever the file holds, the walk ends, with an error that says damage or
// with none.
func FuzzVerify(f *testing.F) {
	b := image(f)
	f.Add(0, []byte{0}, 4096)
	f.Add(8192+16, []byte{1, 2, 3, 4}, len(b))
	f.Fuzz(func(t *testing.T, at int, patch []byte, length int) {
		c := append([]byte(nil), b...)
		if at < 0 || at >= len(c) || length < 0 || length > len(c) {
			return
		}
		copy(c[at:], patch)
		if err := bolt.Verify(c[:length]); err != nil && !errors.Is(err, store.ErrDamaged) {
			t.Fatal(err)
		}
	})
}
