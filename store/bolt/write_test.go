package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/bolt"
	"github.com/mxauth/mxauth/store/storetest"
)

// TestCancelledWriters: writers that leave get an answer soon, and what was acknowledged
// is there.
func TestCancelledWriters(t *testing.T) {
	s := open(t, bolt.Config{Path: filepath.Join(t.TempDir(), "s.db")})
	end := time.Now().Add(time.Hour)
	var mu sync.Mutex
	acked := map[string]bool{}
	left := 0
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := range 20 {
				key := fmt.Sprint("k", w, "/", i)
				cctx, cancel := context.WithTimeout(ctx, time.Duration(i)*time.Millisecond)
				start := time.Now()
				err := s.Put(cctx, store.Entry{Key: key, Class: store.Enforce, Expires: end})
				cancel()
				mu.Lock()
				switch {
				case err == nil:
					acked[key] = true
				case errors.Is(err, store.ErrUnavailable) && errors.Is(err, context.DeadlineExceeded):
					left++
				default:
					t.Errorf("%s: %v", key, err)
				}
				mu.Unlock()
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("%s took %s", key, took)
				}
			}
		})
	}
	wg.Wait()
	if left == 0 || len(acked) == 0 {
		t.Errorf("%d left, %d acknowledged: the test shows little", left, len(acked))
	}
	got := content(t, s)
	for k := range acked {
		if _, ok := got[k]; !ok {
			t.Errorf("the acknowledged %s is gone", k)
		}
	}
	if n := s.Stats().Entries; n != len(got) {
		t.Errorf("%d entries counted, %d there", n, len(got))
	}
}

// TestLargeBatch: more entries than one transaction takes.
func TestLargeBatch(t *testing.T) {
	s := open(t, bolt.Config{Path: filepath.Join(t.TempDir(), "s.db")})
	es := make([]store.Entry, 10_000)
	for i := range es {
		es[i] = store.Entry{Key: fmt.Sprint("k", i), Class: store.Enforce, Expires: time.Now().Add(time.Hour)}
	}
	if err := s.PutAll(ctx, es); err != nil {
		t.Fatal(err)
	}
	if n := len(content(t, s)); n != len(es) || s.Stats().Entries != n {
		t.Errorf("%d entries", n)
	}
	if err := s.Delete(ctx, ""); err != nil {
		t.Error(err)
	}
}

// TestPrecious plays random writes into a small store: no unexpired entry goes while one of
// a lower class is there.
func TestPrecious(t *testing.T) {
	c := storetest.NewClock()
	s := open(t, bolt.Config{Path: filepath.Join(t.TempDir(), "s.db"), MaxEntries: 40, Now: c.Now})
	var es []store.Entry
	for i := range 30 {
		es = append(es, store.Entry{Key: fmt.Sprint("e", i), Class: store.Enforce, Expires: c.Now().Add(100 * time.Hour)})
	}
	if err := s.PutAll(ctx, es); err != nil {
		t.Fatal(err)
	}
	for round := range 20 {
		var batch []store.Entry
		for i := range 30 {
			batch = append(batch, store.Entry{Key: fmt.Sprint("x", round, "/", i), Class: store.Class(i % 3), Expires: c.Now().Add(time.Hour)})
		}
		if err := s.PutAll(ctx, batch); err != nil {
			t.Fatal(err)
		}
		c.Advance(time.Minute)
	}
	got := content(t, s)
	for i := range 30 {
		if _, ok := got[fmt.Sprint("e", i)]; !ok {
			t.Errorf("e%d is gone", i)
		}
	}
	if st := s.Stats(); st.Evicted[store.Enforce] != 0 || st.Entries > 40 || len(got) != st.Entries {
		t.Errorf("%d there, stats %+v", len(got), st)
	}
}
