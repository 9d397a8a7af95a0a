package bolt_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/bolt"
)

// childEnv, when set, makes the test binary the child of TestKill: it names the store.
const childEnv = "MXAUTH_BOLT_TEST_CHILD"

// child writes entries without end from several goroutines and prints the number of each
// that was acknowledged.
func child(path string) {
	s, err := bolt.Open(bolt.Config{Path: path})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("open")
	first := s.Stats().Entries
	acks := make(chan int)
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				n := first + i*8 + w
				e := store.Entry{Key: fmt.Sprint("k", n), Value: value(n), Class: store.Enforce, Expires: time.Now().Add(time.Hour)}
				if err := s.Put(ctx, e); err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				acks <- n
			}
		}()
	}
	for n := range acks {
		// Unbuffered: what the parent reads was acknowledged before.
		fmt.Println("ack", n)
	}
}

func value(n int) []byte { return []byte(strings.Repeat(fmt.Sprint(n, " "), 20)) }

// TestKill kills a process that writes, at 50 random moments, and expects every
// acknowledged entry to be there afterwards, whole.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts 50 processes")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s.db")
	rnd := rand.New(rand.NewPCG(7, 7))
	acked := map[int]bool{}
	for round := range 50 {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// The moment is after a random number of acknowledgements, or at any time in the
		// start; what was under way then is torn.
		moment := rnd.IntN(60)
		lines := bufio.NewScanner(out)
		if round%5 == 0 {
			timer := time.AfterFunc(time.Duration(rnd.IntN(20_000))*time.Microsecond, func() { cmd.Process.Kill() })
			defer timer.Stop()
			moment = 1 << 30
		}
		for n := 0; n < moment && lines.Scan(); {
			var k int
			if msg, ok := strings.CutPrefix(lines.Text(), "error "); ok {
				cmd.Process.Kill()
				cmd.Wait()
				t.Fatalf("round %d: %s", round, msg)
			}
			if _, err := fmt.Sscanf(lines.Text(), "ack %d", &k); err == nil {
				acked[k] = true
				n++
			}
		}
		cmd.Process.Kill()
		for lines.Scan() { // what it had said before it died
			var k int
			if _, err := fmt.Sscanf(lines.Text(), "ack %d", &k); err == nil {
				acked[k] = true
			}
		}
		io.Copy(io.Discard, out)
		cmd.Wait()

		s, err := bolt.Open(bolt.Config{Path: path})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for k := range acked {
			e, ok, err := s.Get(ctx, fmt.Sprint("k", k))
			if err != nil || !ok || string(e.Value) != string(value(k)) {
				t.Fatalf("round %d: the acknowledged k%d is gone: %v, %v", round, k, ok, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(acked) < 200 {
		t.Errorf("only %d entries were acknowledged in all: the test shows little", len(acked))
	}
}

// TestDamage scrambles a file in 200 ways. Each opens with all records, or not at all with
// a clear error; and what Rescue then finds is sound.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "good.db")
	s := open(t, bolt.Config{Path: path})
	end := time.Now().Add(time.Hour)
	want := map[string]string{}
	var es []store.Entry
	for i := range 1500 {
		e := store.Entry{Key: fmt.Sprint("sts/p/d", i, ".example"), Value: value(i), Class: store.Class(i % 4), Expires: end}
		es = append(es, e)
		want[e.Key] = string(e.Value)
	}
	es = append(es, store.Entry{Key: "large", Value: make([]byte, store.MaxValue), Class: store.Enforce, Expires: end})
	want["large"] = string(make([]byte, store.MaxValue))
	// Several transactions, so that there are free pages and old states.
	for i := 0; i < len(es); i += 100 {
		if err := s.PutAll(ctx, es[i:min(i+100, len(es))]); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	opened, refused, rescues, rescued := 0, 0, 0, 0
	for seed := range 200 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 3))
		bad := scramble(rnd, good)
		path := filepath.Join(dir, fmt.Sprint("bad", seed, ".db"))
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := bolt.Open(bolt.Config{Path: path})
		if err == nil {
			opened++
			got := content(t, s)
			if len(got) != len(want) {
				t.Errorf("seed %d: opens with %d of %d entries", seed, len(got), len(want))
			}
			for k, v := range got {
				if want[k] != v {
					t.Errorf("seed %d: %s is changed", seed, k)
				}
			}
			put(t, s, "new", "v", store.Enforce, end)
			if err := s.Close(); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		} else {
			refused++
			if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), path) {
				t.Errorf("seed %d: the error is not clear: %v", seed, err)
			}
			if refused%4 != 0 {
				os.Remove(path)
				continue
			}
			rescues++
			to := filepath.Join(dir, fmt.Sprint("rescued", seed, ".db"))
			n, err := bolt.Rescue(ctx, path, bolt.Config{Path: to})
			if err != nil {
				t.Errorf("seed %d: Rescue: %v", seed, err)
				continue
			}
			s := open(t, bolt.Config{Path: to})
			got := content(t, s)
			if len(got) != n {
				t.Errorf("seed %d: %d rescued, %d there", seed, n, len(got))
			}
			for k, v := range got {
				if want[k] != v {
					t.Errorf("seed %d: rescued %s is changed", seed, k)
				}
			}
			rescued += n
			s.Close()
			os.Remove(to)
		}
		os.Remove(path)
	}
	t.Logf("%d opened, %d refused, %d of %d entries rescued from those", opened, refused, rescued, rescues*len(want))
	if opened < 10 || refused < 50 || rescued < rescues*len(want)/2 {
		t.Errorf("%d opened, %d refused, %d rescued: the test shows little", opened, refused, rescued)
	}
}

// scramble damages a copy of b in one of several ways.
func scramble(rnd *rand.Rand, b []byte) []byte {
	b = append([]byte(nil), b...)
	at := rnd.IntN(len(b))
	page := 4096 * rnd.IntN(len(b)/4096)
	switch rnd.IntN(10) {
	case 0: // a bit
		b[at] ^= 1 << rnd.IntN(8)
	case 1: // a bit in the head of a page
		b[page+rnd.IntN(16)] ^= 1 << rnd.IntN(8)
	case 2: // a bit in the elements of a page
		b[page+16+rnd.IntN(256)] ^= 1 << rnd.IntN(8)
	case 3: // one element less
		if n := int(b[page+10]) | int(b[page+11])<<8; n > 0 && page >= 8192 {
			n--
			b[page+10], b[page+11] = byte(n), byte(n>>8)
		} else {
			b[page] ^= 1
		}
	case 4: // a page of nothing
		clear(b[page : page+4096])
	case 5: // a page of another
		copy(b[page:page+4096], b[4096*rnd.IntN(len(b)/4096):][:4096])
	case 6: // cut off
		b = b[:at]
	case 7: // random bytes
		for i := at; i < min(at+1+rnd.IntN(64), len(b)); i++ {
			b[i] = byte(rnd.Uint32())
		}
	case 8: // a sector of nothing
		clear(b[at&^511 : min(at&^511+512, len(b))])
	case 9: // bytes that have moved
		copy(b[at:], b[min(at+1, len(b)):])
	}
	return b
}

func TestRescueErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s.db")
	s := open(t, bolt.Config{Path: path})
	put(t, s, "k", "old", store.Enforce, time.Now().Add(time.Hour))
	put(t, s, "k", "new", store.Enforce, time.Now().Add(time.Hour))
	put(t, s, "short", "x", store.Enforce, time.Now().Add(20*time.Millisecond))
	to := bolt.Config{Path: filepath.Join(dir, "to.db"), Now: func() time.Time { return time.Now().Add(time.Minute) }}
	if _, err := bolt.Rescue(ctx, path, to); !errors.Is(err, bolt.ErrLocked) {
		t.Errorf("an open store: %v", err)
	}
	s.Close()
	if _, err := bolt.Rescue(ctx, path, bolt.Config{Path: path}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("onto itself: %v", err)
	}
	if _, err := bolt.Rescue(ctx, filepath.Join(dir, "no"), to); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
	n, err := bolt.Rescue(ctx, path, to)
	if err != nil || n != 1 {
		t.Fatalf("rescued %d, %v", n, err)
	}
	if got := content(t, open(t, to)); len(got) != 1 || got["k"] != "new" {
		t.Errorf("got %v", got)
	}
}
