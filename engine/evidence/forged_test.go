package evidence_test

import (
	"bytes"
	"errors"
	"net/netip"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/pkix"
)

// again replays a changed copy of a file.
func again(t *testing.T, c taped, change func(f *evidence.File)) *evidence.Replayed {
	t.Helper()
	f := written(t, c.file)
	change(f)
	r, err := written(t, f).Replay(t.Context(), evidence.ReplayConfig{Anchors: c.anchors, Roots: c.roots, AllowTrustAD: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// has reports whether a claim is in a list.
func has(claims []reason.Claim, ids ...reason.ClaimID) bool {
	return !slices.ContainsFunc(ids, func(id reason.ClaimID) bool {
		return !slices.ContainsFunc(claims, func(c reason.Claim) bool { return c.ID == id && explain.Claim(c) != "" })
	})
}

// TestClaims: each verdict says what was proved and what was not.
func TestClaims(t *testing.T) {
	same := func(*evidence.File) {}
	t.Run("DANE", func(t *testing.T) {
		r := again(t, one(t, "dane-ee"), same)
		if !has(r.Proved, reason.ProvedDNSSEC, reason.ProvedDANE) || has(r.Proved, reason.ProvedCA) || has(r.Proved, reason.ProvedPolicyHost) {
			t.Errorf("proved: %+v", r.Proved)
		}
		if !has(r.Rests, reason.RestsTime, reason.RestsKey, reason.RestsServers, reason.RestsSettings, reason.RestsNoPolicy) ||
			has(r.Rests, reason.RestsPolicyText) || has(r.Rests, reason.RestsTrustAD) || has(r.Rests, reason.RestsLeftOut) {
			t.Errorf("rests: %+v", r.Rests)
		}
	})
	t.Run("MTA-STS", func(t *testing.T) {
		r := again(t, one(t, "sts-enforce"), same)
		if !has(r.Proved, reason.ProvedPolicyHost, reason.ProvedCA) || !has(r.Rests, reason.RestsPolicyText, reason.RestsKey) || has(r.Rests, reason.RestsKept) {
			t.Errorf("proved: %+v, rests: %+v", r.Proved, r.Rests)
		}
	})
	t.Run("a policy that the file says was kept", func(t *testing.T) {
		r := again(t, one(t, "sts-enforce"), func(f *evidence.File) { f.STS.Cached, f.STS.Chain, f.STS.Row = true, nil, "S5" })
		if has(r.Proved, reason.ProvedPolicyHost) || !has(r.Rests, reason.RestsPolicyText, reason.RestsKept) {
			t.Errorf("proved: %+v, rests: %+v", r.Proved, r.Rests)
		}
	})
	t.Run("another time", func(t *testing.T) {
		c := one(t, "dane-ee")
		r, err := c.file.Replay(t.Context(), evidence.ReplayConfig{Anchors: c.anchors, Roots: c.roots, At: c.file.At.Add(time.Minute)})
		if err != nil || has(r.Rests, reason.RestsTime) {
			t.Errorf("%+v, %v", r.Rests, err)
		}
	})
	t.Run("settings", func(t *testing.T) {
		r := again(t, one(t, "dane-ee"), func(f *evidence.File) {
			f.Request.Exceptions = []exception.Exception{{ID: "x", Domain: "*", Reason: "r", Author: "a", Ends: f.At.Add(time.Hour)}}
			f.Memory = &evidence.Memory{HoldSeconds: 60}
			f.LeftOut = &evidence.LeftOut{Messages: 1, Bytes: 5}
			f.STS = nil
		})
		if !has(r.Rests, reason.RestsExceptions, reason.RestsMemory, reason.RestsLeftOut, reason.RestsNoSTS) {
			t.Errorf("rests: %+v", r.Rests)
		}
	})
	t.Run("nothing answered", func(t *testing.T) {
		r := again(t, one(t, "sts-enforce"), func(f *evidence.File) { f.Hosts = nil })
		if !has(r.Rests, reason.RestsNotReached) {
			t.Errorf("rests: %+v", r.Rests)
		}
		if r := again(t, one(t, "stripped-dane"), same); has(r.Proved, reason.ProvedDANE) {
			t.Errorf("proved: %+v", r.Proved)
		}
	})
}

// TestTrustADIsRefused: in such a file every status is the word of its author.
func TestTrustADIsRefused(t *testing.T) {
	c := one(t, "dane-ee")
	f := written(t, c.file)
	f.Mode = evidence.ModeTrustAD
	for i := range f.DNS {
		f.DNS[i].CD = false
		if b := f.DNS[i].Response; len(b) > 3 {
			b[3] |= 0x20 // AD
		}
	}
	if _, err := f.Replay(t.Context(), evidence.ReplayConfig{Anchors: c.anchors, Roots: c.roots}); !errors.Is(err, evidence.ErrTrustAD) || !errors.Is(err, evidence.ErrFile) {
		t.Errorf("%v", err)
	}
	r, err := f.Replay(t.Context(), evidence.ReplayConfig{Anchors: c.anchors, Roots: c.roots, AllowTrustAD: true})
	if err != nil || has(r.Proved, reason.ProvedDNSSEC) || !has(r.Rests, reason.RestsTrustAD) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestForgedConnections: only connections to the plan's own addresses are judged.
func TestForgedConnections(t *testing.T) {
	c := one(t, "dane-ee")
	t.Run("another address", func(t *testing.T) {
		r := again(t, c, func(f *evidence.File) { f.Hosts[0].Peers[0].Address = netip.MustParseAddrPort("192.0.2.9:25") })
		if r.Summary.Outcome != engine.Deferred || len(r.Ignored) != 1 || !strings.Contains(r.Ignored[0], "192.0.2.9:25") || len(r.Differences) == 0 {
			t.Errorf("%s, not judged %q", r.Summary.Outcome, r.Ignored)
		}
		if has(r.Rests, reason.RestsKey) || r.Hosts[0].Left != 0 && len(r.Hosts[0].Addresses) != 0 {
			t.Errorf("%+v", r.Rests)
		}
	})
	t.Run("another port", func(t *testing.T) {
		r := again(t, c, func(f *evidence.File) {
			f.Hosts[0].Peers[0].Address = netip.AddrPortFrom(f.Hosts[0].Peers[0].Address.Addr(), 587)
		})
		if r.Summary.Outcome == engine.Authenticated || len(r.Ignored) != 1 {
			t.Errorf("%s, not judged %q", r.Summary.Outcome, r.Ignored)
		}
	})
	t.Run("no address", func(t *testing.T) {
		r := again(t, c, func(f *evidence.File) { f.Hosts[0].Peers[0].Address = netip.AddrPort{} })
		if r.Summary.Outcome == engine.Authenticated || len(r.Ignored) != 1 {
			t.Errorf("%s, not judged %q", r.Summary.Outcome, r.Ignored)
		}
	})
	t.Run("one address twice", func(t *testing.T) {
		f := written(t, c.file)
		f.Hosts[0].Peers = append(f.Hosts[0].Peers, f.Hosts[0].Peers[0])
		if _, err := f.Replay(t.Context(), evidence.ReplayConfig{Anchors: c.anchors, Roots: c.roots}); !errors.Is(err, evidence.ErrFile) {
			t.Errorf("%v", err)
		}
	})
	t.Run("an address that the file leaves out is counted", func(t *testing.T) {
		r := again(t, c, func(f *evidence.File) { f.Hosts[0].Peers, f.Hosts[0].Left = nil, 0 })
		if r.Summary.Outcome != engine.Deferred || !has(r.Rests, reason.RestsNotReached) && r.Hosts[0].Left == 0 {
			t.Errorf("%s: %+v", r.Summary.Outcome, r.Rests)
		}
	})
}

// TestNothingLackingLetsMorePass drops one answer after the other, as a recorder that is
// full does, or somebody who hopes that less known is less demanded.
func TestNothingLackingLetsMorePass(t *testing.T) {
	for _, name := range []string{"dane-ee", "tlsa-mismatch", "sts-enforce", "sts-no-match", "classic-mismatch", "mx-alias-secure", "stripped-sts", "implicit-mx", "one-of-two"} {
		t.Run(name, func(t *testing.T) {
			c := one(t, name)
			for i, m := range c.file.DNS {
				for what, change := range map[string]func(f *evidence.File){
					"dropped":  func(f *evidence.File) { f.DNS = slices.Delete(f.DNS, i, i+1) },
					"left out": func(f *evidence.File) { f.DNS[i].Response, f.DNS[i].Failed, f.DNS[i].LeftOut = nil, "", true },
				} {
					r := again(t, c, change)
					if stronger(r.Summary, c.summary) {
						t.Errorf("without %s %d (%s): %s, with it %s", m.Name, m.Type, what, r.Summary.Outcome, c.summary.Outcome)
					}
				}
			}
		})
	}
	t.Run("the certificates", func(t *testing.T) {
		for _, name := range []string{"dane-ee", "sts-enforce"} {
			r := again(t, one(t, name), func(f *evidence.File) { f.Hosts[0].Peers[0].Chain, f.Hosts[0].Peers[0].ChainLeftOut = nil, true })
			if r.Summary.Outcome != engine.Deferred {
				t.Errorf("%s: %s", name, r.Summary.Outcome)
			}
		}
	})
}

// stronger reports whether a verdict lets more pass than another, or claims more.
func stronger(a, b engine.Summary) bool {
	rank := map[engine.Outcome]int{engine.Cleartext: 1, engine.Encrypted: 2, engine.Authenticated: 3}
	return a.Deliver && !b.Deliver || rank[a.Outcome] > rank[b.Outcome]
}

// TestTLSAPolicy: rules of the operator's own are replayed.
func TestTLSAPolicy(t *testing.T) {
	c := one(t, "dane-ee")
	var rec dane.Record
	for _, m := range c.file.DNS {
		if m.Type == uint16(dnssec.TypeTLSA) && len(m.Response) > 0 {
			if i := bytes.Index(m.Response, []byte{3, 1, 1}); i > 0 {
				rec, _ = dane.RecordFromDNS(dnssec.Record{Type: dnssec.TypeTLSA, Data: m.Response[i : i+35]})
			}
		}
	}
	if rec.Data == "" {
		t.Fatal("no record")
	}
	r := again(t, c, func(f *evidence.File) { f.TLSA = &evidence.TLSAPolicy{Strength: []uint16{2}} })
	if r.Summary.Outcome != engine.Encrypted {
		t.Errorf("SHA2-256 switched off: %s", r.Summary.Outcome)
	}
	r = again(t, c, func(f *evidence.File) { f.TLSA = &evidence.TLSAPolicy{Forbidden: [][]byte{evidence.DigestOf(rec)}} })
	if r.Summary.Outcome != engine.Encrypted {
		t.Errorf("the record forbidden: %s", r.Summary.Outcome)
	}
}

// TestOldFiles: a file without the times of its parts is replayed at the one it has.
func TestOldFiles(t *testing.T) {
	for _, name := range []string{"dane-ee", "sts-enforce", "memory-dane-defer"} {
		c := one(t, name)
		r := again(t, c, func(f *evidence.File) {
			f.Planned, f.ValidUntil = time.Time{}, time.Time{}
			for i := range f.DNS {
				f.DNS[i].At, f.DNS[i].Took = time.Time{}, 0
			}
			for i := range f.Hosts {
				f.Hosts[i].At = time.Time{}
				for k := range f.Hosts[i].Peers {
					f.Hosts[i].Peers[k].At = time.Time{}
				}
			}
			if f.STS != nil {
				f.STS.At, f.STS.Until = time.Time{}, time.Time{}
			}
		})
		if len(r.Differences) > 0 {
			t.Errorf("%s: %q", name, r.Differences)
		}
	}
}

const smallFile = `{"v":1,"at":"2026-01-02T03:04:05Z","mode":"validate","request":{"next_hop":"example.org","level":"default","options":{"insecure_mx":"dane","dane_and_sts":"dane-first","sts_undetermined":"proceed"}},"dns":[],"sts":null,"hosts":[],"verdict":{"outcome":"deferred","method":"","deliver":false,"every_host":false,"reason_id":"","hosts":[]}}`

// TestReadMemory: whatever a file of the largest size consists of, reading and replaying
// it takes little more memory than it has bytes.
func TestReadMemory(t *testing.T) {
	const most = 96 << 20 // of heap, beside what the test itself holds
	fill := func(before, part, after string) string {
		n := (evidence.MaxFile - len(smallFile) - 100) / (len(part) + 1)
		return before + part + strings.Repeat(","+part, n-1) + after
	}
	put := func(field, value string) string {
		i := strings.Index(smallFile, field)
		return smallFile[:i] + value + smallFile[i+len(field):]
	}
	for name, file := range map[string]string{
		"empty messages":     put(`"dns":[]`, fill(`"dns":[`, "{}", "]")),
		"messages of one":    put(`"dns":[]`, fill(`"dns":[`, `{"name":"a.","type":1,"failed":"timeout"}`, "]")),
		"empty hosts":        put(`"hosts":[],"v`, fill(`"hosts":[`, "{}", `],"v`)),
		"peers":              put(`"hosts":[],"v`, fill(`"hosts":[{"host":"a","peers":[`, "{}", `]}],"v`)),
		"certificates":       put(`"hosts":[],"v`, fill(`"hosts":[{"host":"a","peers":[{"chain":[`, `""`, `]}]}],"v`)),
		"hosts in verdict":   put(`"hosts":[]}}`, fill(`"hosts":[`, "{}", "]}}")),
		"names":              put(`"proceed"`, fill(`"proceed","names":[`, `""`, "]")),
		"exceptions":         put(`"dns"`, fill(`"exceptions":[`, "{}", `],"dns"`)),
		"own addresses":      put(`"}},"dns"`, fill(`"},"own_addresses":[`, `""`, `]},"dns"`)),
		"exceptions in it":   put(`"}},"dns"`, fill(`"},"exceptions":[`, `{}`, `]},"dns"`)),
		"policy chain":       put(`"sts":null`, fill(`"sts":{"row":"S3","chain":[`, `""`, `]}`)),
		"policy text":        put(`"sts":null`, `"sts":{"row":"S3","text":"`+strings.Repeat("a", evidence.MaxFile-2000)+`"}`),
		"memory":             put(`"sts":null`, fill(`"sts":null,"memory":{"past":{"drops":[`, `{}`, `]}}`)),
		"lists in lists":     put(`"dns":[]`, `"dns":`+strings.Repeat("[", evidence.MaxFile-2000)),
		"a long text":        put(`"dns":[]`, `"dns":[{"detail":"`+strings.Repeat("a", evidence.MaxFile-2000)+`"}]`),
		"a long key":         put(`"dns"`, `"`+strings.Repeat("d", evidence.MaxFile-2000)+`"`),
		"a long number":      put(`"v":1`, `"v":`+strings.Repeat("1", evidence.MaxFile-2000)),
		"unknown members":    put(`"dns"`, fill("", `"x":1`, `,"dns"`)),
		"blanks":             smallFile + strings.Repeat(" ", evidence.MaxFile-len(smallFile)),
		"forbidden records":  put(`"dns"`, fill(`"tlsa_policy":{"forbidden":[`, `""`, `]},"dns"`)),
		"left out, repeated": put(`"dns"`, fill("", `"left_out":{"bytes":1}`, `,"dns"`)),
	} {
		t.Run(name, func(t *testing.T) {
			if len(file) > evidence.MaxFile {
				t.Fatalf("a file of %d bytes", len(file))
			}
			var err error
			peak := peakHeap(func() {
				var f *evidence.File
				if f, err = evidence.Read(strings.NewReader(file)); err == nil {
					_, err = f.Replay(t.Context(), evidence.ReplayConfig{Roots: pkix.NewRoots()})
				}
			})
			if peak > most {
				t.Errorf("%d MiB", peak>>20)
			}
			if (err == nil) != (name == "blanks") || err != nil && !errors.Is(err, evidence.ErrFile) {
				t.Errorf("%v", err)
			}
		})
	}
}

// peakHeap is how much is allocated while do runs, at most at one time. What the collector
// has not taken yet counts.
func peakHeap(do func()) int64 {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() int64 {
		metrics.Read(heap)
		return int64(heap[0].Value.Uint64())
	}
	runtime.GC()
	before, peak := read(), int64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			peak = max(peak, read()-before)
			runtime.Gosched()
		}
	}()
	do()
	close(stop)
	<-done
	return peak
}

// TestRepeatedQuestions: of several answers to a question that counts which the check had.
func TestRepeatedQuestions(t *testing.T) {
	c := one(t, "dane-ee")
	twice := func(change func(f *evidence.File, m *evidence.Message), before bool) func(f *evidence.File) {
		return func(f *evidence.File) {
			var all []evidence.Message
			for _, m := range f.DNS {
				n := m
				change(f, &n)
				if before {
					all = append(all, n, m)
				} else {
					all = append(all, m, n)
				}
			}
			f.DNS = all
		}
	}
	key := func(m *evidence.Message) bool { return m.Type == 48 || m.Type == 43 } // DNSKEY, DS
	givenUp := func(_ *evidence.File, m *evidence.Message) { m.Response, m.Failed, m.GivenUp = nil, "", true }
	for name, change := range map[string]func(f *evidence.File){
		"given up before": twice(givenUp, true),
		"given up after":  twice(givenUp, false),
		"a key that was not to be had before the check needed it": twice(func(f *evidence.File, m *evidence.Message) {
			if key(m) {
				m.Response, m.Failed, m.At, m.Took = nil, "timeout", f.Planned, 0
			}
		}, true),
		"a key that was not to be had later": twice(func(f *evidence.File, m *evidence.Message) {
			if key(m) {
				m.Response, m.Failed, m.At, m.Took = nil, "timeout", f.At, 0
			}
		}, false),
	} {
		r := again(t, c, change)
		if len(r.Differences) > 0 {
			t.Errorf("%s: %q", name, r.Differences)
		}
	}
	r := again(t, c, func(f *evidence.File) {
		for i := range f.DNS {
			if key(&f.DNS[i]) {
				givenUp(f, &f.DNS[i])
			}
		}
	})
	if r.Summary.Outcome != engine.Deferred || len(r.Unasked) > 0 {
		t.Errorf("no key was waited for: %s, not in the file: %q", r.Summary.Outcome, r.Unasked)
	}
}
