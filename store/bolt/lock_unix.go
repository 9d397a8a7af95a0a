//go:build unix

package bolt

import (
	"errors"
	"os"
	"syscall"
)

// hasModes: the permissions of a file say who has access to it.
const hasModes = true

// lock takes the lock that bbolt takes too, on the same open file, so that the file can
// be checked before bbolt maps it. held is true if another has it.
func lock(f *os.File) (held bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}
