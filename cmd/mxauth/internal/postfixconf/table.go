package postfixconf

import (
	"path"
	"strings"
)

// Names of socketmap maps of mxauth serve.
const (
	PlainMap    = "QUERY"
	ExtendedMap = "QUERYwithTLSRPT"
)

// socketmapType begins the name of a table that asks a program.
const socketmapType = "socketmap:"

// A Table is one table of smtp_tls_policy_maps.
type Table struct {
	Text    string // as written
	Proxy   bool   // asked through proxymap
	Type    string // "socketmap", "hash", "inline"
	Name    string // what follows the type: a path, or in braces
	Address string // of a socketmap: "unix:PATH" or "inet:HOST:PORT"
	Map     string // of a socketmap
}

// ParseTable reads the name of a table.
func ParseTable(s string) Table {
	t := Table{Text: s}
	rest := s
	if r, ok := strings.CutPrefix(rest, "proxy:"); ok {
		t.Proxy, rest = true, r
	}
	t.Type, t.Name, _ = strings.Cut(rest, ":")
	if t.Type == "socketmap" {
		if i := strings.LastIndexByte(t.Name, ':'); i > 0 {
			t.Address, t.Map = t.Name[:i], t.Name[i+1:]
		}
	}
	return t
}

// Tables returns the tables of smtp_tls_policy_maps in their order.
func (p Params) Tables() (list []Table) {
	for _, w := range words(p.Get("smtp_tls_policy_maps")) {
		list = append(list, ParseTable(w))
	}
	return list
}

// file returns the source text of a table that is kept in a file; "" if it has none.
func (t *Table) file() string {
	switch t.Type {
	case "hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash":
		return t.Name
	}
	return ""
}

// hasPatterns reports whether the table matches by patterns, so that the order of keys does
// not count.
func (t *Table) hasPatterns() bool {
	switch t.Type {
	case "regexp", "pcre":
		return true
	}
	return false
}

// A Listener is a socket at which mxauth serve answers the protocol socketmap.
type Listener struct {
	Address string // "unix:PATH" or "inet:HOST:PORT"
}

func (l Listener) path() (string, bool) { return strings.CutPrefix(l.Address, "unix:") }

// is reports whether a table asks at the listener. A relative path is one below the queue
// directory, and so is an absolute one in a chroot.
func (l Listener) is(t *Table, queue string) bool {
	if t.Type != "socketmap" {
		return false
	}
	p, unix := l.path()
	q, other := strings.CutPrefix(t.Address, "unix:")
	if !unix || !other {
		return strings.EqualFold(strings.Replace(l.Address, "localhost:", "127.0.0.1:", 1), strings.Replace(t.Address, "localhost:", "127.0.0.1:", 1))
	}
	return path.Clean(p) == path.Clean(absolute(q, queue)) || path.Clean(p) == path.Join(queue, q)
}

// absolute is where a path of main.cf leads outside a chroot.
func absolute(p, queue string) string {
	if path.IsAbs(p) {
		return path.Clean(p)
	}
	return path.Join(queue, p)
}

// below returns the path below the queue directory, and whether it is there.
func below(p, queue string) (string, bool) {
	return strings.CutPrefix(path.Clean(p), path.Clean(queue)+"/")
}

// SocketAt returns where the socket of a table is seen from a service: the path on this
// machine; "" if the table asks at no unix socket.
func (t *Table) SocketAt(queue string, chroot bool) string {
	p, ok := strings.CutPrefix(t.Address, "unix:")
	if !ok {
		return ""
	}
	if chroot && !t.Proxy {
		return path.Join(queue, p)
	}
	return absolute(p, queue)
}
