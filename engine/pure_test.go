package engine_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/certtest"
)

// TestDecideIsPure: a decision depends on the plan, the peer, the time and what the engine
// was made with. It reads no file, counts nothing and calls no observer.
func TestDecideIsPure(t *testing.T) {
	pki := sharedPKI()
	file := filepath.Join(t.TempDir(), "roots.pem")
	trust := func(k *certtest.Pair) {
		t.Helper()
		b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.Cert.Raw})
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust(pki.ca)
	t.Setenv("SSL_CERT_FILE", file)
	t.Setenv("SSL_CERT_DIR", "")
	w := newWorld(t).unsigned().policy("enforce", "mx.example.org")
	w.except(anException())
	w.cfg.Roots = nil // the system's
	w.cfg.Trace = &engine.Trace{
		Decided:  func(*engine.Plan, int, *engine.Decision) { t.Error("Decided was called") },
		Excepted: func(*exception.Exception, bool) { t.Error("Excepted was called") },
	}
	e := w.engine()
	p := w.plan(engine.Request{})
	before := *p
	before.Hosts = append([]engine.Host(nil), p.Hosts...)

	// The roots that were there when the engine was made count, whatever becomes of the
	// file before the first decision.
	trust(pki.other)
	decide := func(k *certtest.Pair) engine.Decision {
		peer := shows(k)
		shown := shows(k)
		d := e.Decide(p, 0, peer, w.now)
		if !reflect.DeepEqual(peer, shown) {
			t.Error("the peer was changed")
		}
		return d
	}
	first := decide(pki.good)
	if first.Outcome != engine.Authenticated || first.Method != engine.MethodMTASTS {
		t.Errorf("%s: %s", first.Outcome, explain.Text(first.Reason))
	}
	if d := decide(pki.alien); d.Exception == nil || d.Outcome != engine.Encrypted {
		t.Errorf("%s: %s", d.Outcome, explain.Text(d.Reason))
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if again := decide(pki.good); !reflect.DeepEqual(again, first) {
		t.Errorf("the same arguments: %+v, then %+v", first, again)
	}
	if d := e.Replay(p, 0, shows(pki.good), w.now); d.Outcome != engine.Authenticated {
		t.Errorf("replay: %s", d.Outcome)
	}
	if !reflect.DeepEqual(*p, before) {
		t.Error("the plan was changed")
	}
	if uses := e.ExceptionUses(); len(uses) != 0 {
		t.Errorf("counted: %+v", uses)
	}
}

// TestRecord: what is acted on is told and counted, once for each attempt.
func TestRecord(t *testing.T) {
	pki := sharedPKI()
	w := newWorld(t).signed().tlsa(noMatch)
	w.except(anException())
	decided, excepted := 0, 0
	w.cfg.Trace = &engine.Trace{
		Decided:  func(*engine.Plan, int, *engine.Decision) { decided++ },
		Excepted: func(*exception.Exception, bool) { excepted++ },
	}
	e := w.engine()
	p := w.plan(engine.Request{})
	a := e.Attempt(p, 0, noAddress)
	_, state, err := shake(t, a.TLSConfig(), serverConfig(pki.self))
	a.Decision(false) // too early: nothing is reported it
	a.Done(state, err)
	a.Decision(false)
	a.Decision(true)
	if uses := e.ExceptionUses(); decided != 1 || excepted != 1 || len(uses) != 1 || uses[0].Decisions != 1 || uses[0].Needed != 1 || !uses[0].Last.Equal(w.now) {
		t.Errorf("decided %d, excepted %d, %+v", decided, excepted, uses)
	}
	// A decision about no host of the plan concerns no exception.
	e.Record(p, 7, e.Decide(p, 7, shows(pki.self), w.now))
	e.Record(nil, 0, e.Decide(nil, 0, shows(pki.self), w.now))
	if uses := e.ExceptionUses(); decided != 3 || uses[0].Decisions != 1 {
		t.Errorf("decided %d, %+v", decided, uses)
	}
}

// TestNoSystemRoots: an engine without roots trusts no certificate, and DANE needs none.
func TestNoSystemRoots(t *testing.T) {
	t.Setenv("SSL_CERT_FILE", filepath.Join(t.TempDir(), "missing.pem"))
	t.Setenv("SSL_CERT_DIR", "")
	pki := sharedPKI()
	w := newWorld(t).unsigned().policy("enforce", "mx.example.org")
	w.cfg.Roots = nil
	if d := w.decide(engine.Request{}, shows(pki.good)); d.Outcome != engine.Refused || d.Reason.ID != reason.STSUntrusted {
		t.Errorf("%s: %s", d.Outcome, explain.Text(d.Reason))
	}
	w = newWorld(t).signed().tlsa(tlsaOf(3, 1, pki.self.Cert))
	w.cfg.Roots = nil
	if d := w.decide(engine.Request{}, shows(pki.self)); d.Outcome != engine.Authenticated || d.Deliver != true {
		t.Errorf("%s: %s, at %s", d.Outcome, explain.Text(d.Reason), w.now.Format(time.RFC3339))
	}
}
