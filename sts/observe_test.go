package sts_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// When a change is told, the new policy is in force: who drops what rests on the old one
// and looks again finds the new one.
func TestChangedIsInForce(t *testing.T) {
	for _, how := range []string{"lookup", "refresh"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.domain("example.org", "one", enforce)
				var seen []sts.Mode
				var c *sts.Client
				c = w.client(func(cfg *sts.Config) {
					cfg.Observer.Changed = func(d rfc6125.Host, _, _ sts.Policy, _ bool) {
						r, _ := c.Cached(context.Background(), d)
						seen = append(seen, r.Policy.Mode)
					}
				})
				c.Lookup(t.Context(), host("example.org"))
				w.domain("example.org", "two", policy("testing", 86400, "mx.example.org"))
				if how == "lookup" {
					c.Lookup(t.Context(), host("example.org"))
				} else {
					time.Sleep(25 * time.Hour)
					c.Refresh(t.Context())
				}
				if len(seen) != 1 || seen[0] != sts.ModeTesting {
					t.Errorf("told at mode %v", seen)
				}
			})
		})
	}
}
