package pkix_test

import (
	"syscall"
	"time"
)

// maxCPU is what one decision on a hostile chain may take. The work of one
// verification is 20 ms on a machine that is not loaded; the rest is parsing, and
// room for a machine that is.
const maxCPU = 50 * time.Millisecond

// cpu is the time that this process has used, which other processes do not change
// much.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
