//go:build !linux

package daemon

// releaseStartPages does nothing.
func releaseStartPages() {}
