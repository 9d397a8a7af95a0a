package evidence_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/engine/reason"
)

// TestOwnTLS: a file holds what was only read of a handshake, and a replay comes to the
// same. What an enemy makes of it is refused, or proves no more.
func TestOwnTLS(t *testing.T) {
	for name, want := range map[string]struct {
		outcome   engine.Outcome
		handshake engine.Handshake
		reason    reason.ID
		holds     string
	}{
		"own-serial":       {engine.Authenticated, engine.HandshakeRead, reason.DANEEEMatch, `"handshake": "read"`},
		"own-serial-other": {engine.Refused, engine.HandshakeRead, reason.DANENoMatch, `"obstacle": "certificate"`},
		"own-ed448":        {engine.Refused, engine.HandshakeComplete, reason.OwnTLS, `"unproved": "`},
		"own-ed448-may":    {engine.Cleartext, engine.HandshakeComplete, reason.OwnTLS, `"obstacle": "key"`},
		"own-dhe":          {engine.Authenticated, engine.HandshakeRead, reason.DANEEEMatch, `"obstacle": "cipher-suite"`},
		"own-short-hello":  {engine.Authenticated, engine.HandshakeWider, reason.DANEEEMatch, `"handshake": "wider"`},
	} {
		t.Run(name, func(t *testing.T) {
			c := one(t, name)
			var b bytes.Buffer
			if err := c.file.Write(&b); err != nil || !strings.Contains(b.String(), want.holds) {
				t.Fatalf("%v: %s", err, b.String())
			}
			r := again(t, c, func(*evidence.File) {})
			d := r.Hosts[0].Decision
			if d.Outcome != want.outcome || d.Peer.Handshake != want.handshake || d.Reason.ID != want.reason || len(r.Differences) > 0 {
				t.Errorf("%s, handshake %s, %s, differences %q", d.Outcome, d.Peer.Handshake, d.Reason.ID, r.Differences)
			}
		})
	}
	read := one(t, "own-serial")
	for name, change := range map[string]func(p *evidence.Peer){
		"REQUIRETLS":           func(p *evidence.Peer) { p.RequireTLS = true },
		"without the obstacle": func(p *evidence.Peer) { p.OwnTLS = nil },
		"no obstacle":          func(p *evidence.Peer) { p.OwnTLS.Obstacle = engine.ObstacleNone },
		"no handshake":         func(p *evidence.Peer) { p.Event = engine.NoSTARTTLS },
		"failed":               func(p *evidence.Peer) { p.Event = engine.HandshakeFailed },
		"complete":             func(p *evidence.Peer) { p.Handshake = engine.HandshakeComplete },
		"a long detail":        func(p *evidence.Peer) { p.OwnTLS.Detail = strings.Repeat("x", 1000) },
		"a long chain":         func(p *evidence.Peer) { p.OwnTLS.Chain = make([][]byte, 65) },
	} {
		t.Run(name, func(t *testing.T) {
			f := written(t, read.file)
			change(&f.Hosts[0].Peers[0])
			if err := f.Write(&bytes.Buffer{}); !errors.Is(err, evidence.ErrFile) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("an unknown word", func(t *testing.T) {
		var b bytes.Buffer
		if err := read.file.Write(&b); err != nil {
			t.Fatal(err)
		}
		if _, err := evidence.Read(strings.NewReader(strings.ReplaceAll(b.String(), `"handshake": "read"`, `"handshake": "good"`))); !errors.Is(err, evidence.ErrFile) {
			t.Errorf("%v", err)
		}
	})
	t.Run("another chain", func(t *testing.T) {
		r := again(t, read, func(f *evidence.File) { f.Hosts[0].Peers[0].Chain = f.Hosts[0].Peers[0].Chain[1:] })
		if r.Summary.Deliver || len(r.Differences) == 0 {
			t.Errorf("%s", r.Summary.Outcome)
		}
	})
	t.Run("the request demands REQUIRETLS", func(t *testing.T) {
		r := again(t, read, func(f *evidence.File) { f.Request.RequireTLS = true })
		if r.Summary.Deliver {
			t.Errorf("%s", r.Summary.Outcome)
		}
	})
}
