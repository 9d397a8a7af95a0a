package pkix_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/mxauth/mxauth/pkix"
)

// What cannot be read says so, and why, by the names that Linux gives it.

func TestLoadRootsUnreadable(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, want := range map[string]error{
		socket:           syscall.ENXIO, // cannot be opened
		"/proc/self/mem": syscall.EIO,   // can be opened, and has nothing at its beginning
	} {
		_, err := pkix.LoadRoots(path)
		var pe *fs.PathError
		if !errors.As(err, &pe) || pe.Path != path || !errors.Is(err, want) || errors.Is(err, pkix.ErrNoRoots) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

// asNobody runs f on a thread that opens files as a user without rights.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f() // a user without rights already
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := syscall.Setfsuid(65534); err != nil {
		t.Fatalf("cannot become nobody: %v", err)
	}
	defer func() {
		if err := syscall.Setfsuid(0); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

// TestLoadRootsWithoutPermission: a file that may not be read is left out of a folder, and
// is an error alone; so is a folder.
func TestLoadRootsWithoutPermission(t *testing.T) {
	dir, err := os.MkdirTemp("", "roots")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	open, closed, folder := filepath.Join(dir, "open.pem"), filepath.Join(dir, "closed.pem"), filepath.Join(dir, "folder")
	write(t, open, pemOf("CERTIFICATE", root(t).cert.Raw))
	write(t, closed, pemOf("CERTIFICATE", root(t).cert.Raw))
	if err := errors.Join(os.Chmod(open, 0o644), os.Chmod(closed, 0), os.Mkdir(folder, 0)); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		if r, err := pkix.LoadRoots(dir); err != nil || r.Len() != 1 {
			t.Errorf("the folder: %v, %v", r, err)
		}
		for _, path := range []string{closed, folder} {
			if _, err := pkix.LoadRoots(path); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("%s: %v", path, err)
			}
		}
	})
}
