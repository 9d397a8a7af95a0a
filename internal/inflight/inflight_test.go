package inflight_test

import (
	"testing"
	"testing/synctest"

	"github.com/mxauth/mxauth/internal/inflight"
)

// Wait waits for the calls that entered before Close, and no call enters after it.
func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g inflight.Group
		for range 2 {
			if !g.Enter() {
				t.Fatal("an open group takes no call")
			}
		}
		g.Close()
		if g.Enter() {
			t.Error("a closed group takes a call")
		}
		done := make(chan struct{})
		go func() { g.Wait(); close(done) }()
		for range 2 {
			synctest.Wait()
			select {
			case <-done:
				t.Fatal("Wait does not wait for a call")
			default:
			}
			g.Leave()
		}
		<-done
	})
}
