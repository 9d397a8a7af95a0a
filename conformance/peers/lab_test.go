package peers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/peers"
)

// A labRow is what is compared of a row with what a world wants.
type labRow struct {
	Domain    string `json:"domain"`
	Outcome   string `json:"outcome"`
	Method    string `json:"method"`
	Deliver   bool   `json:"deliver"`
	EveryHost bool   `json:"every_host"`
	Reason    string `json:"reason_id"`
	Hosts     []struct {
		Host        string `json:"host"`
		Outcome     string `json:"outcome"`
		Method      string `json:"method"`
		Requirement string `json:"requirement"`
		SNI         string `json:"sni"`
		Reason      string `json:"reason_id"`
	} `json:"hosts"`
}

// against is the row in the words of a world; fields that the world does not name are left
// out of the comparison by copying them.
func (r labRow) against(w lab.Want) (got, want lab.Want) {
	got = lab.Want{Outcome: r.Outcome, Method: r.Method, Deliver: r.Deliver, EveryHost: r.EveryHost, Reason: r.Reason}
	want = w
	if want.Reason == "" {
		want.Reason = got.Reason
	}
	want.Hosts = slices.Clone(w.Hosts)
	for i := range want.Hosts {
		h := &want.Hosts[i]
		var g lab.WantHost
		for _, x := range r.Hosts {
			if x.Host == h.Host {
				g = lab.WantHost{Host: x.Host, Outcome: x.Outcome, Method: x.Method, Requirement: x.Requirement, SNI: x.SNI, Reason: x.Reason}
			}
		}
		if h.Outcome == "" {
			h.Outcome, h.Method = g.Outcome, g.Method
		}
		for _, f := range []struct{ want, got *string }{{&h.Requirement, &g.Requirement}, {&h.SNI, &g.SNI}, {&h.Reason, &g.Reason}} {
			if *f.want == "" {
				*f.want = *f.got
			}
		}
		got.Hosts = append(got.Hosts, g)
	}
	return got, want
}

// TestLabFromOutside puts the lab on the real ports of loopback addresses and runs the
// built mxauth over all of its worlds as an outside program: with its own validator
// behind a resolver that does not validate, and trusting one that does.
func TestLabFromOutside(t *testing.T) {
	if os.Getenv(peers.RequireEnv) == "" {
		t.Skipf("takes real ports that tests of other packages may want; runs where %s is set", peers.RequireEnv)
	}
	peers.Require(t)
	mxauth := build(t)
	for _, mode := range []string{"validate", "trust-ad"} {
		t.Run(mode, func(t *testing.T) {
			l, err := lab.Start(t.Context(), lab.Config{Worlds: lab.Worlds(), RealPorts: true})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}()
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "root.ds"), l.TrustAnchor())
			writeFile(t, filepath.Join(dir, "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.CA().Raw})))
			flags := []string{"check", "--json", "--dnssec", mode, "--ca-file", filepath.Join(dir, "ca.pem"),
				"--allow-address", "127.0.0.0/8", "--timeout", "4s", "--concurrency", "100"}
			if mode == "validate" {
				flags = append(flags, "--resolver", l.Plain().String(), "--trust-anchor", filepath.Join(dir, "root.ds"))
			} else {
				flags = append(flags, "--resolver", l.Resolver().String())
			}
			lookAtWorlds(t, mxauth, flags, dir, l)
		})
	}
}

// worldsAtOnce is how many worlds with a request of their own are checked side by side.
const worldsAtOnce = 8

// lookAtWorlds checks every world of a lab.
func lookAtWorlds(t *testing.T, mxauth string, flags []string, dir string, l *lab.Lab) {
	worlds := l.Worlds()
	got := make([]*labRow, len(worlds))
	var ordinary []int
	var domains strings.Builder
	var g errgroup.Group
	g.SetLimit(worldsAtOnce)
	for i, w := range worlds {
		switch {
		case slices.ContainsFunc(w.Hosts, func(h lab.Host) bool { return h.V6 }):
			continue // IPv6 addresses are not served on real ports
		case w.Age > 0:
			continue // the first look would have to happen in the past
		case w.Was == nil && len(w.Args()) == 1 && w.Request.NextHop == "":
			ordinary = append(ordinary, i)
			fmt.Fprintln(&domains, w.Domain)
			continue
		}
		g.Go(func() error {
			args := slices.Concat(flags, []string{"--store", "bolt:" + filepath.Join(dir, w.Name+".db")}, w.Args())
			looks := 1
			if w.Was != nil {
				looks = 2
			}
			for look := range looks {
				if look == 1 {
					if err := l.Forge(w.Name); err != nil {
						return err
					}
				}
				rows, err := labRows(t.Context(), mxauth, "", args...)
				if err != nil || len(rows) != 1 {
					return fmt.Errorf("world %s, look %d: %d rows, %v", w.Name, look+1, len(rows), err)
				}
				got[i] = &rows[0]
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	rows, err := labRows(t.Context(), mxauth, domains.String(), append(slices.Clone(flags), "-")...)
	if err != nil || len(rows) != len(ordinary) {
		t.Fatalf("%d rows, want %d; %v", len(rows), len(ordinary), err)
	}
	for n, i := range ordinary {
		if rows[n].Domain != worlds[i].Domain {
			t.Fatalf("row %d is of %s, want %s: the order is that of the question", n, rows[n].Domain, worlds[i].Domain)
		}
		got[i] = &rows[n]
	}
	compared := 0
	for i, w := range worlds {
		if got[i] == nil {
			continue
		}
		compared++
		got, want := got[i].against(w.Want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("world %s (-want +got):\n%s", w.Name, diff)
		}
	}
	if compared < len(worlds)*9/10 {
		t.Errorf("only %d of %d worlds compared", compared, len(worlds))
	}
}

// labRows runs mxauth and reads its rows. The exit status is held by other tests; the
// rows are what counts here.
func labRows(ctx context.Context, mxauth, stdin string, args ...string) (rows []labRow, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, mxauth, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	for dec := json.NewDecoder(&stdout); dec.More(); {
		var r labRow
		if err := dec.Decode(&r); err != nil {
			return rows, fmt.Errorf("%w; standard error: %s", err, stderr.String())
		}
		rows = append(rows, r)
	}
	return rows, nil
}
