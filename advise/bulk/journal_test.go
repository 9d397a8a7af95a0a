package bulk_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mxauth/mxauth/advise/bulk"
)

// open opens a journal of a list.
func open(path, list string) (*bulk.Journal, error) {
	n, err := bulk.CountList(strings.NewReader(list))
	if err != nil {
		return nil, err
	}
	return bulk.OpenJournal(path, bulk.JournalHeader{List: n.Hash, Entries: n.Entries, Settings: "probe=false"})
}

// surveyed surveys a list with a journal, and returns the rows and how many domains were asked for.
func surveyed(t *testing.T, path, list string) (domains []string, asked int) {
	t.Helper()
	j, err := open(path, list)
	if err != nil {
		t.Fatal(err)
	}
	k := &client{}
	var got collected
	c := got.config(k)
	c.Journal = j
	if err := bulk.Run(t.Context(), c, bulk.Read(strings.NewReader(list))); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return got.domains, int(k.asked.Load())
}

// TestJournalCut: whatever octet a journal is cut after, the survey is continued, and asks for
// nothing of which the row is whole.
func TestJournalCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	list := listOf(3) + "x..y\n"
	want, asked := surveyed(t, path, list)
	if asked != 3 || len(want) != 4 {
		t.Fatal(asked, want)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		got, asked := surveyed(t, path, list)
		if kept := max(strings.Count(string(whole[:n]), "\n")-1, 0); asked != 3-kept {
			t.Fatalf("cut after %d: %d domains asked for, %d rows are whole", n, asked, kept)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("cut after %d: %q", n, got)
		}
	}
}

// TestJournalDamaged: no changed octet goes unnoticed.
func TestJournalDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	list := listOf(3)
	surveyed(t, path, list)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) - 1 {
		b := []byte(string(whole))
		b[n] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := open(path, list)
		if err == nil {
			j.Close()
			t.Errorf("octet %d (%q) changed: no error", n, whole[n])
		}
	}
}

func TestJournalRefused(t *testing.T) {
	dir := t.TempDir()
	list := listOf(3)
	header := func(v string) string { return "mxauth-survey " + v + " 00000000 {}\n" }
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"a list":           {list, bulk.ErrNotJournal},
		"another version":  {header("2"), bulk.ErrJournalVersion},
		"a version of 0":   {header("x"), bulk.ErrNotJournal},
		"a false sum":      {header("1"), bulk.ErrJournalDamaged},
		"one endless line": {strings.Repeat("x", 3<<20), bulk.ErrNotJournal},
		"NULs":             {strings.Repeat("\x00", 100), bulk.ErrNotJournal},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "j")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := open(path, list); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if b, _ := os.ReadFile(path); string(b) != c.text {
				t.Error("the file has changed")
			}
		})
	}
	t.Run("another list", func(t *testing.T) {
		path := filepath.Join(dir, "other")
		surveyed(t, path, list)
		for _, other := range []string{listOf(2), listOf(4), "a.example\n"} {
			if _, err := open(path, other); !errors.Is(err, bulk.ErrOtherList) {
				t.Errorf("%q: %v", other, err)
			}
		}
		if _, err := bulk.OpenJournal(path, bulk.JournalHeader{Settings: "probe=true"}); !errors.Is(err, bulk.ErrOtherSettings) {
			t.Error(err)
		}
		// A list of which the length is not known is compared entry by entry.
		for _, other := range []string{listOf(2), "d0.example\na.example\n"} {
			j, err := bulk.OpenJournal(path, bulk.JournalHeader{Settings: "probe=false"})
			if err != nil {
				t.Fatal(err)
			}
			c := (&collected{}).config(&client{})
			c.Journal = j
			if err := bulk.Run(t.Context(), c, bulk.Read(strings.NewReader(other))); !errors.Is(err, bulk.ErrOtherList) {
				t.Errorf("%q: %v", other, err)
			}
			j.Close()
		}
	})
	t.Run("two surveys", func(t *testing.T) {
		path := filepath.Join(dir, "two")
		j, err := open(path, list)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open(path, list); !errors.Is(err, bulk.ErrJournalInUse) {
			t.Error(err)
		}
		j.Close()
		if j, err = open(path, list); err != nil {
			t.Fatal(err)
		}
		j.Close()
	})
	t.Run("no file", func(t *testing.T) {
		if _, err := open(filepath.Join(dir, "none", "j"), list); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if _, err := open(dir, list); !errors.Is(err, bulk.ErrNotJournal) {
			t.Error(err)
		}
		if _, err := open("/dev/full", list); !errors.Is(err, bulk.ErrNotJournal) {
			t.Error(err)
		}
	})
	t.Run("mode", func(t *testing.T) {
		path := filepath.Join(dir, "mode")
		surveyed(t, path, list)
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Error(st.Mode(), err)
		}
	})
}

// A fullDisk has room for so many octets.
type fullDisk struct {
	*os.File
	room int64
}

func (f *fullDisk) WriteAt(b []byte, at int64) (int, error) {
	if at+int64(len(b)) > f.room {
		n, _ := f.File.WriteAt(b[:max(f.room-at, 0)], at)
		return n, syscall.ENOSPC
	}
	return f.File.WriteAt(b, at)
}

// TestJournalFull: a full disk ends the survey with what is finished kept, and it is continued
// when there is room.
func TestJournalFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	list := listOf(10)
	n, _ := bulk.CountList(strings.NewReader(list))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	h := bulk.JournalHeader{List: n.Hash, Entries: n.Entries, Settings: "probe=false"}
	if _, err := bulk.NewJournal(&fullDisk{f, 20}, h); !errors.Is(err, bulk.ErrJournalWrite) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	j, err := bulk.NewJournal(&fullDisk{f, 1000}, h)
	if err != nil {
		t.Fatal(err)
	}
	c := (&collected{}).config(&client{})
	c.Journal = j
	if err := bulk.Run(t.Context(), c, bulk.Read(strings.NewReader(list))); !errors.Is(err, bulk.ErrJournalWrite) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	kept := j.Kept()
	j.Close()
	if got, asked := surveyed(t, path, list); kept == 0 || len(got) != 10 || asked != 10-kept {
		t.Errorf("%d kept, %d asked for, %q", kept, asked, got)
	}
}
