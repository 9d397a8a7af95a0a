package peers_test

import (
	"cmp"
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
	"github.com/mxauth/mxauth/conformance/peers"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
)

// labPatience bounds one lookup, policy fetch or connection in the lab, whose servers answer
// at once unless they are to hang.
const labPatience = 5 * time.Second

// A situation is a world of the lab as a mail server meets it.
type situation struct {
	lab.World
	key   string // next hop as the mail server asks for it
	group string // options of the daemon, as arguments of mxauth check
	check mxauth.Verdict
}

// besides are situations that no world of the lab has.
var besides = []lab.World{{
	Name: "mixed-methods", Domain: "mixed-methods.test", About: "DANE at one host, MTA-STS at the other",
	STS:   &lab.STS{Mode: "enforce", MX: []string{"*.mixed-methods.test"}},
	Hosts: []lab.Host{{Name: "mx1.mixed-methods.test", Pref: 10}, {Name: "mx2.mixed-methods.test", Pref: 20, TLSA: []string{"3 1 1 leaf"}}},
}, {
	Name: "mixed-dane-fails", Domain: "mixed-dane-fails.test", About: "the same, and the TLSA records do not match",
	STS:   &lab.STS{Mode: "enforce", MX: []string{"*.mixed-dane-fails.test"}},
	Hosts: []lab.Host{{Name: "mx1.mixed-dane-fails.test", Pref: 10, TLSA: []string{"3 1 1 other"}}, {Name: "mx2.mixed-dane-fails.test", Pref: 20}},
}, {
	Name: "excepted-all", Domain: "excepted-all.test", About: "TLSA records do not match, and an exception says encrypt",
	Hosts: []lab.Host{{Name: "mx.excepted-all.test", Pref: 10, TLSA: []string{"3 1 1 other"}}},
}, {
	Name: "excepted-some", Domain: "excepted-some.test", About: "the same for one of two hosts",
	Hosts: []lab.Host{{Name: "mx1.excepted-some.test", Pref: 10, TLSA: []string{"3 1 1 other"}}, {Name: "mx2.excepted-some.test", Pref: 20, TLSA: []string{"3 1 1 leaf"}}},
}, {
	Name: "excepted-sts", Domain: "excepted-sts.test", About: "a self-signed certificate under an MTA-STS policy, and an exception says may",
	Zones: []lab.Zone{{Apex: "excepted-sts.test", Sign: lab.Unsigned}},
	STS:   &lab.STS{Mode: "enforce"},
	Hosts: []lab.Host{{Name: "mx.excepted-sts.test", Pref: 10, Chain: lab.Chain{By: lab.SelfSigned}}},
}, {
	Name: "sts-barred-shares", Domain: "sts-barred-shares.test", About: "the first host is not in the MTA-STS policy, and has a certificate of the second",
	Zones: []lab.Zone{{Apex: "sts-barred-shares.test", Sign: lab.Unsigned}},
	STS:   &lab.STS{Mode: "enforce", MX: []string{"mx2.sts-barred-shares.test"}},
	Hosts: []lab.Host{
		{Name: "mx1.sts-barred-shares.test", Pref: 10, Chain: lab.Chain{Names: []string{"mx1.sts-barred-shares.test", "mx2.sts-barred-shares.test"}}},
		{Name: "mx2.sts-barred-shares.test", Pref: 20},
	},
}, {
	Name: "sts-barred", Domain: "sts-barred.test", About: "the first host is not in the MTA-STS policy",
	Zones: []lab.Zone{{Apex: "sts-barred.test", Sign: lab.Unsigned}},
	STS:   &lab.STS{Mode: "enforce", MX: []string{"mx2.sts-barred.test"}},
	Hosts: []lab.Host{{Name: "mx1.sts-barred.test", Pref: 10}, {Name: "mx2.sts-barred.test", Pref: 20}},
}, {
	Name: "mx-address-literal", Domain: "mx-address-literal.test", About: "an MX record that names an address",
	Zones: []lab.Zone{{Apex: "mx-address-literal.test", Sign: lab.Unsigned}},
	Hosts: []lab.Host{{Name: "mx.mx-address-literal.test", Pref: 10, NotMX: true}}, NoMX: true,
	Records: []string{"mx-address-literal.test. MX 10 {A mx.mx-address-literal.test}."},
}, {
	Name: "none-sts-level", Domain: "none-sts-level.test", About: "level sts: the TLSA records are not looked at",
	Hosts:   []lab.Host{{Name: "mx.none-sts-level.test", Pref: 10, TLSA: []string{"3 1 1 other"}}},
	Request: lab.Request{Request: engine.Request{Level: engine.LevelSTS}},
}, {
	Name: "alias-barred", Domain: "alias-barred.test", About: "mx-alias = refuse: the first host is an alias with TLSA records",
	Hosts: []lab.Host{
		{Name: "mx1.alias-barred.test", Alias: "real.alias-barred.test", Pref: 10, Chain: lab.Chain{Names: []string{"mx1.alias-barred.test", "real.alias-barred.test"}}, TLSA: []string{"3 1 1 leaf"}},
		{Name: "mx2.alias-barred.test", Pref: 20, TLSA: []string{"3 1 1 leaf"}},
	},
	Request: lab.Request{Request: engine.Request{Options: engine.Options{RefuseMXAlias: true}}},
}}

// exceptions are those in force in every daemon and every check.
var exceptions = []exception.Exception{
	{ID: "all", Domain: "*", MXHost: "mx.excepted-all.test", Effect: exception.EffectEncrypt},
	{ID: "some", Domain: "*", MXHost: "mx1.excepted-some.test", Effect: exception.EffectEncrypt},
	{ID: "sts", Domain: "*", MXHost: "mx.excepted-sts.test", Effect: exception.EffectMay},
}

// leftOut says why a world is no situation of a mail server; "" if it is one.
func leftOut(w lab.World) string {
	r := w.Request
	switch {
	case r.RequireTLS, r.TLSRequiredNo, r.NullReturnPath, r.TLSRPTReport:
		return "it is about one message, of which the table is told nothing"
	case r.Memory != "":
		return "it is about what was seen an hour ago"
	case w.Age > 0:
		return "it needs a clock that is set back"
	case len(r.OwnHosts) > 0:
		return "it is about the mail server's own names, which Postfix compares by itself"
	case w.Once != nil:
		return "a mail server connects once, and sees one of the two certificates that decide"
	}
	for _, h := range w.Hosts {
		switch {
		case h.NoV4:
			return "the lab has no IPv6"
		case h.Chain.Odd != "", slices.Contains([]lab.SMTPState{lab.DHEOnly, lab.CBC384Only, lab.CamelliaOnly, lab.X448Only}, h.SMTP.State):
			return "the lab's server ends in the middle of the handshake"
		case slices.Contains([]lab.SMTPState{lab.ConnTimeout}, h.SMTP.State):
			return "with real ports nothing can swallow packets"
		}
	}
	return ""
}

// A mailWorld is the lab with real ports, the daemons and what the engine says of every
// situation.
type mailWorld struct {
	lab        *lab.Lab
	situations []*situation
	groups     []string          // of options; the first has none
	tables     map[string]string // by group: address of the daemon's door for Postfix
	daemons    map[string]*mxauthDaemon
	ca         []byte
	dir        string
	binary     string
	other      string                   // address of postfix-mta-sts-resolver
	postfix    map[string]*peers.Sender // by variant.sender
}

// allSituations are the lab's worlds as mail servers can meet them, and those beside.
func allSituations() (worlds []lab.World) {
	for _, w := range slices.Concat(lab.Worlds(), besides) {
		if leftOut(w) == "" {
			worlds = append(worlds, w)
		}
	}
	return worlds
}

// startMail starts lab and daemons, and brings the worlds into the state in which mail is
// sent: a resolver that asked before knows what they were. Further programs that may look before are
// given to before.
func startMail(t *testing.T, worlds []lab.World, before func(w *mailWorld)) *mailWorld {
	t.Helper()
	l := labtest.Start(t, lab.Config{Worlds: worlds, RealPorts: true})
	w := &mailWorld{lab: l, tables: map[string]string{}, daemons: map[string]*mxauthDaemon{}, postfix: map[string]*peers.Sender{}, dir: peers.Dir(t), binary: build(t),
		ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.CA().Raw})}
	writeFile(t, filepath.Join(w.dir, "ca.pem"), string(w.ca))
	writeFile(t, filepath.Join(w.dir, "root.ds"), l.TrustAnchor())
	for _, spec := range l.Worlds() {
		args := spec.Args()
		s := &situation{World: spec, key: cmp.Or(spec.Request.NextHop, spec.Domain), group: strings.Join(args[:len(args)-1], " ")}
		if spec.Request.Smarthost {
			s.group = ""
		}
		w.situations = append(w.situations, s)
		if !slices.Contains(w.groups, s.group) {
			w.groups = append(w.groups, s.group)
		}
	}
	slices.Sort(w.groups)
	for _, g := range w.groups {
		w.daemons[g] = w.startDaemon(t, w.request(g))
		w.tables[g] = w.daemons[g].table
	}
	for _, s := range w.situations {
		if s.Was != nil {
			w.daemons[s.group].ask(t, "QUERY", s.key)
		}
	}
	if before != nil {
		before(w)
	}
	w.checkAll(t)
	for _, d := range w.daemons {
		d.reload(t)
	}
	return w
}

// request is the request that a group's options make.
func (w *mailWorld) request(group string) engine.Request {
	i := slices.IndexFunc(w.situations, func(s *situation) bool { return s.group == group })
	r := w.situations[i].Request.Request
	return engine.Request{Level: r.Level, Options: r.Options}
}

// checkAll asks the engine about every situation, after what it was before.
func (w *mailWorld) checkAll(t *testing.T) {
	t.Helper()
	anchors, err := anchor.Parse(strings.NewReader(w.lab.TrustAnchor()))
	if err != nil {
		t.Fatal(err)
	}
	srv, err := upstream.PlainServer(w.lab.Plain())
	if err != nil {
		t.Fatal(err)
	}
	list := slices.Clone(exceptions)
	for i := range list {
		list[i].Reason, list[i].Author, list[i].Ends = "test", "test", time.Now().Add(time.Hour)
	}
	set, err := exception.NewSet(list)
	if err != nil {
		t.Fatal(err)
	}
	open := func(s *situation) *mxauth.Client {
		kept, err := store.NewMemory(store.MemoryConfig{})
		if err != nil {
			t.Fatal(err)
		}
		k, err := mxauth.New(mxauth.Config{Servers: []upstream.Server{srv}, Anchors: anchors, Roots: pkix.NewRoots(w.lab.CA()), Store: kept,
			AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, HELO: "check.invalid", Timeout: labPatience, CheckTimeout: 4 * labPatience,
			Dial: w.lab.Dial, Exceptions: func() *exception.Set { return set }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = k.Close(); kept.Close() })
		return k
	}
	check := func(k *mxauth.Client, s *situation) error {
		key, err := mtapolicy.ParseKey(s.key)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		r := engine.Request{NextHop: key.NextHop, Port: key.Port, Level: s.Request.Level, Options: s.Request.Options, Sorted: true}
		if s.check, err = k.CheckRequest(t.Context(), r); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		return nil
	}
	all := func(clients map[*situation]*mxauth.Client, of func(*situation) bool) {
		var g errgroup.Group
		g.SetLimit(48)
		for _, s := range w.situations {
			if of(s) {
				k := clients[s]
				if k == nil {
					k = clients[nil]
				}
				g.Go(func() error { return check(k, s) })
			}
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	clients := map[*situation]*mxauth.Client{nil: open(nil)}
	var changed []string
	for _, s := range w.situations {
		if s.Was != nil {
			clients[s] = open(s)
			changed = append(changed, s.Name)
		}
	}
	all(clients, func(s *situation) bool { return s.Was != nil })
	if err := w.lab.Forge(changed...); err != nil {
		t.Fatal(err)
	}
	all(clients, func(*situation) bool { return true })
}

// hostOf is the decision for the host that took a message, at the address that took it; nil
// if the plan has no such host.
func (s *situation) hostOf(d peers.Delivery) (*engine.Host, *engine.Decision) {
	p := s.check.Plan
	for i := range p.Hosts {
		h, r := &p.Hosts[i], &s.check.Hosts[i]
		if h.Literal != d.Addr && (!h.Name.IsValid() || !sameHost(h.Name, d.Host)) {
			continue
		}
		for k := range r.Addresses {
			if r.Addresses[k].Address == d.Addr {
				return h, &r.Addresses[k].Decision
			}
		}
		return h, &r.Decision
	}
	return nil, nil
}

// sameHost compares a host of a plan with the name in a log.
func sameHost(h rfc6125.Host, name string) bool {
	p, err := rfc6125.ParseHost(strings.TrimSuffix(name, "."))
	return err == nil && p == h
}

// A mxauthDaemon is a running mxauth serve.
type mxauthDaemon struct {
	*peers.Daemon
	table, control string // addresses of its doors
	config         string
	metrics        string // address
	binary         string
}

// startDaemon starts mxauth serve as a program, with a door for Postfix on TCP.
func (w *mailWorld) startDaemon(t *testing.T, r engine.Request) *mxauthDaemon {
	t.Helper()
	d := &mxauthDaemon{table: "127.0.0.1:" + freePort(t), metrics: "127.0.0.1:" + freePort(t), binary: w.binary}
	dir := peers.Dir(t)
	d.control, d.config = filepath.Join(dir, "c"), filepath.Join(dir, "mxauth.toml")
	var x strings.Builder
	for _, e := range exceptions {
		fmt.Fprintf(&x, "[[exception]]\nid = %q\ndomain = %q\nmx = %q\neffect = %q\nreason = \"test\"\nauthor = \"test\"\nends = %s\n",
			e.ID, e.Domain, e.MXHost, e.Effect, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}
	writeFile(t, filepath.Join(dir, "exceptions.toml"), x.String())
	var b strings.Builder
	fmt.Fprintf(&b, "[resolver]\nservers = [%q]\ntrust-anchor = %q\ntimeout = %q\n", w.lab.Plain().String(), filepath.Join(w.dir, "root.ds"), labPatience)
	fmt.Fprintf(&b, "[trust]\nca-file = %q\nallow-address = [\"127.0.0.0/8\"]\n", filepath.Join(w.dir, "ca.pem"))
	fmt.Fprintf(&b, "[exceptions]\nfile = %q\n", filepath.Join(dir, "exceptions.toml"))
	b.WriteString("[policy]\n" + policyLines(r))
	fmt.Fprintf(&b, "[log]\nlevel = \"error\"\n[serve]\nallow-deviation = true\ncontrol = %q\nmetrics = \"inet:%s\"\n[[listen]]\ndoor = \"socketmap\"\naddress = \"inet:%s\"\n", d.control, d.metrics, d.table)
	writeFile(t, d.config, b.String())
	d.start(t)
	return d
}

// policyLines are the settings of a request.
func policyLines(r engine.Request) string {
	var b strings.Builder
	o := r.Options
	alias := "follow"
	if o.RefuseMXAlias {
		alias = "refuse"
	}
	names := []string{}
	for _, n := range o.Names {
		names = append(names, fmt.Sprintf("%q", n))
	}
	fmt.Fprintf(&b, "level = %q\ninsecure-mx = %q\ndane-and-sts = %q\nsts-undetermined = %q\nmx-alias = %q\nnames = [%s]\nno-cn-id = %t\nno-clear-fallback = %t\nno-address-defer = %t\nlower-all = %t\naudit = %t\n",
		r.Level, o.InsecureMX, o.DANEAndSTS, o.STSUndetermined, alias, strings.Join(names, ", "), o.NoCNID, o.NoClearFallback, o.NoAddressDefer, o.LowerAll, o.Audit)
	return b.String()
}

// start starts the daemon, for the first time or once more.
func (d *mxauthDaemon) start(t *testing.T) {
	t.Helper()
	d.Daemon = peers.Start(t, d.binary, "serve", "--config", d.config)
	d.WaitFor(t, "an answer", func(ctx context.Context) error {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", d.table)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// reload lets the daemon forget its kept answers, as a hangup signal does.
func (d *mxauthDaemon) reload(t *testing.T) {
	t.Helper()
	if err := d.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// ask asks the daemon as Postfix does and returns the answer.
func (d *mxauthDaemon) ask(t *testing.T, table, key string) string {
	t.Helper()
	answer, err := socketmap(d.table, table, key)
	if err != nil {
		t.Fatalf("%s %s: %v", table, key, err)
	}
	return answer
}

// socketmap asks a daemon that speaks the protocol of Postfix's socketmap tables.
func socketmap(address, table, key string) (string, error) {
	c, err := net.DialTimeout("tcp", address, labPatience)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * labPatience)); err != nil {
		return "", err
	}
	q := table + " " + key
	if _, err := fmt.Fprintf(c, "%d:%s,", len(q), q); err != nil {
		return "", err
	}
	var n int
	if _, err := fmt.Fscanf(c, "%d:", &n); err != nil {
		return "", err
	}
	b := make([]byte, n+1)
	for at := 0; at < len(b); {
		k, err := c.Read(b[at:])
		if err != nil {
			return "", err
		}
		at += k
	}
	return string(b[:n]), nil
}
