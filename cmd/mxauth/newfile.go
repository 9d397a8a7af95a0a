package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeFile writes a file, whole or not at all. Only its owner may read it: what mxauth
// writes says whom somebody sends mail to. The text goes to a new file of a random name in
// the same folder first, which os.CreateTemp opens with O_EXCL and mode 0600, so that
// no one who may write to the folder can lead it elsewhere by a link. A link called path
// is replaced, not followed. A device or a folder is left alone.
func writeFile(path string, write func(io.Writer) error) (err error) {
	// Stat, so that a link to a device (/dev/stdout) is not replaced either.
	switch st, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !st.Mode().IsRegular():
		return fmt.Errorf("%s: is not a regular file", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	// The file is on the disk before it has its name, so that a crash leaves no empty one.
	if err = errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
