package bolt_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/bolt"
)

// aloneEnv, when set, makes the test binary the child of TestBBoltAlone: it names a file.
const aloneEnv = "MXAUTH_BOLT_TEST_ALONE"

// alone reads a file as this package would without a reader of its own: bbolt opens it for
// reading and checks it, then every record is read and its checksum and the totals compared,
// with panics and faults caught. It prints what came out.
func alone(path string) {
	debug.SetMaxStack(64 << 20) // an endless recursion ends sooner, as it would end
	err := func() (err error) {
		debug.SetPanicOnFault(true)
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
		}()
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true, Timeout: time.Second})
		if err != nil {
			return err
		}
		return db.View(func(tx *bbolt.Tx) error {
			for err := range tx.Check() {
				return err
			}
			return bolt.CheckRecords(tx)
		})
	}()
	if err != nil {
		fmt.Println("refused", err)
	} else {
		fmt.Println("taken")
	}
	os.Exit(0)
}

// TestBBoltAlone holds the reason for this package's own reader of the file format: bbolt's
// check, with all records read and their checksums and totals compared, lets some damage end
// the process or run on, which no caller can catch, and takes some files that have lost what
// was acknowledged. The walk of this package refuses all of these.
func TestBBoltAlone(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "good.db")
	s := open(t, bolt.Config{Path: path})
	var es []store.Entry
	for i := range 1500 {
		es = append(es, store.Entry{Key: fmt.Sprint("sts/p/d", i, ".example"), Value: value(i), Class: store.Enforce, Expires: time.Now().Add(time.Hour)})
	}
	for i := 0; i < len(es); i += 100 {
		if err := s.PutAll(ctx, es[i:i+100]); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// ask returns what bbolt alone says of a file: taken, refused, dead or endless.
	ask := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(path)
		cctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		cmd := exec.CommandContext(cctx, exe)
		cmd.Env = append(os.Environ(), aloneEnv+"="+path, "GOTRACEBACK=none", "GOMEMLIMIT=1GiB")
		out, err := cmd.Output()
		word, _, _ := strings.Cut(string(out), " ")
		switch {
		case cctx.Err() != nil:
			return "endless"
		case err != nil:
			return "dead"
		}
		return strings.TrimSpace(word)
	}
	if got := ask("good", good); got != "taken" {
		t.Fatalf("a good file is %s", got)
	}
	newer := 0 // the meta page of the last transaction
	if bytes.Compare(reversed(good[16+48:16+56]), reversed(good[4096+16+48:4096+16+56])) < 0 {
		newer = 4096
	}
	root := bolt.Branch(good) // a branch page and its first element
	for _, c := range []struct {
		name string
		f    func(b []byte)
		want string
	}{
		{"a bit of the last meta page: the last transaction is lost", func(b []byte) { b[newer+16+20] ^= 1 }, "taken"},
		{"a branch that leads out of the file", func(b []byte) { copy(b[root+16+8:root+16+16], []byte{0, 0, 0, 1, 0, 0, 0, 0}) }, "dead"},
	} {
		b := bytes.Clone(good)
		c.f(b)
		if got := ask("bad", b); got != c.want {
			t.Errorf("%s: bbolt alone: %s; the reason for the reader is gone, if this is no chance", c.name, got)
		}
		if err := bolt.Verify(b); err == nil {
			t.Errorf("%s: not noticed", c.name)
		}
	}
	n := 8
	if os.Getenv("MXAUTH_BOLT_TEST_LONG") != "" {
		n = 500
	}
	count := map[string]int{}
	for seed := range n {
		b := scramble(rand.New(rand.NewPCG(uint64(seed), 3)), good)
		got := ask("bad", b)
		if got == "taken" && bolt.Verify(b) != nil {
			got = "taken although damaged"
		}
		count[got]++
	}
	t.Logf("%d damaged files, bbolt alone: %v", n, count)
}

// reversed makes a little-endian number comparable octet by octet.
func reversed(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[len(b)-1-i] = b[i]
	}
	return out
}
