package evidence_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// TestReplayShortage: what the check could not find out by a limit of its own is not known
// in the replay either.
func TestReplayShortage(t *testing.T) {
	for _, c := range []struct {
		policy evidence.Policy
		want   reason.ID
	}{
		{evidence.Policy{Row: "S13", Pending: true, Failed: sts.FetchWord(sts.ErrNoTurn), FailedDetail: "too many"}, reason.STSNoTurn},
		{evidence.Policy{Row: "S13", Pending: true, Failed: sts.FetchWord(sts.ErrPending)}, reason.STSPending},
		{evidence.Policy{Row: "S2", StoreFailed: "no disk"}, reason.STSStore},
	} {
		world := "sts-404"
		if c.policy.StoreFailed != "" {
			world = "sts-txt-none"
		}
		f := one(t, world)
		f.file.STS = &c.policy
		r, err := written(t, f.file).Replay(t.Context(), evidence.ReplayConfig{Anchors: f.anchors, Roots: f.roots})
		if err != nil {
			t.Fatal(err)
		}
		if r.Summary.Outcome != engine.Deferred || r.Summary.Reason.ID != c.want || r.Summary.Deliver {
			t.Errorf("%+v: %s %s, want %s", c.policy, r.Summary.Outcome, r.Summary.Reason.ID, c.want)
		}
	}
}

// unreadStore cannot read what was remembered of domains.
type unreadStore struct{ store.Store }

func (s unreadStore) Get(ctx context.Context, key string) (store.Entry, bool, error) {
	if strings.HasPrefix(key, "engine/m/") {
		return store.Entry{}, false, fmt.Errorf("%w: no disk", store.ErrUnavailable)
	}
	return s.Store.Get(ctx, key)
}

// TestReplayUnreadMemory: the same for the memory.
func TestReplayUnreadMemory(t *testing.T) {
	s, err := store.NewMemory(store.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, w := range lab.Worlds() {
		if w.Name != "signed-nothing" {
			continue
		}
		l := labtest.Start(t, lab.Config{Worlds: []lab.World{w}})
		c := tapeWith(t, l, w, evidence.ModeValidate, unreadStore{s}, &memory.Config{Action: memory.Defer})
		r, err := written(t, c.file).Replay(t.Context(), evidence.ReplayConfig{Anchors: c.anchors, Roots: c.roots})
		if err != nil {
			t.Fatal(err)
		}
		if c.summary.Reason.ID != reason.MemoryUnknown || r.Summary.Reason.ID != reason.MemoryUnknown || len(r.Differences) > 0 {
			t.Errorf("%s, replayed %s: %q", c.summary.Reason.ID, r.Summary.Reason.ID, r.Differences)
		}
	}
}
