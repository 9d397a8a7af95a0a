package valkey

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"

	"github.com/valkey-io/valkey-go"

	"github.com/mxauth/mxauth/internal/fault"
)

// checkQuery reports parameters of a URL that mean nothing here, or would turn off what
// protects: the client's library knows more of them.
func checkQuery(s string) (errs []error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil // reported already
	}
	for key := range u.Query() {
		if key != "addr" && key != "db" {
			errs = append(errs, fault.Errorf("store", "the URL has the parameter %.40q: only addr and db are known", key))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errs
}

// modeCluster is how a server that is part of a cluster describes itself.
const modeCluster = "cluster"

// modeOf asks a server how it runs: "standalone" or "cluster". A server that does not know
// the question is too old for a cluster of this client.
func (s *Store) modeOf(c valkey.Client) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	m, err := c.Do(ctx, c.B().Hello().Build()).ToMap()
	if _, answered := valkey.IsValkeyErr(err); answered {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	mode := m["mode"]
	return mode.ToString()
}

// primaries returns a client for each server that has keys of its own: those that a cluster
// names, or the one server that there is.
func primaries(ctx context.Context, c valkey.Client) ([]valkey.Client, error) {
	if c.Mode() != valkey.ClientModeCluster {
		return []valkey.Client{c}, nil
	}
	nodes := c.Nodes()
	var first error
	for at, node := range nodes {
		slots, err := node.Do(ctx, c.B().ClusterSlots().Build()).ToArray()
		if err != nil {
			first = cmp.Or(first, err) // another may know
			continue
		}
		addresses, err := primaryAddresses(at, slots)
		if err != nil {
			return nil, err
		}
		var out []valkey.Client
		for _, address := range addresses {
			p, ok := nodes[address]
			if !ok {
				return nil, fmt.Errorf("the cluster has a new primary at %s", address)
			}
			out = append(out, p)
		}
		return out, nil
	}
	return nil, cmp.Or(first, fmt.Errorf("no server of the cluster is known"))
}

// primaryAddresses reads the answer to CLUSTER SLOTS of the server at an address, sorted:
// each element is a first slot, a last slot, and the servers, the primary first.
func primaryAddresses(at string, slots []valkey.ValkeyMessage) (out []string, err error) {
	host, _, err := net.SplitHostPort(at)
	if err != nil {
		return nil, err
	}
	covered := int64(0)
	for _, m := range slots {
		r, err := m.ToArray()
		if err != nil || len(r) < 3 {
			return nil, fmt.Errorf("CLUSTER SLOTS: unreadable: %w", cmp.Or(err, fmt.Errorf("%d elements", len(r))))
		}
		from, err1 := r[0].AsInt64()
		to, err2 := r[1].AsInt64()
		server, err3 := r[2].ToArray()
		if err := cmp.Or(err1, err2, err3); err != nil || len(server) < 2 {
			return nil, fmt.Errorf("CLUSTER SLOTS: unreadable: %w", cmp.Or(err, fmt.Errorf("%d elements", len(server))))
		}
		name, err1 := server[0].ToString()
		port, err2 := server[1].AsInt64()
		if valkey.IsValkeyNil(err1) || err1 == nil && name == "" {
			name, err1 = host, nil // that of the server which was asked
		}
		if err := cmp.Or(err1, err2); err != nil {
			return nil, fmt.Errorf("CLUSTER SLOTS: unreadable: %w", err)
		}
		covered += to - from + 1
		out = append(out, net.JoinHostPort(name, strconv.FormatInt(port, 10)))
	}
	if covered < allSlots {
		return nil, fmt.Errorf("only %d of %d slots of the cluster have a server", covered, allSlots)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// allSlots is the number of slots of every cluster.
const allSlots = 16384
