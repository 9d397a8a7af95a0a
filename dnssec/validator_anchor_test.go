package dnssec_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
)

func TestValidatorAnchors(t *testing.T) {
	// revoked gives the root two keys, the first of which is revoked by itself.
	revoked := func(t *testing.T) (*tree, []anchor.Anchor) {
		tr := newTree(t)
		root := tr.zones["."].withKeys(t, "keys", "all")
		before := tr.anchors()
		root.keys[0].Flags |= 0x80
		return tr, before
	}
	t.Run("TA5011-2.1-01 a revoked key is no anchor", func(t *testing.T) {
		tr, before := revoked(t)
		var log bytes.Buffer
		cfg := func(a []anchor.Anchor) func(*dnssec.ValidatorConfig) {
			return func(c *dnssec.ValidatorConfig) {
				c.Anchors = a
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			}
		}
		a, err := tr.get(tlsa, cfg(before[:1]))
		if outcome(a, err) != "indeterminate no-usable-anchor" || !errors.Is(err, dnssec.ErrIndeterminate) || !strings.Contains(a.Reason.Text, "every trust anchor of . is revoked or expired") {
			t.Errorf("%s %v", outcome(a, err), err)
		}
		if !strings.Contains(log.String(), "a trust anchor is revoked") || !strings.Contains(log.String(), "no-usable-anchor") {
			t.Errorf("log: %s", log.String())
		}
		tr.want(tlsa, "secure data", cfg(before)) // the other anchor still holds
		// DNSKEY anchors are followed too.
		k := *tr.zones["."].keys[0].DNSKEY
		k.Flags &^= 0x80
		asKey, err := anchor.Parse(strings.NewReader(k.String()))
		if err != nil {
			t.Fatal(err)
		}
		tr.want(tlsa, "indeterminate no-usable-anchor", cfg(asKey))
	})
	t.Run("a revocation counts only if the key signs it, and then for good", func(t *testing.T) {
		tr, before := revoked(t)
		root := tr.zones["."]
		root.keys[0].sign = "none"
		tr.want(tlsa, "bogus anchor-mismatch", func(c *dnssec.ValidatorConfig) { c.Anchors = before[:1] })
		root.keys[0].sign = "keys"
		clear(root.sigs)
		v := tr.validator(func(c *dnssec.ValidatorConfig) { c.Anchors = before[:1] })
		if a, err := resolve(t, v, tlsa); outcome(a, err) != "indeterminate no-usable-anchor" {
			t.Fatal(outcome(a, err))
		}
		root.keys[0].Flags &^= 0x80 // as if it had never been
		clear(root.sigs)
		if a, err := resolve(t, v, tlsa); outcome(a, err) != "indeterminate no-usable-anchor" {
			t.Error(outcome(a, err))
		}
	})
	t.Run("TA7958-2.1.2-01 not outside its time", func(t *testing.T) {
		tr := newTree(t)
		at := func(from, until time.Duration) func(*dnssec.ValidatorConfig) {
			return func(c *dnssec.ValidatorConfig) {
				c.Anchors[0].From, c.Anchors[0].Until = testTime.Add(from), testTime.Add(until)
			}
		}
		tr.want(tlsa, "secure data", at(0, 1))
		tr.want(tlsa, "indeterminate no-usable-anchor", at(1, time.Hour))
		tr.want(tlsa, "indeterminate no-usable-anchor", at(-time.Hour, 0))
	})
	t.Run("TA5011-8.1-01 static anchors out of date say so", func(t *testing.T) {
		tr := newTree(t)
		var log bytes.Buffer
		a, err := tr.get(tlsa, func(c *dnssec.ValidatorConfig) {
			c.Anchors = anchor.Root()
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		// The root of the tree has no RSA key, so none of the anchors fits.
		if outcome(a, err) != "bogus anchor-mismatch" || !strings.Contains(log.String(), "anchor-mismatch") {
			t.Errorf("%s, log %s", outcome(a, err), log.String())
		}
	})
	t.Run("an anchor of an unsupported algorithm makes its zone insecure", func(t *testing.T) {
		tr := newTree(t)
		tr.want(tlsa, "insecure data unsupported-algorithm", func(c *dnssec.ValidatorConfig) { c.Anchors[0].DS.Algorithm = 250 })
	})
	t.Run("anchors of no kind are refused", func(t *testing.T) {
		if _, err := dnssec.NewValidator(dnssec.ValidatorConfig{Upstream: newTree(t), Anchors: []anchor.Anchor{{}}}); err == nil {
			t.Error("no error")
		}
	})
	t.Run("a key set that revokes the anchor it is proved by", func(t *testing.T) {
		tr := newTree(t)
		root := tr.zones["."]
		before := tr.anchors()
		again := *root.keys[0]
		d := *again.DNSKEY
		d.Flags |= 0x80
		again.DNSKEY = &d
		root.keys = append(root.keys, &again)
		tr.want(tlsa, "indeterminate no-usable-anchor", func(c *dnssec.ValidatorConfig) { c.Anchors = before })
	})
}

func TestValidatorShares(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("identical questions at one time are asked once", func(t *testing.T) {
		tr := newTree(t)
		v := tr.validator()
		const n = 8
		arrived := make(chan struct{}, 100)
		open := make(chan struct{})
		var mu sync.Mutex
		active := map[dns.Question]int{}
		tr.delay = func(ctx context.Context, q dns.Question) {
			mu.Lock()
			if active[q]++; active[q] > 1 {
				t.Errorf("%s %s: asked while it is asked", q.Name, dns.Type(q.Qtype))
			}
			mu.Unlock()
			arrived <- struct{}{}
			select {
			case <-open:
			case <-ctx.Done():
			}
			mu.Lock()
			active[q]--
			mu.Unlock()
		}
		var wg sync.WaitGroup
		started := make(chan struct{}, n)
		for range n {
			wg.Go(func() {
				started <- struct{}{}
				if a, err := resolve(t, v, tlsa); outcome(a, err) != "secure data" {
					t.Error(outcome(a, err))
				}
			})
		}
		for range n {
			<-started
		}
		<-arrived // the first question is under way; a caller that comes now joins it
		waitFor(t, func() bool { return v.Waiting() == n })
		close(open)
		wg.Wait()
		if got := tr.count("_25._tcp.mx.example.test. TLSA"); got != 1 {
			t.Errorf("asked %d times", got)
		}
	})
	t.Run("who leaves does not take the others along", func(t *testing.T) {
		tr := newTree(t)
		v := tr.validator()
		open := make(chan struct{})
		arrived := make(chan struct{}, 100)
		tr.delay = func(ctx context.Context, q dns.Question) {
			arrived <- struct{}{}
			select {
			case <-open:
			case <-ctx.Done():
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		left := make(chan error, 1)
		go func() {
			_, err := v.Resolve(ctx, question(t, "mx.example.test.", dnssec.TypeA))
			left <- err
		}()
		<-arrived
		done := make(chan string, 1)
		go func() { done <- outcome(resolve(t, v, "mx.example.test. A")) }()
		waitFor(t, func() bool { return v.Waiting() == 2 })
		cancel()
		if err := <-left; !errors.Is(err, dnssec.ErrTimeout) || !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(open)
		if got := <-done; got != "secure data" {
			t.Error(got)
		}
	})
	t.Run("the last to leave ends the exchange", func(t *testing.T) {
		tr := newTree(t)
		v := tr.validator()
		arrived := make(chan struct{}, 1)
		ended := make(chan struct{})
		tr.delay = func(ctx context.Context, q dns.Question) {
			arrived <- struct{}{}
			<-ctx.Done()
			close(ended)
		}
		ctx, cancel := context.WithCancel(context.Background())
		go func() { <-arrived; cancel() }()
		if _, err := v.Resolve(ctx, question(t, "mx.example.test.", dnssec.TypeA)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		select {
		case <-ended: // before Resolve returned
		default:
			t.Error("the exchange goes on")
		}
	})
	t.Run("an upstream that hangs is left", func(t *testing.T) {
		tr := newTree(t)
		tr.delay = func(ctx context.Context, q dns.Question) { <-ctx.Done() }
		tr.want(tlsa, "indeterminate timeout", func(c *dnssec.ValidatorConfig) { c.ExchangeTimeout = time.Millisecond })
	})
	t.Run("keys are proved anew after their end", func(t *testing.T) {
		tr := newTree(t)
		now := testTime
		var mu sync.Mutex
		v := tr.validator(func(c *dnssec.ValidatorConfig) {
			c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
		})
		for i, step := range []struct {
			after time.Duration
			keys  int
		}{{0, 1}, {time.Hour - time.Second, 1}, {time.Hour, 2}} {
			mu.Lock()
			now = testTime.Add(step.after)
			mu.Unlock()
			if a, err := resolve(t, v, tlsa); outcome(a, err) != "secure data" || tr.count("example.test. DNSKEY") != step.keys {
				t.Errorf("%d: %s, keys asked %d times", i, outcome(a, err), tr.count("example.test. DNSKEY"))
			}
		}
	})
	t.Run("a resolver for another question, or with noise", func(t *testing.T) {
		for what, edit := range map[string]func(*dns.Msg){
			"question": func(m *dns.Msg) { m.Question[0].Name = "other.test." },
			"id":       func(m *dns.Msg) { m.Id++ },
			"query":    func(m *dns.Msg) { m.Response = false },
			"opcode":   func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate },
			"cut":      func(m *dns.Msg) { m.Truncated = true },
		} {
			tr := newTree(t)
			tr.edit = func(_ dns.Question, m *dns.Msg) { edit(m) }
			if a, err := tr.get(tlsa); outcome(a, err) != "indeterminate malformed" {
				t.Errorf("%s: %s", what, outcome(a, err))
			}
		}
	})
}

// waitFor polls until ok, for some seconds at most.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to pass")
		}
		<-time.After(time.Millisecond)
	}
}
