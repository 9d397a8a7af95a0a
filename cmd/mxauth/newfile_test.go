package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteFile(t *testing.T) {
	say := func(text string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		}
	}
	holds := func(t *testing.T, path, want string) {
		t.Helper()
		if b, err := os.ReadFile(path); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v; want %q", path, b, err, want)
		}
	}
	only := func(t *testing.T, dir string, names ...string) {
		t.Helper()
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range list {
			got = append(got, e.Name())
		}
		if strings.Join(got, " ") != strings.Join(names, " ") {
			t.Errorf("the folder holds %q, want %q", got, names)
		}
	}
	t.Run("only its owner reads it", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "e.json")
		if err := os.WriteFile(path, []byte("old"), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(path, say("new")); err != nil {
			t.Fatal(err)
		}
		holds(t, path, "new")
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", st.Mode(), err)
		}
		only(t, dir, "e.json")
	})
	t.Run("links are not followed", func(t *testing.T) {
		dir, other := t.TempDir(), filepath.Join(t.TempDir(), "other")
		if err := os.WriteFile(other, []byte("other"), 0o600); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "e.json")
		for _, link := range []string{path, path + ".part", filepath.Join(dir, ".e.json.part")} {
			if err := os.Symlink(other, link); err != nil {
				t.Fatal(err)
			}
		}
		if err := writeFile(path, say("new")); err != nil {
			t.Fatal(err)
		}
		holds(t, path, "new")
		holds(t, other, "other")
		if st, err := os.Lstat(path); err != nil || !st.Mode().IsRegular() {
			t.Errorf("%v, %v", st.Mode(), err)
		}
	})
	t.Run("whole or not at all", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "e.json")
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		full := errors.New("the disk is full")
		err := writeFile(path, func(w io.Writer) error { return errors.Join(say("half")(w), full) })
		if !errors.Is(err, full) {
			t.Errorf("%v", err)
		}
		holds(t, path, "old")
		only(t, dir, "e.json")
	})
	t.Run("what is no file stays", func(t *testing.T) {
		dir := t.TempDir()
		if err := writeFile(dir, say("x")); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%v", err)
		}
		if err := writeFile(os.DevNull, say("x")); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%v", err)
		}
		if err := writeFile(filepath.Join(dir, "none", "e.json"), say("x")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v", err)
		}
		only(t, dir)
	})
}
