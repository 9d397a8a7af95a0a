package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mxauth/mxauth/internal/porttest"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/storetest"
	"github.com/mxauth/mxauth/store/valkey"
)

// A redisCluster has three primaries, and a replica of the first.
type redisCluster struct {
	t         *testing.T
	primaries []*redis
	replica   *redis
}

// startRedisCluster starts the servers and makes them a cluster, without redis-cli.
func startRedisCluster(t *testing.T) *redisCluster {
	t.Helper()
	var nodes []*redis
	buses := map[*redis]string{} // ports on which they speak to each other
	for range 4 {
		_, bus, err := net.SplitHostPort(porttest.Address(t).String())
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, startRedis(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0"))
		buses[nodes[len(nodes)-1]] = bus
	}
	c := &redisCluster{t, nodes[:3], nodes[3]}
	slots := [][2]string{{"0", "5460"}, {"5461", "10922"}, {"10923", "16383"}}
	for i, r := range c.primaries {
		r.do("CLUSTER", "ADDSLOTSRANGE", slots[i][0], slots[i][1])
	}
	for i, r := range nodes {
		r.do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
	}
	rights := strings.Fields(aclLine(t))[2:]
	for _, r := range nodes {
		// The suite has keys of its own.
		r.do(append([]string{"ACL", "SETUSER", "mxauth", "~suite*"}, rights...)...)
	}
	first := nodes[0]
	for _, r := range nodes[1:] {
		host, port, err := net.SplitHostPort(r.address)
		if err != nil {
			t.Fatal(err)
		}
		first.do("CLUSTER", "MEET", host, port, buses[r])
	}
	for _, r := range nodes {
		eventually(t, "the cluster", func() bool {
			info := r.do("CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:4")
		})
	}
	id := first.do("CLUSTER", "MYID")
	eventually(t, "the replica knows its primary", func() bool {
		text, err := c.replica.try("CLUSTER", "REPLICATE", id)
		return err == nil && text == "+OK"
	})
	eventually(t, "the replica follows", func() bool { return strings.Contains(c.replica.do("INFO", "replication"), "master_link_status:up") })
	for _, r := range nodes {
		eventually(t, "all know the replica", func() bool { return strings.Contains(r.do("CLUSTER", "NODES"), "slave "+id) })
	}
	return c
}

// url leads to the cluster by two of its primaries, as the user of docs/fleet.md.
func (c *redisCluster) url() string {
	return "redis://mxauth:CHANGE-THIS@" + c.primaries[1].address + "?addr=" + c.primaries[0].address
}

// onFirst reports whether the first primary has the policy of a domain.
func (c *redisCluster) onFirst(domain string) bool {
	c.t.Helper()
	slot, err := strconv.Atoi(strings.TrimPrefix(c.primaries[2].do("CLUSTER", "KEYSLOT", "mxauth/e/sts/p/"+domain), ":"))
	if err != nil {
		c.t.Fatal(err)
	}
	return slot <= 5460
}

// isolate ends the replication, and keeps it from beginning again: what the first primary
// takes from now on the replica does not get.
func (c *redisCluster) isolate() {
	c.t.Helper()
	c.replica.do("CONFIG", "SET", "masterauth", "wrong")
	eventually(c.t, "the end of the replication", func() bool {
		c.primaries[0].do("CLIENT", "KILL", "TYPE", "replica")
		return strings.Contains(c.replica.do("INFO", "replication"), "master_link_status:down") &&
			strings.Contains(c.primaries[0].do("INFO", "replication"), "connected_slaves:0")
	})
}

// replicated reports whether the replica has all that the first primary was given.
func (c *redisCluster) replicated() bool {
	c.t.Helper()
	offset := func(r *redis, field string) string {
		_, rest, _ := strings.Cut(r.do("INFO", "replication"), field+":")
		value, _, _ := strings.Cut(rest, "\r\n")
		return value
	}
	return offset(c.primaries[0], "master_repl_offset") == offset(c.replica, "slave_repl_offset")
}

// TestFleetCluster: a cluster of three is a store like any other. When a primary fails and its
// replica takes over, lost is what the primary had taken and not passed on yet, and nothing
// else. A daemon that remembers it writes it back; another learns it as from an empty store.
func TestFleetCluster(t *testing.T) {
	c := startRedisCluster(t)
	open := func(t *testing.T, config valkey.Config) *valkey.Store {
		t.Helper()
		config.URL = c.url()
		s, err := valkey.Open(config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	t.Run("as a store", func(t *testing.T) {
		n := 0
		storetest.Run(t, storetest.Options{Open: func(t *testing.T) store.Store {
			n++
			return open(t, valkey.Config{Prefix: fmt.Sprintf("suite%d/", n), Timeout: 20 * time.Second})
		}})
	})
	kept := open(t, valkey.Config{NoCopies: true})
	l := startLab(t, stsWorlds("shard", 24), nil)
	var first, other []string // domains by where their policies are
	for i := range 24 {
		domain := fmt.Sprintf("shard-%d.test", i)
		if c.onFirst(domain) {
			first = append(first, domain)
		} else {
			other = append(other, domain)
		}
	}
	if len(first) < 4 || len(other) < 2 {
		t.Fatalf("%d and %d domains", len(first), len(other))
	}
	early, again, healed := first[0], first[1], first[2]
	var offset atomic.Int64
	start := func() *member {
		m := newMember(t, l, c.url(), "")
		m.now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
		m.start()
		return m
	}
	a, b := start(), start()
	ask := func(m *member, domain string) {
		t.Helper()
		if got := m.ask("QUERY", domain); got != secureReply(domain) {
			t.Errorf("%s: %q", domain, got)
		}
	}
	for _, domain := range append(slices.Clone(other), early) {
		ask(a, domain)
		ask(b, domain)
	}
	if n := b.fetches(); n != 0 {
		t.Errorf("the second daemon made %v fetches", n)
	}
	items := 0
	if err := kept.All(t.Context(), "sts/p/", func(store.Entry) bool { items++; return true }); err != nil || items != len(other)+1 {
		t.Errorf("%d policies are listed, want %d: %v", items, len(other)+1, err)
	}
	eventually(t, "the replica has it", c.replicated)

	c.isolate()
	for _, domain := range []string{again, healed} {
		ask(a, domain)
		eventually(t, domain+" is stored", func() bool { return storedPolicy(t, kept, domain) })
	}
	c.primaries[0].Kill()
	if got := b.ask("QUERY", early); got != secureReply(early) {
		t.Errorf("%s while the primary is dead: %q", early, got)
	}
	c.replica.do("CLUSTER", "FAILOVER", "TAKEOVER")
	eventually(t, "the replica is a primary", func() bool {
		_, _, err := kept.Get(context.Background(), "sts/p/"+early)
		return err == nil
	})
	// Before: all stored. After: what was replicated, no less; what was not is gone, no more.
	for _, domain := range append(slices.Clone(other), early) {
		if !storedPolicy(t, kept, domain) {
			t.Errorf("%s is lost, and was replicated", domain)
		}
	}
	for _, domain := range []string{again, healed} {
		if storedPolicy(t, kept, domain) {
			t.Errorf("%s is there, and was not replicated: the test shows nothing", domain)
		}
	}
	// An attacker now hides what he can.
	if err := l.Forge(strings.TrimSuffix(early, ".test"), strings.TrimSuffix(healed, ".test"), strings.TrimSuffix(other[0], ".test")); err != nil {
		t.Fatal(err)
	}
	offset.Add(int64(2 * time.Minute)) // copies are looked at again
	// The first call over a connection to the dead primary fails, so this may take a few looks.
	eventually(t, "the daemon that remembers writes it back", func() bool {
		a.reload()
		ask(a, healed)
		return a.metric("mxauth_store_healed_total", "") > 0
	})
	eventually(t, "it is written back", func() bool { return storedPolicy(t, kept, healed) })
	d := start()
	for _, domain := range []string{early, other[0], healed} {
		ask(d, domain)
	}
	if n := d.fetches(); n != 0 {
		t.Errorf("%v fetches of what is stored", n)
	}
	ask(d, again)
	if n := d.fetches(); n != 1 {
		t.Errorf("%v fetches for what was lost and is published", n)
	}
	if !storedPolicy(t, kept, again) {
		t.Error("it is not stored again")
	}
}
