//go:build unix

package bulk

import (
	"errors"
	"os"
	"syscall"
)

// lock keeps other surveys from the file until it is closed, or the process has ended.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrJournalInUse
	}
	return err
}
