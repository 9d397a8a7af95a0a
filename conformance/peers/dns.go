package peers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A Zone is one zone that NSD serves. Its SOA, its NS and the delegation in its parent
// are made for it.
type Zone struct {
	Apex     string // with the dot at its end; "." for the root
	Records  string // lines of a zone file, absolute names; TTL 300 if none is given
	Unsigned bool   // not signed, and no DS in the parent
	NSEC3    bool
	SignArgs []string // further arguments of ldns-signzone: dates, "-p" for opt-out
	// Spoil, if set, edits the signed zone file: what it changes is bogus.
	Spoil func(signed string) string
}

// Tree signs the zones, which must hold the root and every parent, and writes
// them to dir. It returns the DS line of the root.
func Tree(tb testing.TB, dir, server string, zones []Zone) (anchor string) {
	tb.Helper()
	ds := map[string][]string{} // by parent: DS lines and delegations
	// Children first, since the parent signs their DS.
	for _, depth := range []int{4, 3, 2, 1, 0} {
		for _, z := range zones {
			if dns.CountLabel(z.Apex) != depth {
				continue
			}
			line := z.build(tb, dir, server, ds[z.Apex])
			if z.Apex == "." {
				anchor = line
				continue
			}
			parent := parentOf(z.Apex, zones)
			ds[parent] = append(ds[parent], fmt.Sprintf("%s 300 IN NS ns.test.", z.Apex))
			if line != "" {
				ds[parent] = append(ds[parent], line)
			}
		}
	}
	if anchor == "" {
		tb.Fatal("peers: the tree has no signed root")
	}
	return anchor
}

// parentOf finds the zone that delegates apex.
func parentOf(apex string, zones []Zone) string {
	best := "."
	for _, z := range zones {
		if z.Apex != apex && dns.IsSubDomain(z.Apex, apex) && dns.CountLabel(z.Apex) > dns.CountLabel(best) {
			best = z.Apex
		}
	}
	return best
}

// build writes the zone file, signed if the zone is, and returns the zone's DS line.
func (z Zone) build(tb testing.TB, dir, server string, children []string) string {
	tb.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "$TTL 300\n%s IN SOA ns.test. hostmaster.test. 1 7200 3600 1209600 60\n%s IN NS ns.test.\n", z.Apex, z.Apex)
	if z.Apex == "test." || z.Apex == "." {
		fmt.Fprintf(&b, "ns.test. IN A %s\n", server)
	}
	b.WriteString(strings.Join(children, "\n") + "\n" + z.Records + "\n")
	plain := z.file(dir) + ".plain"
	write(tb, plain, "%s", b.String())
	if z.Unsigned {
		if err := os.Rename(plain, z.file(dir)); err != nil {
			tb.Fatal(err)
		}
		return ""
	}
	key := strings.TrimSpace(Run(tb, dir, "ldns-keygen", "-a", "ECDSAP256SHA256", "-k", z.Apex))
	args := []string{"-o", z.Apex, "-f", z.file(dir)}
	if z.NSEC3 {
		args = append(args, "-n", "-t", "0")
	}
	args = append(args, z.SignArgs...)
	Run(tb, dir, "ldns-signzone", append(args, plain, key)...)
	if z.Spoil != nil {
		signed, err := os.ReadFile(z.file(dir))
		if err != nil {
			tb.Fatal(err)
		}
		spoilt := z.Spoil(string(signed))
		if bytes.Equal(signed, []byte(spoilt)) {
			tb.Fatalf("peers: nothing to spoil in %s", z.Apex)
		}
		write(tb, z.file(dir), "%s", spoilt)
	}
	return strings.TrimSpace(Run(tb, dir, "ldns-key2ds", "-n", "-2", key+".key"))
}

// file is the path of the zone's file as NSD reads it.
func (z Zone) file(dir string) string {
	name := strings.Trim(z.Apex, ".")
	if name == "" {
		name = "root"
	}
	return filepath.Join(dir, name+".zone")
}

// StartNSD serves the zones that [Tree] wrote to dir on port 53 of a 127.x address.
func StartNSD(tb testing.TB, dir, address string, zones []Zone) *Daemon {
	tb.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "server:\n  ip-address: %s\n  port: 53\n  username: \"\"\n  chroot: \"\"\n  zonesdir: %q\n  database: \"\"\n"+
		"  pidfile: \"\"\n  xfrdfile: %q\n  zonelistfile: %q\n  xfrdir: %q\n  server-count: 1\n  hide-version: yes\n"+
		"remote-control:\n  control-enable: no\n",
		address, dir, filepath.Join(dir, "xfrd.state"), filepath.Join(dir, "zone.list"), dir)
	for _, z := range zones {
		fmt.Fprintf(&b, "zone:\n  name: %q\n  zonefile: %q\n", z.Apex, z.file(dir))
	}
	conf := filepath.Join(dir, "nsd.conf")
	write(tb, conf, "%s", b.String())
	d := Start(tb, "nsd", "-d", "-c", conf)
	d.WaitFor(tb, "answer for the root", asks(address+":53", ".", dns.TypeSOA, false))
	return d
}

// A Resolver describes an Unbound.
type Resolver struct {
	Address string // 127.x, port 53
	Root    string // address of the NSD that serves the root
	Anchor  string // DS line of the root; "": no validation (module-config "iterator")
	Extra   string // further lines of the server: clause
}

// StartUnbound starts a recursive resolver whose root is at r.Root.
func StartUnbound(tb testing.TB, dir string, r Resolver) *Daemon {
	tb.Helper()
	modules, anchor := "iterator", ""
	if r.Anchor != "" {
		file := filepath.Join(dir, "root."+r.Address+".ds")
		write(tb, file, "%s\n", r.Anchor)
		modules, anchor = "validator iterator", fmt.Sprintf("  trust-anchor-file: %q\n", file)
	}
	conf := filepath.Join(dir, "unbound."+r.Address+".conf")
	write(tb, conf, `server:
  interface: %s
  port: 53
  access-control: 127.0.0.0/8 allow
  chroot: ""
  username: ""
  pidfile: ""
  directory: %q
  use-syslog: no
  num-threads: 1
  do-ip6: no
  do-not-query-localhost: no
  module-config: %q
  local-zone: "test." nodefault
  local-zone: "127.in-addr.arpa." nodefault
  ede: yes
  verbosity: 1
%s%s
remote-control:
  control-enable: no
stub-zone:
  name: "."
  stub-addr: %s
`, r.Address, dir, modules, anchor, r.Extra, r.Root)
	d := Start(tb, "unbound", "-d", "-c", conf)
	d.WaitFor(tb, "answer for the root", asks(r.Address+":53", ".", dns.TypeDNSKEY, r.Anchor != ""))
	return d
}

// asks asks a server one question and wants data, with the AD bit if ad is set.
func asks(server, name string, qtype uint16, ad bool) func(context.Context) error {
	return func(ctx context.Context) error {
		m := new(dns.Msg)
		m.SetQuestion(name, qtype)
		m.SetEdns0(1232, true)
		ctx, cancel := context.WithTimeout(ctx, 20*pollEvery)
		defer cancel()
		in, _, err := new(dns.Client).ExchangeContext(ctx, m, server)
		switch {
		case err != nil:
			return err
		case in.Rcode != dns.RcodeSuccess || len(in.Answer) == 0:
			return fmt.Errorf("%s %s: %s with %d records", name, dns.TypeToString[qtype], dns.RcodeToString[in.Rcode], len(in.Answer))
		case ad && !in.AuthenticatedData:
			return fmt.Errorf("%s %s: AD is clear", name, dns.TypeToString[qtype])
		}
		return nil
	}
}
