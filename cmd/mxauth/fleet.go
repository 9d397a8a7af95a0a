package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/valkey"
	"github.com/mxauth/mxauth/sts"
)

// A fleet is several daemons that share a store on a server. What follows is what a daemon
// does for that: it looks at the server when it starts, watches it, and counts the policies
// for the others.
const (
	// storeCheckTime bounds the look at the server when the daemon starts.
	storeCheckTime = 5 * time.Second
	// storeWatchEvery is how often a daemon asks whether the server is there and writes what
	// waits: as long as a server that has failed is left alone.
	storeWatchEvery = 5 * time.Second
	// countLock is the lock of the daemon that counts for all, and countKey the entry with the
	// result; another counts if it has not done so for countLife.
	countLock = "serve/count"
	countKey  = "serve/policies"
	countLife = 3 * countEvery
	// maxCountBytes bounds the entry with the result.
	maxCountBytes = 64 << 10
)

// tryStore looks at the server of a store and says whether it takes this daemon. One that
// refuses it is an error, since waiting does not help. One that cannot be reached is an error
// with check, else a line in the log: a fleet must be able to start while its server is down.
func (d *service) tryStore(ctx context.Context, check bool) error {
	v, ok := d.store.(*valkey.Store)
	if !ok {
		return nil
	}
	for _, text := range storeWarnings(d.s, d.e.configFile()) {
		if check {
			d.e.out.Notef("warning: %s", text)
		} else {
			d.log.Warn(text)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, storeCheckTime)
	defer cancel()
	err := v.Check(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, valkey.ErrRefused):
		return configError("docs/fleet.md has the settings of both sides", "the store %s: %w", withoutPassword(d.s.Store), err)
	case check:
		return configError("the daemon would still start, and defer mail to domains that it does not know", "the store %s cannot be used now: %w", withoutPassword(d.s.Store), err)
	}
	d.log.Error("the store cannot be used now; until it can, mail waits that neither DANE nor a policy fetched meanwhile decides", "err", err)
	return nil
}

// storeWarnings lists what lets others write to a store on a server, and so write the policies
// that decide where mail may go.
func storeWarnings(s *settings.Settings, config string) (list []string) {
	u, err := url.Parse(s.Store)
	if err != nil || u.Host == "" && u.Path == "" {
		return nil
	}
	where := withoutPassword(s.Store)
	switch u.Scheme {
	case "redis", "valkey":
		for _, host := range append([]string{u.Host}, u.Query()["addr"]...) {
			if !isLoopback(host) {
				list = append(list, fmt.Sprintf("the store %s is reached without TLS: anyone on the network path to %s reads the password and can write policies; use rediss://", where, host))
				break
			}
		}
	case "rediss", "valkeys", "unix":
	default:
		return nil
	}
	if s.StorePassword != "" {
		return list
	}
	password, has := u.User.Password()
	if !has || password == "" {
		return append(list, fmt.Sprintf("the URL of the store %s has no password: anyone who reaches the server can write policies; give it an ACL user, write USER@ before its name, and name a file with the password by store.password-file", where))
	}
	if st, err := os.Stat(config); err == nil && st.Mode().Perm()&0o004 != 0 && strings.HasPrefix(s.Origin("store.path"), config) {
		list = append(list, fmt.Sprintf("%s has the password of the store and can be read by every user of this machine: chmod o-r %s", config, shellWord(config)))
	}
	return list
}

// isLoopback reports whether HOST or HOST:PORT is this machine, as far as its text shows.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	ip, err := netip.ParseAddr(host)
	return host == "" || strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// shares reports whether other daemons may use the same store.
func (d *service) shares() bool { return d.front != nil && d.front.Shared() }

// watchStore asks whether the server is there, and writes what waits, until the daemon ends.
func (d *service) watchStore() {
	tick := time.NewTicker(storeWatchEvery)
	defer tick.Stop()
	for {
		select {
		case <-d.run.Done():
			return
		case <-tick.C:
		}
		if d.front.Check(d.run) == nil {
			_ = d.front.Sync(d.run) // a failure is logged and counted where it happens
		}
	}
}

// A policyCount is what one daemon has counted for all that share the store.
type policyCount struct {
	V     int        `json:"v"`
	At    time.Time  `json:"at"`
	Kept  int        `json:"kept"`
	Stale int        `json:"stale"`
	List  []sts.Item `json:"list"` // up to maxStale
}

// sharedCount returns the count of the daemon that made it last, which is this one if it is
// due: with a thousand daemons, not each has to read the whole store.
func (d *service) sharedCount(ctx context.Context) (policyCount, error) {
	lock, mine, err := d.front.Lock(ctx, countLock, countLife)
	if err != nil {
		return policyCount{}, err
	}
	if !mine {
		return d.lastCount(ctx)
	}
	c := policyCount{V: 1, At: d.e.now().UTC()}
	if c.Kept, c.Stale, c.List, err = d.scanPolicies(ctx, maxStale); err != nil {
		_ = lock.Unlock(context.WithoutCancel(ctx))
		return c, err
	}
	b, err := json.Marshal(c)
	for err == nil && len(b) > maxCountBytes {
		c.List = c.List[:len(c.List)/2]
		b, err = json.Marshal(c)
	}
	if err == nil {
		err = d.front.Put(ctx, store.Entry{Key: countKey, Value: b, Class: store.Negative, Expires: c.At.Add(countLife)})
	}
	// The next count is due a moment before the next look of this daemon.
	_, rerr := lock.Renew(ctx, countEvery-storeWatchEvery)
	return c, cmp.Or(err, rerr)
}

// errNotCounted: no daemon of the fleet has counted yet.
var errNotCounted = errors.New("not counted yet")

func (d *service) lastCount(ctx context.Context) (c policyCount, err error) {
	e, ok, err := d.front.Get(ctx, countKey)
	switch {
	case err != nil:
		return c, err
	case !ok:
		return c, errNotCounted
	}
	if err := json.Unmarshal(e.Value, &c); err != nil || c.V != 1 {
		return policyCount{}, fmt.Errorf("%w: what another daemon has counted: %w", store.ErrDamaged, err)
	}
	return c, nil
}

// scanPolicies counts the kept policies and those that could not be refreshed, and returns
// up to limit of these, the one that ends first at the front.
func (d *service) scanPolicies(ctx context.Context, limit int) (kept, stale int, list []sts.Item, err error) {
	client, done := d.use()
	defer done()
	err = client.Policies().Cache().List(ctx, func(i sts.Item) bool {
		kept++
		if i.Failures > 0 && i.Mode != sts.ModeNone {
			stale++
			if len(list) < limit {
				list = append(list, i)
			}
		}
		return ctx.Err() == nil
	})
	slices.SortFunc(list, func(a, b sts.Item) int { return a.Expires.Compare(b.Expires) })
	return kept, stale, list, err
}
