package pkix_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/pkix"
)

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func write(t *testing.T, path string, parts ...[]byte) string {
	t.Helper()
	if err := os.WriteFile(path, bytes.Join(parts, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRootsEqual: a reload must notice an authority that was replaced, also where their
// number is the same and where they share a subject.
func TestRootsEqual(t *testing.T) {
	a, b, c := root(t).cert, root(t).cert, root(t).cert
	for _, tt := range []struct {
		what string
		x, y *pkix.Roots
		want bool
	}{
		{"the same", pkix.NewRoots(a, b), pkix.NewRoots(b, a), true},
		{"none", nil, pkix.NewRoots(), true},
		{"one is gone", pkix.NewRoots(a, b), pkix.NewRoots(a), false},
		{"one is new", pkix.NewRoots(a), pkix.NewRoots(a, b), false},
		{"one is another of its name", pkix.NewRoots(a, b), pkix.NewRoots(a, c), false},
		{"all are gone", pkix.NewRoots(a), nil, false},
	} {
		if tt.x.Equal(tt.y) != tt.want || tt.y.Equal(tt.x) != tt.want {
			t.Errorf("%s: want %v", tt.what, tt.want)
		}
	}
}

func TestNewRoots(t *testing.T) {
	a, b := root(t), root(t)
	leaf := b.leaf()
	for n, r := range map[int]*pkix.Roots{
		0: pkix.NewRoots(nil), 1: pkix.NewRoots(a.cert, nil, a.cert), 2: pkix.NewRoots(a.cert, b.cert, a.cert, b.cert),
	} {
		if r.Len() != n {
			t.Errorf("%d roots, want %d", r.Len(), n)
		}
		_, err := pkix.Verify(pkix.Request{Chain: certs(leaf), Roots: r, At: now})
		if (err == nil) != (n == 2) {
			t.Errorf("with %d roots: %v", n, err)
		}
	}
	var none *pkix.Roots
	if none.Len() != 0 || new(pkix.Roots).Len() != 0 {
		t.Error("no roots are some")
	}
	_, err := pkix.Verify(pkix.Request{Chain: certs(leaf), Roots: new(pkix.Roots), At: now})
	want(t, err, pkix.ErrNoAnchor)
}

func TestLoadRoots(t *testing.T) {
	dir := t.TempDir()
	a, b := root(t), root(t)
	certA, certB := pemOf("CERTIFICATE", a.cert.Raw), pemOf("CERTIFICATE", b.cert.Raw)
	at := func(name string) string { return filepath.Join(dir, name) }
	key := pemOf("PRIVATE KEY", []byte("x"))

	r, err := pkix.LoadRoots(write(t, at("two.pem"), []byte("# comment\n"), certA, key, certB, certA))
	if err != nil || r.Len() != 2 {
		t.Fatalf("%v, %v", r, err)
	}
	if _, err := pkix.Verify(pkix.Request{Chain: certs(b.leaf()), Roots: r, At: now}); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		content []byte
		words   string
	}{
		"empty.pem": {nil, "not PEM"},
		"junk.pem":  {[]byte("junk\n"), "not PEM"},
		"key.pem":   {key, `"PRIVATE KEY", not CERTIFICATE`},
		"odd.pem":   {pemOf("A\x1b", []byte("x")), "not"},
	} {
		_, err := pkix.LoadRoots(write(t, at(name), c.content))
		if !errors.Is(err, pkix.ErrNoRoots) || !strings.Contains(err.Error(), c.words) || !strings.Contains(err.Error(), name) || strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = pkix.LoadRoots(write(t, at("broken.pem"), certA, pemOf("CERTIFICATE", []byte("x"))))
	if err == nil || !strings.Contains(err.Error(), "certificate 2 of") || !strings.Contains(err.Error(), "broken.pem") {
		t.Errorf("%v", err)
	}
	if _, err := pkix.LoadRoots(at("none.pem")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	big := append(bytes.Repeat([]byte("\n"), pkix.MaxBundle-len(certA)), certA...)
	if r, err := pkix.LoadRoots(write(t, at("big.pem"), big)); err != nil || r.Len() != 1 {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := pkix.LoadRoots(write(t, at("bigger.pem"), []byte("\n"), big)); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("%v", err)
	}
}

func TestLoadRootsFolder(t *testing.T) {
	dir := t.TempDir()
	a, b := root(t), root(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("a.pem"), pemOf("CERTIFICATE", a.cert.Raw))
	write(t, at("b.crt"), pemOf("CERTIFICATE", b.cert.Raw), pemOf("CERTIFICATE", []byte("broken")))
	write(t, at("README"), []byte("text"))
	write(t, at("bad.pem"), pemOf("CERTIFICATE", []byte("broken")))
	if err := os.Mkdir(at("folder.pem"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(at("folder.pem"), "c.pem"), pemOf("CERTIFICATE", root(t).cert.Raw))
	if err := os.Symlink("nowhere", at("link.pem")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.pem", at("0123abcd.0")); err != nil {
		t.Fatal(err)
	}
	r, err := pkix.LoadRoots(dir)
	if err != nil || r.Len() != 2 {
		t.Errorf("%v, %v", r, err)
	}
	empty := t.TempDir()
	if _, err := pkix.LoadRoots(empty); !errors.Is(err, pkix.ErrNoRoots) {
		t.Errorf("%v", err)
	}
	write(t, filepath.Join(empty, "huge"), make([]byte, pkix.MaxBundle+1))
	if _, err := pkix.LoadRoots(empty); err == nil || errors.Is(err, pkix.ErrNoRoots) {
		t.Errorf("%v", err)
	}
}

func TestSystemRoots(t *testing.T) {
	dir := t.TempDir()
	a, b := root(t), root(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	fileA := write(t, at("a.pem"), pemOf("CERTIFICATE", a.cert.Raw), pemOf("CERTIFICATE", []byte("broken")))
	folder := at("folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "b.pem"), pemOf("CERTIFICATE", b.cert.Raw))
	junk := write(t, at("junk"), []byte("junk"))
	has := func(r *pkix.Roots, e *entity) bool {
		_, err := pkix.Verify(pkix.Request{Chain: certs(e.leaf()), Roots: r, At: now})
		return err == nil
	}
	r, err := pkix.SystemRootsFrom([]string{at("none"), junk, fileA}, []string{folder})
	if err != nil || r.Len() != 1 || !has(r, a) {
		t.Errorf("the first file that has any: %v, %v", r, err)
	}
	r, err = pkix.SystemRootsFrom([]string{at("none")}, []string{at("none"), t.TempDir(), folder})
	if err != nil || r.Len() != 1 || !has(r, b) {
		t.Errorf("the first folder: %v, %v", r, err)
	}
	if r, err := pkix.SystemRootsFrom([]string{junk}, nil); !errors.Is(err, pkix.ErrNoRoots) || r != nil {
		t.Errorf("%v, %v", r, err)
	}
	t.Run("environment", func(t *testing.T) {
		for _, c := range []struct {
			file, dirs string
			who        *entity
		}{
			{fileA, "", a},
			{"", at("none") + string(filepath.ListSeparator) + folder, b},
			{junk, folder, b},
			{fileA, folder, a},
		} {
			t.Setenv("SSL_CERT_FILE", c.file)
			t.Setenv("SSL_CERT_DIR", c.dirs)
			r, err := pkix.SystemRoots()
			if err != nil || r.Len() != 1 || !has(r, c.who) {
				t.Errorf("%+v: %v, %v", c, r, err)
			}
		}
		t.Setenv("SSL_CERT_FILE", junk)
		t.Setenv("SSL_CERT_DIR", "")
		if r, err := pkix.SystemRoots(); !errors.Is(err, pkix.ErrNoRoots) {
			t.Errorf("the system's own are used beside SSL_CERT_FILE: %v, %v", r, err)
		}
		t.Setenv("SSL_CERT_FILE", "")
		// Whether this system has any is not for us to demand.
		if r, err := pkix.SystemRoots(); (r.Len() == 0) != errors.Is(err, pkix.ErrNoRoots) {
			t.Errorf("%v, %v", r, err)
		}
	})
}

func ExampleLoadRoots() {
	_, err := pkix.LoadRoots("/nowhere/roots.pem")
	fmt.Println(err)
	// Output: pkix: stat /nowhere/roots.pem: no such file or directory
}
