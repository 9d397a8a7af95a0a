package settings

import (
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
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
	Maps    map[string]string `toml:"maps"` // socketmap: further names of maps and what they stand for

	where string // file and line, or flag
}

// Doors are the protocols of listeners.
var Doors = []string{"socketmap", "exim", "http"}

// Maps are the maps of a socketmap listener.
var Maps = []string{"QUERY", "QUERYwithTLSRPT", "sts"}

// Network returns network and address for package net: "unix" with a path, or "tcp" with a
// loopback address. Other addresses are refused except for the door http.
func (l *Listen) Network() (network, address string, err error) {
	if path, ok := strings.CutPrefix(l.Address, "unix:"); ok && path != "" {
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
	_, _, err := l.Network()
	return l, err
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
		for _, k := range slices.Sorted(maps.Keys(t)) {
			bad := func(why string) {
				errs = append(errs, &Problem{Where: at(name, lines.nth("listen."+k, i)), Key: "listen." + k, Why: why})
			}
			var to *string
			switch k {
			case "door":
				to = &l.Door
			case "address":
				to = &l.Address
			case "mode":
				to = &l.Mode
			case "owner":
				to = &l.Owner
			case "group":
				to = &l.Group
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
				continue
			default:
				bad(unknown(k, []string{"door", "address", "mode", "owner", "group", "maps"}))
				continue
			}
			if *to, ok = t[k].(string); !ok {
				bad("want a text in quotes")
			}
		}
		s.Listen = append(s.Listen, l)
	}
	s.origins["listen"] = name
	return errs
}
