package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A Listen is one listener of the daemon.
type Listen struct {
	Door    string            `toml:"door"`    // one of Doors
	Address string            `toml:"address"` // "unix:PATH" or "inet:HOST:PORT"
	Mode    string            `toml:"mode"`    // of a unix socket, octal; "": 0660
	Owner   string            `toml:"owner"`   // of a unix socket; "": the process's
	Group   string            `toml:"group"`
	Maps    map[string]string `toml:"maps"` // socketmap: further names of maps and the map that each means

	// Of the door http.
	Certificate string   `toml:"certificate"` // PEM file with the chain of this server; "": no TLS
	Key         string   `toml:"key"`         // PEM file
	ClientCA    string   `toml:"client-ca"`   // PEM file of the authorities of clients; "": clients need no certificate
	TokenFile   string   `toml:"token-file"`  // file of bearer tokens, one a line; "": clients need none
	Names       []string `toml:"names"`       // that the Host header may have, in addition to localhost and addresses
	Check       *bool    `toml:"check"`       // offer POST /v1/check; nil: on unix sockets alone
	Page        bool     `toml:"page"`        // offer the page at /

	where string // file and line, or flag
}

// IsUnix reports whether the listener is a unix socket.
func (l *Listen) IsUnix() bool { return strings.HasPrefix(l.Address, "unix:") }

// Checks reports whether the listener offers POST /v1/check.
func (l *Listen) Checks() bool {
	if l.Check == nil {
		return l.IsUnix()
	}
	return *l.Check
}

// equal reports whether two listeners are the same, wherever they are written.
func (l Listen) equal(o Listen) bool {
	l.where, o.where = "", ""
	return reflect.DeepEqual(l, o)
}

// faults returns what is wrong with a listener alone.
func (l *Listen) faults() (errs []error) {
	fault := func(key, format string, args ...any) {
		errs = append(errs, &Problem{Where: l.where, Key: "listen." + key, Why: fmt.Sprintf(format, args...)})
	}
	if !slices.Contains(Doors, l.Door) {
		fault("door", "%.40q is not %s", l.Door, words(Doors))
	}
	network, address, err := l.Network()
	if err != nil {
		fault("address", "%v", err)
	}
	if _, err := l.FileMode(); err != nil {
		fault("mode", "%v", err)
	}
	if network == "tcp" && (l.Mode != "" || l.Owner != "" || l.Group != "") {
		fault("mode", "mode, owner and group are for unix sockets")
	}
	if len(l.Maps) > 0 && l.Door != "socketmap" {
		fault("maps", "only a socketmap listener has maps")
	}
	l.mapFaults(fault)
	l.httpFaults(network, address, fault)
	return errs
}

// mapFaults are those of the names of maps. Names are compared without regard to case.
func (l *Listen) mapFaults(fault func(key, format string, args ...any)) {
	meant := map[string]string{}
	for _, m := range Maps {
		meant[strings.ToLower(m)] = m
	}
	for _, alias := range slices.Sorted(maps.Keys(l.Maps)) {
		m, low := l.Maps[alias], strings.ToLower(alias)
		if !slices.Contains(Maps, m) {
			fault("maps", "%s = %.40q is not %s", alias, m, words(Maps))
		}
		if alias == "" || strings.Contains(alias, " ") {
			fault("maps", "%.40q is no name of a map: a request is the name, a blank and a key", alias)
		}
		if o := meant[low]; o != "" && o != m {
			fault("maps", "%s = %.40q contradicts %s, which the same name without regard to case means", alias, m, o)
		}
		meant[low] = m
	}
}

// httpFaults are those of what the door http has alone.
func (l *Listen) httpFaults(network, address string, fault func(key, format string, args ...any)) {
	if l.Door != "http" {
		for _, f := range []struct {
			key   string
			given bool
		}{{"certificate", l.Certificate != ""}, {"key", l.Key != ""}, {"client-ca", l.ClientCA != ""}, {"token-file", l.TokenFile != ""},
			{"names", len(l.Names) > 0}, {"check", l.Check != nil}, {"page", l.Page}} {
			if f.given {
				fault(f.key, "only an http listener has it")
			}
		}
		return
	}
	if (l.Certificate == "") != (l.Key == "") {
		fault("certificate", "certificate and key are given together")
	}
	if l.ClientCA != "" && l.Certificate == "" {
		fault("client-ca", "a client shows its certificate in TLS alone: give certificate and key, too")
	}
	if network == "unix" && (l.Certificate != "" || l.ClientCA != "") {
		fault("certificate", "there is no TLS on a unix socket; its mode, owner and group say who may connect")
	}
	for _, n := range l.Names {
		if n == "" || n != strings.ToLower(n) || strings.ContainsAny(n, "/@ *") {
			fault("names", "%.80q is not a name in lower case such as mxauth.example.org", n)
		}
	}
	if l.Page && l.TokenFile != "" {
		fault("page", "a browser sends no token: leave token-file out, and give client-ca where not everyone may ask")
	}
	p, err := netip.ParseAddrPort(address)
	if network != "tcp" || err != nil || p.Addr().IsLoopback() {
		return
	}
	switch {
	case l.Certificate == "":
		fault("address", "%s is not a loopback address: give certificate and key for TLS, and client-ca or token-file", p.Addr())
	case l.ClientCA == "" && l.TokenFile == "":
		fault("address", "%s is not a loopback address: give client-ca or token-file, so that not everyone may ask", p.Addr())
	}
}

// Doors are the protocols of listeners.
var Doors = []string{"socketmap", "exim", "http"}

// Maps are the maps of a socketmap listener.
var Maps = []string{"QUERY", "QUERYwithTLSRPT", "sts"}

// maxSocketPath is the longest path of a unix socket in bytes: sun_path without its NUL.
const maxSocketPath = 107

// Network returns network and address for package net: "unix" with a path, or "tcp" with a
// loopback address. Other addresses are refused except for the door http.
func (l *Listen) Network() (network, address string, err error) {
	if path, ok := strings.CutPrefix(l.Address, "unix:"); ok && path != "" {
		if len(path) > maxSocketPath {
			return "", "", fmt.Errorf("the path of a unix socket has at most %d bytes, this has %d", maxSocketPath, len(path))
		}
		return "unix", path, nil
	}
	a, ok := strings.CutPrefix(l.Address, "inet:")
	if !ok {
		return "", "", fmt.Errorf("%.80q is neither unix:PATH nor inet:HOST:PORT", l.Address)
	}
	p, err := netip.ParseAddrPort(strings.Replace(a, "localhost:", "127.0.0.1:", 1))
	if err != nil {
		return "", "", fmt.Errorf("%.80q is not inet:HOST:PORT with an address such as 127.0.0.1:8461", l.Address)
	}
	if !p.Addr().IsLoopback() && l.Door != "http" {
		return "", "", fmt.Errorf("%s is not a loopback address; anyone who reaches this door can make the daemon look up domains", p.Addr())
	}
	return "tcp", p.String(), nil
}

// FileMode returns the mode of a unix socket.
func (l *Listen) FileMode() (fs.FileMode, error) {
	if l.Mode == "" {
		return 0o660, nil
	}
	n, err := strconv.ParseUint(l.Mode, 8, 32)
	if err != nil || n > 0o777 {
		return 0, fmt.Errorf("%.20q is not an octal mode such as 0660", l.Mode)
	}
	return fs.FileMode(n), nil
}

// ParseListen reads a listener as the flag --listen has it: DOOR=unix:PATH or
// DOOR=inet:HOST:PORT.
func ParseListen(s string) (Listen, error) {
	door, addr, ok := strings.Cut(s, "=")
	if !ok {
		return Listen{}, fmt.Errorf("%.80q is not DOOR=unix:PATH or DOOR=inet:HOST:PORT", s)
	}
	l := Listen{Door: door, Address: addr, where: "--listen"}
	if !slices.Contains(Doors, door) {
		return l, fmt.Errorf("%.40q is not %s", door, words(Doors))
	}
	return l, errors.Join(l.faults()...)
}

// parseListen reads the listeners.
func (s *Settings) parseListen(name string, v any, lines lineIndex) (errs []error) {
	list, ok := v.([]map[string]any)
	if !ok {
		return []error{&Problem{Where: at(name, lines.of("listen")), Key: "listen", Why: "want [[listen]] with two brackets"}}
	}
	s.Listen = nil
	for i, t := range list {
		l := Listen{where: at(name, lines.nth("listen", i))}
		texts := map[string]*string{
			"door": &l.Door, "address": &l.Address, "mode": &l.Mode, "owner": &l.Owner, "group": &l.Group,
			"certificate": &l.Certificate, "key": &l.Key, "client-ca": &l.ClientCA, "token-file": &l.TokenFile,
		}
		for _, k := range slices.Sorted(maps.Keys(t)) {
			bad := func(why string) {
				errs = append(errs, &Problem{Where: at(name, lines.nth("listen."+k, i)), Key: "listen." + k, Why: why})
			}
			if to := texts[k]; to != nil {
				if *to, ok = t[k].(string); !ok {
					bad("want a text in quotes")
				}
				continue
			}
			switch k {
			case "names":
				list, ok := t[k].([]any)
				for _, v := range list {
					n, isText := v.(string)
					l.Names, ok = append(l.Names, n), ok && isText
				}
				if !ok {
					bad(`want ["NAME"]`)
				}
			case "check", "page":
				is, ok := t[k].(bool)
				if !ok {
					bad("want true or false")
				}
				if k == "page" {
					l.Page = is
				} else {
					l.Check = &is
				}
			case "maps":
				m, ok := t[k].(map[string]any)
				if !ok {
					bad(`want { name = "QUERY" }`)
					continue
				}
				l.Maps = map[string]string{}
				for alias, v := range m {
					if l.Maps[alias], ok = v.(string); !ok {
						bad(`want { name = "QUERY" }`)
					}
				}
			default:
				bad(unknown(k, []string{"door", "address", "mode", "owner", "group", "maps", "certificate", "key", "client-ca", "token-file", "names", "check", "page"}))
			}
		}
		s.Listen = append(s.Listen, l)
	}
	s.origins["listen"] = name
	return errs
}
