package engine_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/certtest"
)

// read is a peer whose certificate was only read.
func read(chain ...[]byte) engine.Peer {
	p := sends(chain...)
	p.Handshake, p.OwnTLS = engine.HandshakeRead, &engine.OwnTLS{Obstacle: engine.ObstacleCertificate}
	return p
}

// TestRead: a verdict on a certificate that was only read.
func TestRead(t *testing.T) {
	key := certtest.NewKey()
	c := certtest.New("mx.example.org", key.SPKI)
	c.Serial = certtest.TLV(certtest.Integer, []byte{0xfb})
	der := certtest.NewCA(aroundEpoch).Issue(c)
	record := recordOf(3, 1, key.SPKI)
	finding := func(d engine.Decision) bool {
		return slices.ContainsFunc(d.Details, func(r engine.Reason) bool {
			return r.ID == reason.OwnTLS && strings.Contains(explain.Text(r), "serial number: it is negative")
		})
	}
	for name, c := range map[string]struct {
		w       *world
		r       engine.Request
		outcome engine.Outcome
	}{
		"dane":        {newWorld(t).signed().tlsa(record), engine.Request{}, engine.Authenticated},
		"no match":    {newWorld(t).signed().tlsa(noMatch), engine.Request{}, engine.Refused},
		"may":         {newWorld(t).signed(), engine.Request{}, engine.Encrypted},
		"half-dane":   {newWorld(t).unsigned().tlsa(record), engine.Request{}, engine.Encrypted},
		"policy":      {newWorld(t).unsigned().policy("enforce", "mx.example.org"), engine.Request{}, engine.Refused},
		"null return": {newWorld(t).signed().tlsa(record), engine.Request{RequireTLS: true, NullReturnPath: true}, engine.Authenticated},
		"REQUIRETLS":  {newWorld(t).signed().tlsa(record), engine.Request{RequireTLS: true}, engine.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			peer := read(der)
			peer.RequireTLS = true // nothing can have offered it
			d := c.w.decide(c.r, peer)
			if d.Outcome != c.outcome || d.SendRequireTLS || !d.DropConnection {
				t.Errorf("%s, parameter %v, drop %v: %s", d.Outcome, d.SendRequireTLS, d.DropConnection, explain.Text(d.Reason))
			}
			demands := c.r.RequireTLS && !c.r.NullReturnPath
			if !demands && !finding(d) || demands && d.Reason.ID != reason.OwnTLS {
				t.Errorf("%s: %v", d.Reason.ID, d.Details)
			}
			if r := explain.Report(c.w.plan(c.r), 0, d); r != nil {
				t.Errorf("reported: %+v", r)
			}
		})
	}
}

// TestOwnTLS: a handshake that failed through this library decides as every failed one
// does, is not reported, and tells what could be compared.
func TestOwnTLS(t *testing.T) {
	key := certtest.NewKey()
	der := certtest.NewCA(aroundEpoch).Issue(certtest.New("mx.example.org", key.SPKI))
	own := engine.Peer{Event: engine.HandshakeFailed, Detail: "x", OwnTLS: &engine.OwnTLS{Obstacle: engine.ObstacleKey, Detail: "an Ed448 key", Chain: [][]byte{der}, Unproved: "an Ed448 key"}}
	failed := own
	failed.OwnTLS = nil
	for name, c := range map[string]struct {
		w    *world
		r    engine.Request
		says string
	}{
		"dane":        {newWorld(t).signed().tlsa(recordOf(3, 1, key.SPKI)), engine.Request{}, "Its certificate matches its TLSA record (3 1 1 "},
		"no match":    {newWorld(t).signed().tlsa(noMatch), engine.Request{}, "matches none of its TLSA records"},
		"may":         {newWorld(t).signed(), engine.Request{}, "in the clear"},
		"no fallback": {newWorld(t).signed(), engine.Request{Options: engine.Options{NoClearFallback: true}}, "not to fall back"},
		"enforce":     {newWorld(t).unsigned().policy("enforce", "mx.example.org"), engine.Request{}, "The MTA-STS policy of example.org (mode enforce) requires TLS"},
		"audit":       {newWorld(t).signed().tlsa(noMatch), engine.Request{Options: engine.Options{Audit: true}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, usual := c.w.decide(c.r, own), c.w.decide(c.r, failed)
			if d.Outcome != usual.Outcome || d.Deliver != usual.Deliver || d.RetryClear != usual.RetryClear || d.DropConnection != usual.DropConnection || d.Method != "" {
				t.Errorf("%s, and without the diagnosis %s", d.Outcome, usual.Outcome)
			}
			text := explain.Text(d.Reason)
			if !strings.Contains(text, c.says) || strings.Contains(text, "{") || explain.Reason(d.Reason).ResultType != "" || explain.Report(c.w.plan(c.r), 0, d) != nil {
				t.Errorf("%q: %s", explain.Reason(d.Reason).ResultType, text)
			}
			if explain.Report(c.w.plan(c.r), 0, usual) == nil {
				t.Error("another failure is reported")
			}
		})
	}
}

// TestAttemptIsNeverRead: whatever is reported to an attempt, its decision is none on a
// certificate that was only read.
func TestAttemptIsNeverRead(t *testing.T) {
	w := newWorld(t).signed().tlsa(recordOf(3, 1, certtest.NewKey().SPKI))
	e, plan := w.engine(), w.plan(engine.Request{})
	errs := []error{nil, errors.New("tls: failed to parse certificate from server: x509: negative serial number"), &net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}, errors.New("EOF")}
	rapid.Check(t, func(t *rapid.T) {
		a := e.Attempt(plan, 0, netip.AddrPort{})
		for range rapid.IntRange(0, 4).Draw(t, "steps") {
			err := rapid.SampledFrom(errs).Draw(t, "error")
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				a.Done(tls.ConnectionState{HandshakeComplete: rapid.Bool().Draw(t, "complete"), Version: tls.VersionTLS12}, err)
			case 1:
				a.Failed(engine.Event(rapid.IntRange(0, 6).Draw(t, "event")), err)
			case 2:
				a.Injected()
			case 3:
				a.GiveUp("x")
			case 4:
				a.DoubtName("x")
			}
		}
		for _, requireTLS := range []bool{false, true} {
			d := a.Decision(requireTLS)
			if d.Peer.Handshake != engine.HandshakeComplete || d.Peer.OwnTLS != nil || d.Reason.ID == reason.OwnTLS {
				t.Fatalf("%s: %+v", d.Reason.ID, d.Peer)
			}
		}
	})
}

// TestTLSChoice: what a program may choose, and what not.
func TestTLSChoice(t *testing.T) {
	w := newWorld(t).signed().tlsa(noMatch)
	plan := w.plan(engine.Request{})
	a := w.engine().Attempt(plan, 0, netip.AddrPort{})
	if c := a.TLSConfig(); c.CipherSuites != nil || c.CurvePreferences != nil {
		t.Errorf("%v %v", c.CipherSuites, c.CurvePreferences)
	}
	a.Choice = engine.TLSChoice{NoMLKEM: true, Suites: engine.WiderSuites()}
	c := a.TLSConfig()
	if c.MinVersion != tls.VersionTLS12 || c.VerifyConnection == nil || c.ServerName != plan.Hosts[0].SNI {
		t.Error("the plan is not kept")
	}
	if slices.ContainsFunc(c.CurvePreferences, func(id tls.CurveID) bool { return strings.Contains(id.String(), "MLKEM") }) || len(c.CurvePreferences) == 0 {
		t.Errorf("%v", c.CurvePreferences)
	}
	for _, id := range c.CipherSuites {
		if name := tls.CipherSuiteName(id); strings.Contains(name, "RC4") || strings.Contains(name, "3DES") {
			t.Error(name)
		}
	}
	if !slices.Contains(c.CipherSuites, tls.TLS_RSA_WITH_AES_128_GCM_SHA256) || !slices.Contains(c.CipherSuites, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) {
		t.Errorf("%v", c.CipherSuites)
	}
}

// TestMemoryOfRead: what was only read is neither TLS that a host spoke nor its loss.
func TestMemoryOfRead(t *testing.T) {
	l := newLife(t, memory.Alert)
	w := l.next(0, plain)
	e, p := w.engine(), w.plan(engine.Request{})
	e.Remember(p, 0, e.Decide(p, 0, shows(sharedPKI().good), w.now))
	w = l.next(time.Hour, plain)
	e, p = w.engine(), w.plan(engine.Request{})
	d := e.Decide(p, 0, engine.Peer{Event: engine.HandshakeFailed, OwnTLS: &engine.OwnTLS{Obstacle: engine.ObstacleHello}}, w.now)
	if d.Lost != nil || d.Outcome != engine.Cleartext {
		t.Errorf("%s, lost %+v", d.Outcome, d.Lost)
	}
}

// TestOwnWords: each word is read again, and no other is.
func TestOwnWords(t *testing.T) {
	for h := range engine.Handshake(3) {
		var g engine.Handshake
		if b, _ := h.MarshalText(); g.UnmarshalText(b) != nil || g != h {
			t.Error(h)
		}
	}
	for o := range engine.Obstacle(7) {
		var p engine.Obstacle
		if b, _ := o.MarshalText(); p.UnmarshalText(b) != nil || p != o || o.String() == "invalid" {
			t.Error(o)
		}
		// Each has a cause and, if it is one, a cure.
		lib := &engine.Library{OwnTLS: engine.OwnTLS{Obstacle: o, Detail: "DETAIL"}}
		if explain.Obstacle(lib) == "" || (explain.ObstacleCure(lib) == "") != (o == engine.ObstacleNone) {
			t.Errorf("%s: %q %q", o, explain.Obstacle(lib), explain.ObstacleCure(lib))
		}
	}
	if fmt.Sprint(engine.Obstacle(99), engine.Handshake(99)) != "invalid invalid" {
		t.Error("an unknown one has a word")
	}
}
