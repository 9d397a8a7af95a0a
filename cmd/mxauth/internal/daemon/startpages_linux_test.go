package daemon

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestUnwritten: only mappings of the file are given back that cannot be written to and never were.
func TestUnwritten(t *testing.T) {
	const smaps = `00400000-00500000 r-xp 00000000 fe:00 1                   /bin/mxauth
Rss:                 100 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
00500000-00600000 r--p 00100000 fe:00 1                   /bin/mxauth
Anonymous:             4 kB
00600000-00700000 rw-p 00200000 fe:00 1                   /bin/mxauth
Anonymous:             0 kB
00700000-00800000 r--p 00300000 fe:00 1                   /bin/mxauth
Anonymous:             0 kB
00800000-00900000 r--s 00300000 fe:00 1                   /bin/mxauth
Anonymous:             0 kB
00900000-00a00000 r--p 00300000 fe:00 2                   /lib/mxauth
Anonymous:             0 kB
00a00000-00b00000 ---p 00300000 fe:00 1                   /bin/mxauth
Anonymous:             0 kB
00b00000-00c00000 r--p 00000000 00:00 0
Anonymous:             0 kB
nonsense-00d00000 r--p 00000000 fe:00 1                   /bin/mxauth
Anonymous:             0 kB
`
	got := unwritten(strings.NewReader(smaps), "/bin/mxauth")
	if want := []addressRange{{0x400000, 0x500000}, {0x700000, 0x800000}}; !slices.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// TestReleaseStartPages: the program goes on, and less of its file is in memory.
func TestReleaseStartPages(t *testing.T) {
	if os.Getenv("RELEASE_START_PAGES") != "" {
		before := fileKB(t)
		releaseStartPages()
		after := fileKB(t)
		// Code and constants that were given back work as before.
		if regexp.MustCompile(`^b+a$`).MatchString("bbba") && after < before {
			os.Stdout.WriteString("released\n")
		}
		t.Logf("%d kB, then %d kB", before, after)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestReleaseStartPages$", "-test.v")
	cmd.Env = append(os.Environ(), "RELEASE_START_PAGES=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("released\n")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// fileKB is how much of the files that this process maps is in memory.
func fileKB(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "RssFile:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
