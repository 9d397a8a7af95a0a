package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/postfixconf"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/socketmap"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/upstream"
)

// Ids of what doctor tries.
const (
	liveResolver = "resolver-dnssec"
	liveChroot   = "resolver-chroot"
	liveSocket   = "socket-answer"
	liveAccess   = "socket-access"
)

// Bounds of one try.
const (
	tryResolver = 10 * time.Second
	trySocket   = 5 * time.Second
)

const resolvConf = "/etc/resolv.conf"

// tryResolvers asks each resolver that Postfix uses for something that is signed. In a chroot
// the C library reads the resolv.conf of the chroot.
func (e *env) tryResolvers(ctx context.Context, in *postfixconf.Input) (list []postfixconf.Finding, err error) {
	set, err := e.flags.parse()
	if err != nil {
		return nil, err
	}
	servers, name := set.servers, "--resolver"
	if len(servers) == 0 {
		if servers, _, err = upstream.System(resolvConf); err != nil {
			return nil, configError("", "%w", err)
		}
		name = resolvConf
	}
	everywhere := slices.ContainsFunc(in.Services, func(s postfixconf.Service) bool { return !s.Chroot }) || len(in.Services) == 0
	if everywhere || len(set.servers) > 0 {
		list = e.tryServers(ctx, liveResolver, name, servers)
	}
	if !in.Chrooted() {
		return list, nil
	}
	name = chrootFile(in, resolvConf)
	servers, system, err := upstream.System(name)
	switch {
	case err != nil:
		return nil, configError("", "%w", err)
	case system.Missing:
		return append(list, postfixconf.Finding{ID: liveChroot, Where: postfixconf.InShell,
			Why: fmt.Sprintf("smtp is chrooted and there is no %s: it asks a resolver at 127.0.0.1, whatever %s says", name, resolvConf),
			Fix: "mkdir -p " + shellWord(filepath.Dir(name)) + " && cp " + resolvConf + " " + shellWord(name)}), nil
	}
	return append(list, e.tryServers(ctx, liveChroot, name, servers)...), nil
}

// tryServers asks the servers of a file, each by itself: Postfix asks the first that answers.
func (e *env) tryServers(ctx context.Context, id, name string, servers []upstream.Server) (list []postfixconf.Finding) {
	for _, s := range servers {
		if err := e.tryServer(ctx, s); err != nil {
			why := fmt.Sprintf("the resolver %s of %s does not answer", s, name)
			if errors.Is(err, dnssec.ErrNotValidating) {
				why = fmt.Sprintf("the resolver %s of %s does not validate: it sets no AD for the signed root", s, name)
			}
			list = append(list, postfixconf.Finding{ID: id, Where: postfixconf.InShell,
				Why: why + ". No domain looks signed to Postfix then: mail to every domain that mxauth answers \"dane-only\" waits. Run a resolver that validates on this machine, such as Unbound, and name it alone in " + name,
				Fix: "mxauth resolver --dnssec trust-ad " + s.String()})
		}
	}
	return list
}

func (e *env) tryServer(ctx context.Context, s upstream.Server) error {
	ctx, cancel := context.WithTimeout(ctx, tryResolver)
	defer cancel()
	pool, err := e.certPool()
	if err != nil {
		return err
	}
	up, err := upstream.New(upstream.Config{Servers: []upstream.Server{s}, Timeout: e.flags.timeout, RootCAs: pool, Logger: e.logger()})
	if err != nil {
		return err
	}
	defer up.Close()
	return dnssec.StubConfig{Upstream: up}.CheckValidating(ctx)
}

// trySockets asks mxauth a question that it answers without a lookup, where each table of
// main.cf leads; where none asks mxauth, at the sockets of its configuration.
func (e *env) trySockets(ctx context.Context, in *postfixconf.Input) (list []postfixconf.Finding) {
	seen := map[string]bool{}
	for _, t := range in.Tables() {
		for _, chroot := range in.Chroots() {
			address := t.Address
			if p := t.SocketAt(in.Params.Get("queue_directory"), chroot); p != "" {
				address = "unix:" + p
			}
			if seen[address] {
				continue
			}
			seen[address] = true
			list = append(list, e.tryTable(ctx, in, &t, address)...)
		}
	}
	return list
}

// nowhere is a key that is answered at once: a parent domain has no entry.
const nowhere = ".mxauth.invalid"

func (e *env) tryTable(ctx context.Context, in *postfixconf.Input, t *postfixconf.Table, address string) []postfixconf.Finding {
	network, where, ok := strings.Cut(address, ":")
	if !ok {
		return nil
	}
	if network == "inet" {
		network = "tcp"
	}
	c := socketmap.Client{Network: network, Address: where, Time: trySocket}
	defer c.Close()
	reply, err := c.Ask(ctx, t.Map, nowhere)
	finding := postfixconf.Finding{ID: liveSocket, Where: postfixconf.InShell, Fix: "systemctl start mxauth"}
	var op *net.OpError
	switch {
	case errors.As(err, &op) && errors.Is(err, fs.ErrNotExist):
		finding.Why = fmt.Sprintf("mxauth does not answer at %s: there is no such socket. While %s is in main.cf, all mail waits", where, t.Text)
	case errors.Is(err, syscall.ECONNREFUSED):
		finding.Why = fmt.Sprintf("mxauth does not answer at %s: no program listens there. While %s is in main.cf, all mail waits", where, t.Text)
	case err != nil:
		finding.Why = fmt.Sprintf("mxauth does not answer at %s, where %s leads: %s", where, t.Text, errorText(err))
	case reply.Status != socketmap.NotFound:
		finding.Why = fmt.Sprintf("%s leads to %s, and the program that answers there is not mxauth: %s%s", t.Text, where, reply.Status, reply.Text)
		finding.Fix = "mxauth config postfix"
	case network == "unix":
		return e.tryAccess(in, where)
	default:
		return nil
	}
	return []postfixconf.Finding{finding}
}

// tryAccess says whether Postfix's user, with its first group alone, may connect to a socket.
func (e *env) tryAccess(in *postfixconf.Input, path string) []postfixconf.Finding {
	name := in.Params.Get("mail_owner")
	if name == "" {
		name = "postfix"
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil // a Postfix without its user does not run
	}
	const writeBit, searchBit = 2, 1
	for p, bit := path, uint32(writeBit); ; p, bit = filepath.Dir(p), searchBit {
		st, err := os.Stat(p)
		if err != nil {
			return nil
		}
		sys, ok := st.Sys().(*syscall.Stat_t)
		if !ok {
			return nil
		}
		shift := 0
		switch {
		case strconv.FormatUint(uint64(sys.Uid), 10) == u.Uid:
			shift = 6
		case strconv.FormatUint(uint64(sys.Gid), 10) == u.Gid:
			shift = 3
		}
		if uint32(st.Mode().Perm())>>shift&bit == 0 {
			f := postfixconf.Finding{ID: liveAccess, Where: postfixconf.InTOML, Fix: "[[listen]]\ndoor = \"socketmap\"\naddress = \"unix:" + path + "\"\ngroup = \"" + name + "\"",
				Why: fmt.Sprintf("the user %s may not connect to %s (mode %04o): all mail waits", name, path, st.Mode().Perm())}
			if bit == searchBit {
				f.Why = fmt.Sprintf("the user %s may not enter the folder %s (mode %04o) of the socket: all mail waits", name, p, st.Mode().Perm())
				f.Fix, f.Where = "chmod o+x "+shellWord(p), postfixconf.InShell
			}
			return []postfixconf.Finding{f}
		}
		if p == "/" || p == "." {
			return nil
		}
	}
}
