package evidence_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
)

// TestUntried: an address that was given up for want of time is so in a replay, and what a
// peer said is escaped in the file.
func TestUntried(t *testing.T) {
	c := one(t, "dane-ee")
	p := &c.file.Hosts[0].Peers[0]
	p.Event, p.Chain, p.Untried, p.Detail = engine.NoConnection, nil, true, "the time was over \u202e\u009b"
	var b bytes.Buffer
	if err := c.file.Write(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `the time was over \u202e\u009b`) {
		t.Error("the detail is not escaped")
	}
	f, err := evidence.Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Replay(t.Context(), evidence.ReplayConfig{Anchors: c.anchors, Roots: c.roots})
	if err != nil {
		t.Fatal(err)
	}
	if d := r.Hosts[0].Decision; d.Outcome != engine.Deferred || d.Reason.ID != reason.NotTried {
		t.Errorf("%s: %s", d.Outcome, explain.Text(d.Reason))
	}
}
