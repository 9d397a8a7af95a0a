package dnssec_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
)

// withTurn asks one question for the share and calls do with the turn that its upstream
// finds, while the question is under way.
func withTurn(t *testing.T, v *dnssec.Validator, tr *tree, s *dnssec.Share, do func(*dnssec.Turn)) {
	t.Helper()
	called := false
	tr.delay = func(ctx context.Context, q dns.Question) {
		if q.Name == "mx.unsigned.test." && !called {
			called = true
			do(dnssec.TurnFrom(ctx))
		}
	}
	if _, err := v.Resolve(s.With(t.Context()), question(t, "mx.unsigned.test.", dnssec.TypeA)); err != nil && !errors.Is(err, dnssec.ErrBudget) {
		t.Error(err)
	}
	if !called {
		t.Error("the upstream was not asked")
	}
}

// settled returns the turns after the last lookup has given back what it had: a lookup that no
// caller waits for any more ends a moment later.
func settled(v *dnssec.Validator) (free, held, plans int) {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); runtime.Gosched() {
		if free, held, plans = v.Turns(); plans == 0 {
			break
		}
	}
	return free, held, plans
}

// TestTurnSends: a question is paid for once, and once more over a stream; each further
// message is paid from the share until that is used up.
func TestTurnSends(t *testing.T) {
	tr := newTree(t)
	v := tr.validator()
	s := dnssec.NewBudget("b", dnssec.Limits{}).Share("s")
	withTurn(t, v, tr, s, func(turn *dnssec.Turn) {
		before := s.Spent()[dnssec.Sends]
		if !turn.Again() || s.Spent()[dnssec.Sends] != before {
			t.Errorf("the first time over a stream was paid twice: %d, before %d", s.Spent()[dnssec.Sends], before)
		}
		if !turn.Again() || s.Spent()[dnssec.Sends] != before+1 {
			t.Errorf("the second time over a stream: %d, before %d", s.Spent()[dnssec.Sends], before)
		}
		for s.Spend(dnssec.Sends, 1) == nil {
		}
		if turn.Send() || turn.Again() {
			t.Error("sent though nothing is left")
		}
	})
}

// TestTurnSockets: a plan has so many second sockets, and each comes back.
func TestTurnSockets(t *testing.T) {
	tr := newTree(t)
	v := tr.validator()
	for range 12 { // more often than the process has sockets, were they lost
		withTurn(t, v, tr, dnssec.NewBudget("b", dnssec.Limits{}).Share("s"), func(turn *dnssec.Turn) {
			var all []func()
			for {
				release, ok := turn.Socket()
				if !ok {
					break
				}
				all = append(all, release)
			}
			if len(all) != dnssec.MaxPlanSpare {
				t.Errorf("%d sockets, want %d", len(all), dnssec.MaxPlanSpare)
			}
			for _, release := range all {
				release()
			}
			if release, ok := turn.Socket(); !ok {
				t.Error("none after all were given back")
			} else {
				release()
			}
		})
	}
	if _, _, plans := settled(v); plans != 0 {
		t.Errorf("%d plans have something", plans)
	}
}

// TestNoTurn: a question that no validator or stub asks is not bounded.
func TestNoTurn(t *testing.T) {
	turn := dnssec.TurnFrom(t.Context())
	if turn != nil || !turn.Send() || !turn.Again() || !turn.Again() {
		t.Error("bounded")
	}
	for range 2 * dnssec.MaxPlanSpare {
		if release, ok := turn.Socket(); !ok || release == nil {
			t.Fatal("bounded")
		}
	}
}

// TestTurnNotAfforded: a turn that cannot be paid for is given back, and nothing of it is
// counted as spent.
func TestTurnNotAfforded(t *testing.T) {
	tr := newTree(t)
	v := tr.validator()
	s := dnssec.NewBudget("b", dnssec.Limits{}).Share("s")
	for s.Spend(dnssec.Sends, 1) == nil {
	}
	spent := s.Spent()
	_, err := v.Resolve(s.With(t.Context()), question(t, "mx.unsigned.test.", dnssec.TypeA))
	if !errors.Is(err, dnssec.ErrBudget) || s.Spent() != spent {
		t.Errorf("%v, spent %v, before %v", err, s.Spent(), spent)
	}
	if free, _, plans := settled(v); free != dnssec.DefaultUnderWay || plans != 0 {
		t.Errorf("%d turns are free, %d plans have some", free, plans)
	}
}

func TestResourceText(t *testing.T) {
	for r, want := range map[dnssec.Resource]string{
		dnssec.Questions: "DNS questions", dnssec.Sends: "DNS messages", dnssec.Bytes: "bytes of DNS answers",
		dnssec.SignatureCost: "microseconds of signature checks", dnssec.Digests: "digests of keys", dnssec.HashRounds: "NSEC3 hash rounds",
		dnssec.Time: "time", dnssec.Memory: "memory for DNS answers",
	} {
		if got := r.String(); got != want {
			t.Errorf("%d: %q, want %q", r, got, want)
		}
	}
}
