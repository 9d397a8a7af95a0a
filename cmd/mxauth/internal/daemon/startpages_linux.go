package daemon

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// releaseStartPages gives the pages of the program file back to the kernel: its code and its constants.
// The start of the program touches most of them, since each of its many packages has something to
// initialize, and a daemon that waits for questions needs few. What is needed again is mapped again from
// the file, most often without reading it. Nothing depends on this: failures are ignored.
func releaseStartPages() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	for _, r := range unwritten(f, program) {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, r.start, r.end-r.start, syscall.MADV_DONTNEED)
	}
}

// An addressRange is a part of the memory of this process.
type addressRange struct{ start, end uintptr }

// unwritten reads /proc/self/smaps (proc_pid_smaps(5)) and returns where a file is mapped that can be
// read from there again: mappings that cannot be written to and hold no page that was, as the
// relocated constants of a position-independent program do.
func unwritten(smaps io.Reader, file string) (list []addressRange) {
	var r addressRange
	s := bufio.NewScanner(smaps)
	for s.Scan() {
		f := strings.Fields(s.Text())
		switch {
		case len(f) == 6 && f[5] == file && len(f[1]) == 4 && f[1][0] == 'r' && f[1][1] == '-' && f[1][3] == 'p':
			start, end, _ := strings.Cut(f[0], "-")
			a, err := strconv.ParseUint(start, 16, strconv.IntSize)
			b, err2 := strconv.ParseUint(end, 16, strconv.IntSize)
			if r = (addressRange{uintptr(a), uintptr(b)}); err != nil || err2 != nil || a >= b {
				r = addressRange{}
			}
		case len(f) >= 5 && strings.Contains(f[0], "-"):
			r = addressRange{} // another mapping
		case len(f) == 3 && f[0] == "Anonymous:" && f[1] == "0" && r.end != 0:
			list = append(list, r)
			r = addressRange{}
		}
	}
	return list
}
