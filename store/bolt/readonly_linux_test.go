package bolt_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/bolt"
)

// nobody is a Unix user who owns nothing.
const nobody = 65534

// TestReadOnlyFolder: where a file cannot be made the error says so. Root, who may write
// everywhere, is somebody else to the file system for as long.
func TestReadOnlyFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	if os.Geteuid() == 0 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer syscall.Setfsuid(0)
	}
	if _, err := bolt.Open(bolt.Config{Path: filepath.Join(dir, "s.db")}); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, os.ErrPermission) {
		t.Errorf("got %v", err)
	}
}
