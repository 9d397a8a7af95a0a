package dnssec_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
)

// inBackground resolves and tells the outcome.
func inBackground(ctx context.Context, v *dnssec.Validator, q dnssec.Question) <-chan string {
	done := make(chan string, 1)
	go func() { done <- outcome(v.Resolve(ctx, q)) }()
	return done
}

// TestValidatorFlights follows one question that several callers need while they come
// and go. No time passes in it but where it says so: no one waits for a timeout.
func TestValidatorFlights(t *testing.T) {
	const shown = "mx.example.test. A"
	world := func(t *testing.T, delay func(ctx context.Context, nth int)) (*tree, *dnssec.Validator, dnssec.Question) {
		tr := newTree(t)
		var nth atomic.Int64
		tr.delay = func(ctx context.Context, q dns.Question) {
			if q.Name+" "+dns.Type(q.Qtype).String() == shown {
				delay(ctx, int(nth.Add(1)))
			}
		}
		return tr, tr.validator(), question(t, "mx.example.test.", dnssec.TypeA)
	}
	t.Run("who comes after the last has left starts anew", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			first, second := make(chan struct{}), make(chan struct{})
			tr, v, q := world(t, func(_ context.Context, nth int) { // an upstream that does not look at its context
				if nth == 1 {
					<-first
				} else {
					<-second
				}
			})
			ctx, cancel := context.WithCancel(t.Context())
			left := inBackground(ctx, v, q)
			synctest.Wait()
			cancel()
			synctest.Wait()
			b := inBackground(t.Context(), v, q)
			synctest.Wait()
			if n := tr.count(shown); n != 2 {
				t.Errorf("asked %d times, want one more than before", n)
			}
			close(first) // the end of the first exchange does not end the second
			if got := <-left; got != "indeterminate timeout" {
				t.Errorf("who left got %s", got)
			}
			c := inBackground(t.Context(), v, q)
			synctest.Wait()
			if n := tr.count(shown); n != 2 {
				t.Errorf("asked %d times, though there is an exchange to share", n)
			}
			close(second)
			if gotB, gotC := <-b, <-c; gotB != "secure data" || gotC != "secure data" {
				t.Errorf("the others got %s and %s", gotB, gotC)
			}
		})
	})
	t.Run("who comes after one of several has left shares", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			open := make(chan struct{})
			tr, v, q := world(t, func(ctx context.Context, _ int) {
				select {
				case <-open:
				case <-ctx.Done():
				}
			})
			ctx, cancel := context.WithCancel(t.Context())
			a, b := inBackground(ctx, v, q), inBackground(t.Context(), v, q)
			synctest.Wait()
			cancel()
			if got := <-a; got != "indeterminate timeout" {
				t.Errorf("who left got %s", got)
			}
			c := inBackground(t.Context(), v, q)
			synctest.Wait()
			close(open)
			if gotB, gotC := <-b, <-c; gotB != "secure data" || gotC != "secure data" || tr.count(shown) != 1 {
				t.Errorf("the others got %s and %s, asked %d times", gotB, gotC, tr.count(shown))
			}
		})
	})
	t.Run("the last to leave ends the exchange at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, v, q := world(t, func(ctx context.Context, _ int) { <-ctx.Done() })
			begin := time.Now()
			ctx, cancel := context.WithCancel(t.Context())
			left := inBackground(ctx, v, q)
			synctest.Wait()
			cancel()
			if got := <-left; got != "indeterminate timeout" || time.Since(begin) != 0 {
				t.Errorf("%s after %v", got, time.Since(begin))
			}
		})
	})
	t.Run("an exchange has its time and no more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, v, q := world(t, func(ctx context.Context, _ int) { <-ctx.Done() })
			begin := time.Now()
			_, err := v.Resolve(t.Context(), q)
			if !errors.Is(err, dnssec.ErrTimeout) || time.Since(begin) != dnssec.DefaultExchangeTimeout {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
		})
	})
}

// TestValidatorLeavesNothingBehind: what was asked ahead, and is not needed after all, is
// ended before Resolve returns, and no one waits for its answer.
func TestValidatorLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTree(t)
		z := tr.zones["example.test."]
		tr.on("mx.example.test. A", func(m *dns.Msg) { // fails before any key is needed
			c, _ := dns.NewRR("mx.example.test. 3600 IN CNAME alias.example.test.")
			m.Answer = append(m.Answer, c, signSet(t, z.keys[0], z.apex, []dns.RR{c}, z.from, z.until))
		})
		const tidyUp = time.Second
		var begun, active atomic.Int64
		tr.delay = func(ctx context.Context, q dns.Question) {
			if q.Qtype == dns.TypeA {
				return
			}
			begun.Add(1)
			active.Add(1)
			<-ctx.Done()
			time.Sleep(tidyUp)
			active.Add(-1)
		}
		begin := time.Now()
		a, err := resolve(t, tr.validator(), "mx.example.test. A")
		if outcome(a, err) != "indeterminate malformed" || begun.Load() == 0 || active.Load() != 0 {
			t.Errorf("%s, %d of %d exchanges go on", outcome(a, err), active.Load(), begun.Load())
		}
		if took := time.Since(begin); took > tidyUp {
			t.Errorf("it took %v", took)
		}
	})
}

// TestValidatorQuestionSection: a response repeats the question (RFC 1035 section 4.1.2).
// One with an rcode that is no answer may leave it out, as servers do that could not read
// the query; none may name another.
func TestValidatorQuestionSection(t *testing.T) {
	other := func(m *dns.Msg) { m.Question[0].Name = "other.test." }
	otherType := func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTXT }
	otherClass := func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }
	none := func(m *dns.Msg) { m.Question = nil }
	upper := func(m *dns.Msg) { m.Question[0].Name = "MX.Example.TEST." }
	for _, tt := range []struct {
		name  string
		rcode int
		edit  func(*dns.Msg)
		want  string
	}{
		{"letter case", dns.RcodeSuccess, upper, "secure data"},
		{"none, NOERROR", dns.RcodeSuccess, none, "indeterminate malformed"},
		{"none, NXDOMAIN", dns.RcodeNameError, none, "indeterminate malformed"},
		{"none, SERVFAIL", dns.RcodeServerFailure, none, "indeterminate servfail"},
		{"none, REFUSED", dns.RcodeRefused, none, "indeterminate refused"},
		{"none, FORMERR", dns.RcodeFormatError, none, "indeterminate formerr"},
		{"another name, NOERROR", dns.RcodeSuccess, other, "indeterminate malformed"},
		{"another name, NXDOMAIN", dns.RcodeNameError, other, "indeterminate malformed"},
		{"another name, REFUSED", dns.RcodeRefused, other, "indeterminate malformed"},
		{"another type, REFUSED", dns.RcodeRefused, otherType, "indeterminate malformed"},
		{"another class, NOERROR", dns.RcodeSuccess, otherClass, "indeterminate malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTree(t)
			tr.on("mx.example.test. A", func(m *dns.Msg) {
				m.Rcode = tt.rcode
				tt.edit(m)
			})
			tr.want("mx.example.test. A", tt.want)
		})
	}
}
