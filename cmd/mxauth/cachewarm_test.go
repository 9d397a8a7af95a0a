package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestCacheWarmDaemon: a daemon fetches and keeps by itself, in the store that it holds.
func TestCacheWarmDaemon(t *testing.T) {
	l := startLab(t, serveWorlds(t, "sts-enforce", "dane-ee"), nil)
	d := newServed(t, l, "")
	d.env["MXAUTH_STORE_PATH"] = "bolt:" + d.dir + "/p.db"
	d.start()
	code, stdout, stderr := outcome(t, "cache", "warm", "--config", d.config, "--rate", "1000", "sts-enforce.test", "dane-ee.test")
	if code != 0 || !strings.Contains(stdout, "sts-enforce.test: kept, mode enforce") || !strings.Contains(stderr, "1 policies kept, 1 domains have none, 0 failed") {
		t.Errorf("status %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := outcome(t, "cache", "list", "--config", d.config); code != 0 || !strings.HasPrefix(stdout, "sts-enforce.test ") {
		t.Errorf("status %d\n%s%s", code, stdout, stderr)
	}
}

// TestPaced: the rate holds for what is looked up, and not for what was finished before.
func TestPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &warmRun{rate: 10, finished: map[string]bool{"old.test": true}}
		begun := time.Now()
		n := 0
		for range r.paced(t.Context(), argumentsOf([]string{"a.test", "old.test", "b.test", "old.test", "no name", "c.test"}, nil)) {
			n++
		}
		if took := time.Since(begun); n != 6 || took != 300*time.Millisecond {
			t.Errorf("%d in %v, want 6 in 300 ms", n, took)
		}
	})
}
