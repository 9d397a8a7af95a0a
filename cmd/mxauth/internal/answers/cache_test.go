package answers_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// keptText is the text of a reply that a test keeps: it says what it is for, and has any length.
func keptText(hop, host string, n int) string {
	return fmt.Sprintf("%s %s %d %*s", hop, host, n, n%300, "")
}

// TestCacheModel compares the cache with a map, over random calls with few next hops, so that records
// collide, are moved and go around the ends of tables. Every third reply has a shape of its own.
func TestCacheModel(t *testing.T) {
	type id struct{ hop, host string }
	type kept struct {
		reply mtapolicy.Reply
		until time.Time
	}
	for seed := range uint64(6) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		c, model := answers.NewCache(1<<20, 1<<30), map[id]kept{}
		now := time.Unix(1_800_000_000, 0)
		one := func() id { return id{fmt.Sprintf("d%d.test", rnd.IntN(400)), fmt.Sprintf("mx%d", rnd.IntN(3))} }
		for n := range 6000 {
			now = now.Add(time.Second)
			k := one()
			switch p := rnd.IntN(1000); {
			case p < 500:
				r := mtapolicy.Reply{Kind: mtapolicy.Found, Row: mtapolicy.P6, Text: keptText(k.hop, k.host, n)}
				if n%3 == 0 {
					r.Deviations = []mtapolicy.Deviation{{ID: "x", Host: fmt.Sprint("mx", n)}}
				}
				until := now.Add(time.Duration(1+rnd.IntN(3000)) * time.Second)
				c.Put(k.hop, k.host, r, now, until)
				model[k] = kept{r, until}
				for o := range model {
					if o.hop == k.hop && !model[o].until.After(now) {
						delete(model, o) // those that no longer hold are dropped with a put
					}
				}
			case p < 600:
				c.Drop(k.hop)
				for o := range model {
					if o.hop == k.hop {
						delete(model, o)
					}
				}
			case p == 999:
				c.Purge()
				clear(model)
			default:
				want, known := model[k]
				known = known && want.until.After(now)
				if text, ok := c.Peek(k.hop, k.host, now); ok != known || ok && text != want.reply.Text {
					t.Fatalf("seed %d, call %d: %v: %q, %v; want %q, %v", seed, n, k, text, ok, want.reply.Text, known)
				}
				if r, ok := c.Get(k.hop, k.host, now); ok != known || ok && (r.Text != want.reply.Text || r.Row != want.reply.Row || !slices.Equal(r.Deviations, want.reply.Deviations)) {
					t.Fatalf("seed %d, call %d: %v: %+v, %v; want %+v, %v", seed, n, k, r, ok, want.reply, known)
				}
			}
			if entries, _ := c.Size(); entries != len(model) {
				t.Fatalf("seed %d, call %d: %d replies, want %d", seed, n, entries, len(model))
			}
		}
		for k := range model {
			c.Drop(k.hop)
		}
		if entries, bytes := c.Size(); entries != 0 || bytes != 0 {
			t.Errorf("seed %d: %d replies and %d bytes of nothing", seed, entries, bytes)
		}
	}
}

// TestCacheReaders: while replies are kept, dropped and moved, a reader gets the reply for what it asks
// or none, and one that is not touched is always found with the lock.
func TestCacheReaders(t *testing.T) {
	c := answers.NewCache(3000, 1<<30)
	now := time.Unix(1_800_000_000, 0)
	put := func(hop string, n int) {
		c.Put(hop, "", mtapolicy.Reply{Kind: mtapolicy.Found, Text: keptText(hop, "", n)}, now, now.Add(time.Hour))
	}
	for i := range 20 {
		put(fmt.Sprintf("stays%d.test", i), 0)
	}
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				hop := fmt.Sprintf("d%d.test", n%700)
				if text, ok := c.Peek(hop, "", now); ok && text[:len(hop)+1] != hop+" " {
					t.Errorf("%s: %q", hop, text)
					return
				}
				hop = fmt.Sprintf("stays%d.test", n%20)
				if r, ok := c.Get(hop, "", now); !ok || r.Text != keptText(hop, "", 0) {
					t.Errorf("%s: %+v, %v", hop, r, ok)
					return
				}
			}
		})
	}
	for i := range 2 {
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			for n := range 8000 {
				if hop := fmt.Sprintf("d%d.test", rnd.IntN(700)); n%3 == 0 {
					c.Drop(hop)
				} else {
					put(hop, n)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

// TestCacheEvicts: replies that are asked for stay, those that are not make room.
func TestCacheEvicts(t *testing.T) {
	const most, used = 64 * 100, 1000
	c := answers.NewCache(most, 1<<30)
	now := time.Unix(1_800_000_000, 0)
	put := func(hop string) {
		c.Put(hop, "", mtapolicy.Reply{Kind: mtapolicy.Found, Text: "x"}, now, now.Add(time.Hour))
	}
	const puts = 20 * most
	missed := 0
	for i := range puts {
		put(fmt.Sprintf("once%d.test", i))
		hop := fmt.Sprintf("used%d.test", i%used)
		if _, ok := c.Peek(hop, "", now); !ok {
			put(hop)
			if i > puts/2 {
				missed++
			}
		}
	}
	if n, _ := c.Size(); n > most || n < most*9/10 {
		t.Errorf("%d replies, at most %d", n, most)
	}
	if missed > puts/2/100 {
		t.Errorf("%d of %d questions for what is asked often were not kept", missed, puts/2)
	}
}

// TestCacheVariants: one next hop, asked about for many hosts, keeps the newest of their replies and
// takes no room of others.
func TestCacheVariants(t *testing.T) {
	c := answers.NewCache(1<<20, 1<<30)
	now := time.Unix(1_800_000_000, 0)
	for i := range 10 * answers.MaxVariants {
		now = now.Add(time.Millisecond)
		c.Put("d.test", fmt.Sprint("mx", i), mtapolicy.Reply{Kind: mtapolicy.Found, Text: "x"}, now, now.Add(time.Hour))
	}
	if n, _ := c.Size(); n != answers.MaxVariants {
		t.Errorf("%d replies for one next hop", n)
	}
	for i := 9 * answers.MaxVariants; i < 10*answers.MaxVariants; i++ {
		if _, ok := c.Peek("d.test", fmt.Sprint("mx", i), now); !ok {
			t.Errorf("the reply for host %d is gone", i)
		}
	}
}

// TestCacheEqualTags: a reply whose tag equals that of another key is never given for that key. The keys
// differ in one part, so each comparison is needed.
func TestCacheEqualTags(t *testing.T) {
	asked := answers.CacheKey{NextHop: "d.test", Host: "mx1.d.test", Port: 25, Form: mtapolicy.PerHost}
	now := time.Unix(1_800_000_000, 0)
	end := now.Add(time.Hour)
	for name, edit := range map[string]func(k *answers.CacheKey){
		"next hop":           func(k *answers.CacheKey) { k.NextHop = "e.test" },
		"longer next hop":    func(k *answers.CacheKey) { k.NextHop += "m"; k.Host = k.Host[1:] },
		"host":               func(k *answers.CacheKey) { k.Host = "mx2.d.test" },
		"domain as a whole":  func(k *answers.CacheKey) { k.Host = "" },
		"port":               func(k *answers.CacheKey) { k.Port = 26 },
		"form":               func(k *answers.CacheKey) { k.Form = mtapolicy.Plain },
		"all but the port":   func(k *answers.CacheKey) { *k = answers.CacheKey{NextHop: "e.test", Host: "mx.e.test", Port: k.Port} },
		"all but the domain": func(k *answers.CacheKey) { *k = answers.CacheKey{NextHop: k.NextHop} },
	} {
		t.Run(name, func(t *testing.T) {
			c, other := answers.NewCache(1<<20, 1<<30), asked
			edit(&other)
			c.PutUnderTag(asked, other, mtapolicy.Reply{Kind: mtapolicy.Found, Text: "other"}, now, end)
			if text, ok := c.PeekKey(asked, now); ok {
				t.Errorf("without the lock: %q is given for another key", text)
			}
			if text, ok := c.GetKey(asked, now); ok {
				t.Errorf("with the lock: %q is given for another key", text)
			}
			// The key's own reply takes another place, and is found after that of the other key.
			c.PutKey(asked, mtapolicy.Reply{Kind: mtapolicy.Found, Text: "own"}, now, end)
			if n, _ := c.Size(); n != 2 {
				t.Errorf("%d replies, want 2", n)
			}
			if text, ok := c.PeekKey(asked, now); !ok || text != "own" {
				t.Errorf("without the lock: %q, %v", text, ok)
			}
			if text, ok := c.GetKey(asked, now); !ok || text != "own" {
				t.Errorf("with the lock: %q, %v", text, ok)
			}
			// A domain is dropped with all its replies, and no reply of another.
			left := 1
			if other.NextHop == asked.NextHop {
				left = 0
			}
			c.Drop(asked.NextHop)
			if n, _ := c.Size(); n != left {
				t.Errorf("%d replies after the domain was dropped, want %d", n, left)
			}
		})
	}
}
