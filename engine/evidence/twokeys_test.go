package evidence_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/engine/reason"
)

// TestTwoKeys: a file holds both certificates of an address, and a replay comes to the same.
// Without the second one it is a file as earlier versions wrote it. What an enemy makes of
// it is refused, or proves no more.
func TestTwoKeys(t *testing.T) {
	c := one(t, "two-keys-only-ecdsa")
	if peers := c.file.Hosts[0].Peers; len(peers) != 2 || peers[0].OtherKey || !peers[1].OtherKey {
		t.Fatalf("%+v", peers)
	}
	r := again(t, c, func(*evidence.File) {})
	d := r.Hosts[0].Decision
	if d.Outcome != engine.Refused || d.Reason.ID != reason.DANENoMatch || !d.Peer.OtherKey || d.Peer.Other == nil || len(r.Differences) > 0 ||
		!slices.ContainsFunc(d.Details, func(r engine.Reason) bool { return r.ID == reason.TwoCertificates }) {
		t.Errorf("%s, %s, details %v, differences %q", d.Outcome, d.Reason.ID, d.Details, r.Differences)
	}
	r = again(t, c, func(f *evidence.File) { f.Hosts[0].Peers = f.Hosts[0].Peers[:1] })
	if d := r.Hosts[0].Decision; d.Outcome != engine.Authenticated || d.Peer.Other != nil || len(r.Differences) == 0 {
		t.Errorf("the first alone: %s, differences %q", d.Outcome, r.Differences)
	}
	for name, change := range map[string]func(f *evidence.File){
		"the second alone":       func(f *evidence.File) { f.Hosts[0].Peers = f.Hosts[0].Peers[1:] },
		"two of the first":       func(f *evidence.File) { f.Hosts[0].Peers[1].OtherKey = false },
		"three":                  func(f *evidence.File) { f.Hosts[0].Peers = append(f.Hosts[0].Peers, f.Hosts[0].Peers[1]) },
		"no handshake":           func(f *evidence.File) { f.Hosts[0].Peers[1].Event = engine.NoSTARTTLS },
		"read only":              func(f *evidence.File) { f.Hosts[0].Peers[1].Handshake = engine.HandshakeRead },
		"an obstacle as well":    func(f *evidence.File) { f.Hosts[0].Peers[1].OwnTLS = &evidence.OwnTLS{Obstacle: engine.ObstacleHello} },
		"a certificate of bytes": func(f *evidence.File) { f.Hosts[0].Peers[1].Chain = [][]byte{[]byte("x")} },
	} {
		t.Run(name, func(t *testing.T) {
			f := written(t, c.file)
			change(f)
			_, err := f.Replay(t.Context(), evidence.ReplayConfig{Anchors: c.anchors, Roots: c.roots})
			if !errors.Is(err, evidence.ErrFile) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("the same certificate twice", func(t *testing.T) {
		r := again(t, c, func(f *evidence.File) { f.Hosts[0].Peers[1].Chain = f.Hosts[0].Peers[0].Chain })
		if d := r.Hosts[0].Decision; d.Outcome != engine.Authenticated || len(r.Differences) == 0 {
			t.Errorf("%s", d.Outcome)
		}
	})
	t.Run("the word", func(t *testing.T) {
		var b bytes.Buffer
		if err := c.file.Write(&b); err != nil || strings.Count(b.String(), `"other_key": true`) != 1 {
			t.Errorf("%v: %s", err, b.String())
		}
	})
}
