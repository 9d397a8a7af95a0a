//go:build !unix

package bolt

import "os"

// hasModes: access is ruled by lists that the mode of a file does not show.
const hasModes = false

// lock does nothing: bbolt takes its own lock afterwards. Between the check of the file
// and that lock another process could change it; it would have to be another mxauth
// that is starting with the same file.
func lock(*os.File) (held bool, err error) { return false, nil }
