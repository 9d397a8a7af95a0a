package engine_test

import (
	"testing"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/rfc6125"
)

// A plan that was begun before Forget rests on what has changed: it is returned, and not
// kept.
func TestForgetWhilePlanning(t *testing.T) {
	w := newWorld(t).signed()
	w.cfg.Trace = &engine.Trace{GotMX: func(rfc6125.Host, engine.MXState, time.Duration) { w.eng.Forget() }}
	p := w.plan(engine.Request{})
	w.cfg.Trace.GotMX = nil
	q := w.plan(engine.Request{})
	if q == p {
		t.Error("a plan from before Forget was kept")
	}
	if r := w.plan(engine.Request{}); r != q {
		t.Error("a plan from after Forget was not kept")
	}
}
