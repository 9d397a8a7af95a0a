package peers_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
	"github.com/mxauth/mxauth/conformance/peers"
)

// The releases of Debian whose Exim is tried.
var eximReleases = []string{"bookworm", "trixie"}

// block finds the blocks of code of a page: language and text.
var block = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// blocks returns the blocks of a language in docs/exim.md, in their order.
func blocks(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/exim.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range block.FindAllStringSubmatch(string(page), -1) {
		if m[1] == language {
			out = append(out, m[2])
		}
	}
	if len(out) == 0 {
		t.Fatalf("docs/exim.md has no block of %s", language)
	}
	return strings.Join(out, "\n")
}

// eximMain is what every Exim has before the lines of docs/exim.md, and eximRetry after them.
const (
	eximMain = `primary_hostname = out.sender.example
domainlist local_domains = out.sender.example
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
keep_environment =
tls_advertise_hosts =
`
	eximRetry = `
begin retry
* * F,4d,15m
`
)

// onLoopback adds what lets Exim deliver to addresses of this machine.
func onLoopback(t *testing.T, config string) string {
	t.Helper()
	for _, x := range [][2]string{{"driver = dnslookup\n", "  self = send\n"}, {"driver = smtp\n", "  allow_localhost\n"}} {
		if strings.Count(config, x[0]) != 1 {
			t.Fatalf("%d times %q", strings.Count(config, x[0]), x[0])
		}
		config = strings.Replace(config, x[0], x[0]+x[1], 1)
	}
	return config
}

// An eximSite is an Exim with an mxauth serve, both in one folder and with the lines of
// docs/exim.md as they are printed.
type eximSite struct {
	*peers.Exim
	t      *testing.T
	lab    *lab.Lab
	daemon *peers.Daemon
	// metrics is where the daemon serves them: "127.0.0.1:9461".
	metrics string
}

const eximSocket = "/run/mxauth/exim.sock"

func newEximSite(t *testing.T, l *lab.Lab, release, mxauth string) *eximSite {
	t.Helper()
	s := &eximSite{Exim: peers.NewExim(t, release), t: t, lab: l, metrics: "127.0.0.1:" + freePort(t)}
	s.Resolver(t, l.Resolver().Addr().String())
	program, err := os.ReadFile(mxauth)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Root.Dir, "usr/bin/mxauth"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	s.Write(t, "/etc/ssl/certs/ca-certificates.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.CA().Raw})))
	s.Write(t, "/etc/mxauth/root.ds", l.TrustAnchor())
	s.Write(t, "/etc/mxauth/mxauth.toml", fmt.Sprintf(`
[resolver]
servers = [%q]
trust-anchor = "/etc/mxauth/root.ds"
[trust]
ca-file = "/etc/ssl/certs/ca-certificates.crt"
allow-address = ["127.0.0.0/8"]
[serve]
control = "/run/mxauth/control.sock"
metrics = "inet:%s"
`, l.Plain(), s.metrics)+blocks(t, "toml"))
	if err := os.MkdirAll(s.Root.Dir+"/run/mxauth", 0o755); err != nil {
		t.Fatal(err)
	}
	version := s.Configure(t, onLoopback(t, eximMain+blocks(t, "exim")+eximRetry))
	t.Logf("Debian %s has Exim %s (%s)", release, version, s.Root.Versions["exim4-daemon-light"])
	return s
}

// Resolver makes Exim ask the resolver at an address, with the lines of docs/exim.md.
func (s *eximSite) Resolver(t *testing.T, address string) {
	t.Helper()
	const local = "nameserver 127.0.0.1\n"
	text := blocks(t, "resolv")
	if !strings.Contains(text, local) {
		t.Fatalf("docs/exim.md has no %q", local)
	}
	s.Write(t, "/etc/resolv.conf", strings.Replace(text, local, "nameserver "+address+"\n", 1))
}

// serve starts mxauth serve and waits for its socket.
func (s *eximSite) serve() {
	s.t.Helper()
	s.daemon = peers.Start(s.t, "chroot", s.Root.Dir, "/usr/bin/mxauth", "serve", "--config", "/etc/mxauth/mxauth.toml")
	s.daemon.WaitFor(s.t, "socket", func(ctx context.Context) error {
		c, err := new(net.Dialer).DialContext(ctx, "unix", s.Root.Dir+eximSocket)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// check says what mxauth check says of a domain.
func (s *eximSite) check(domain string) want {
	rows, _, stderr := run(s.t, "chroot", s.Root.Dir, "/usr/bin/mxauth", "check", "--json", "--config", "/etc/mxauth/mxauth.toml", domain)
	if len(rows) != 1 {
		s.t.Fatalf("%s: %d rows; %s", domain, len(rows), stderr)
	}
	return rows[0]
}

// eximWorlds are the situations of the lab that Exim is given a message for.
var eximWorlds = strings.Fields(`
	dane-ee dane-ta stripped-dane tlsa-servfail tlsa-mismatch one-of-two implicit-mx ee-expired ta-name-wrong ta-expired dane-454 dane-tls10
	agility-weak ta-client ta-name-domain ta-ca-in-dns unusable-pkix-ee unusable-short
	sts-enforce sts-testing stripped-sts sts-no-match sts-one-matches implicit-mx-sts mx-self mx-name mx-name-cn mx-client enforce-454 enforce-tls10
	both-sts-no-match unusable-enforce unusable-enforce-fails unusable-no-match half-dane half-dane-stripped half-dane-mismatch half-dane-enforce-mismatch
	alias-secure alias-secure-original alias-sts alias-under-enforce-one-name mx-alias-secure mx-alias-insecure
	null-mx no-such-domain mx-servfail idn mx-order classic-mismatch stripped-nothing may-alert may-tls10 encrypt-tls10`)

// eximsOwn are worlds for Exim alone, some of them once for each release.
func eximsOwn() []lab.World {
	self := lab.Chain{By: lab.SelfSigned, Names: []string{"localhost.invalid"}}
	unsigned := func(apexes ...string) (out []lab.Zone) {
		for _, a := range apexes {
			out = append(out, lab.Zone{Apex: a, Sign: lab.Unsigned})
		}
		return out
	}
	worlds := []lab.World{{
		Name: "alias-sni", Domain: "alias-sni.test", Zones: unsigned("alias-sni.test", "hosted-sni.test"),
		Hosts: []lab.Host{{Name: "mx.alias-sni.test", Pref: 10, Alias: "mx.hosted-sni.test", Chain: lab.Chain{Names: []string{"mx.hosted-sni.test"}},
			BySNI: map[string]lab.Chain{"mx.alias-sni.test": {}}}},
		STS: &lab.STS{Mode: "enforce"},
	}, {
		Name: "shared-open", Domain: "shared-open.test", Zones: unsigned("shared-open.test"),
		Hosts: []lab.Host{{Name: "mx.shared-open.test", Pref: 10, Chain: self}},
	}, {
		Name: "shared-sts", Domain: "shared-sts.test", Zones: unsigned("shared-sts.test"), NoMX: true,
		Records: []string{"shared-sts.test. MX 10 mx.shared-open.test."}, STS: &lab.STS{Mode: "enforce", MX: []string{"mx.shared-open.test"}},
	}, {
		// An attacker who forges the alias has a good certificate for where it leads.
		Name: "forged-alias", Domain: "forged-alias.test", Zones: unsigned("forged-alias.test", "attacker.test"),
		Hosts: []lab.Host{{Name: "mx.forged-alias.test", Pref: 10, Alias: "mx.attacker.test", Chain: lab.Chain{Names: []string{"mx.attacker.test"}}}},
		STS:   &lab.STS{Mode: "enforce"},
	}}
	for _, release := range eximReleases {
		domain := "tlsa-gone-" + release + ".test"
		host := lab.Host{Name: "mx." + domain, Pref: 10}
		was := host
		was.TLSA = []string{"3 1 1 leaf"}
		worlds = append(worlds, lab.World{Name: "tlsa-gone-" + release, Domain: domain, Hosts: []lab.Host{host}, Was: &lab.World{Hosts: []lab.Host{was}}})
	}
	return worlds
}

// TestExim gives real Exims, set up as docs/exim.md prints it, messages for the servers of
// the lab. What becomes of each is what the plan says, or a deviation that the page names.
func TestExim(t *testing.T) {
	peers.Require(t, "apt-get", "dpkg-deb", "chroot")
	l := labtest.Start(t, lab.Config{Worlds: append(labtest.Worlds(t, eximWorlds...), eximsOwn()...), RealPorts: true})
	mxauth := build(t)
	for _, release := range eximReleases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			s := newEximSite(t, l, release, mxauth)
			s.serve()
			t.Run("situations", s.situations)
			t.Run("route", s.routed)
			t.Run("a forged alias", s.forgedAlias)
			t.Run("another domain's connection", s.reuse)
			t.Run("TLSA records removed after the answer", s.tlsaGone)
			t.Run("a resolver without DNSSEC", s.noDNSSEC)
			t.Run("time", s.time)
			t.Run("no daemon", s.noDaemon)
		})
	}
}

// situations sends a message into each world, and holds what became of it against what
// mxauth check says.
func (s *eximSite) situations(t *testing.T) {
	documented := deviationsOf(t)
	worlds := s.lab.Worlds()[:len(eximWorlds)+1] // and the first of eximsOwn
	fates := make([]peers.DeliveryResult, len(worlds))
	var g errgroup.Group
	g.SetLimit(4)
	for i, w := range worlds {
		g.Go(func() error {
			fates[i] = s.Send(t, w.Name+"@sender.example", "rcpt@"+w.Domain)
			return nil
		})
	}
	_ = g.Wait()
	met := map[string]bool{}
	for i, w := range worlds {
		row, fate := s.check(w.Domain), fates[i]
		t.Logf("%-28s %-14s %-9s Exim: %s", w.Name, row.Outcome, row.Method, fate)
		how := compare(row, fate)
		if fate.Delivered && row.Via != "" && fate.Host != row.Via && !aliasOf(w, row.Via, fate.Host) {
			t.Errorf("%s: delivered to %s in place of %s", w.Name, fate.Host, row.Via)
		}
		if how == eximSame {
			continue
		}
		ids := s.deviations(w, how == eximWeaker)
		if !slices.ContainsFunc(ids, func(id string) bool { return documented[id] == how }) {
			t.Errorf("%s: %s, of the deviations %v none is in docs/exim.md as that; mxauth check: %+v\n%s", w.Name, how, ids, row, fate.Log)
		}
		for _, id := range ids {
			met[id] = true
		}
	}
	// An unexpected agreement is a change of Exim, and of the page.
	for id := range documented {
		if !met[id] && !slices.Contains(eximUntried, id) {
			t.Errorf("deviation %s of docs/exim.md was not met", id)
		}
	}
}

// eximUntried are deviations that no situation shows: they need settings of their own, and a
// test of package mtapolicy has them.
var eximUntried = []string{"sts-unchecked", "exim-names", "exim-no-exception"}

// How what Exim did compares with the plan.
const (
	eximSame     = "same"
	eximWeaker   = "weaker"
	eximStricter = "stricter"
)

// compare says how the fate of a message compares with the row of mxauth check. Refused
// and deferred are one: the message waits.
func compare(row want, f peers.DeliveryResult) string {
	waits := row.Outcome == "refused" || row.Outcome == "deferred"
	switch {
	case f.Bounced:
		if row.Outcome == "bounced" {
			return eximSame
		}
		return "bounced"
	case f.Deferred && waits:
		return eximSame
	case f.Deferred && row.Outcome != "bounced":
		return eximStricter
	case !f.Delivered || row.Outcome == "bounced":
		return "lost"
	case waits,
		row.Outcome == "encrypted" && f.TLS == "",
		row.Outcome == "authenticated" && strings.HasPrefix(row.Method, "dane") && f.Verified != "dane",
		row.Outcome == "authenticated" && row.Method == "mta-sts" && f.Verified != "yes":
		return eximWeaker
	}
	return eximSame
}

// aliasOf reports whether a host of a world is an alias that leads to a name.
func aliasOf(w lab.World, host, name string) bool {
	for _, h := range w.Hosts {
		if h.Name == host && h.Alias == name {
			return true
		}
	}
	return false
}

// deviations asks the daemon for those that it told Exim for the hosts of a world.
func (s *eximSite) deviations(w lab.World, weaker bool) (ids []string) {
	for _, h := range w.Hosts {
		out := peers.Run(s.t, "/", "chroot", s.Root.Dir, "/usr/bin/mxauth", "ask", "--config", "/etc/mxauth/mxauth.toml",
			"--json", "--map", "exim", "--host", h.Name, w.Domain)
		var row struct {
			Deviations []struct {
				ID     string
				Weaker bool
			}
		}
		if err := json.Unmarshal([]byte(out), &row); err != nil {
			s.t.Fatalf("%s: %v", out, err)
		}
		for _, d := range row.Deviations {
			if d.Weaker == weaker {
				ids = append(ids, d.ID)
			}
		}
	}
	return ids
}

// deviationsOf reads the table of docs/exim.md: "weaker" or "stricter" by id.
func deviationsOf(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/exim.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| (weaker|stricter) \\|").FindAllStringSubmatch(string(page), -1) {
		out[m[1]] = m[2]
	}
	if len(out) < 5 {
		t.Fatalf("docs/exim.md has only %d deviations", len(out))
	}
	return out
}
