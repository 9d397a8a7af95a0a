// Package postfixconf reads the configuration of Postfix and says what in it keeps the
// answers of mxauth serve from having their effect:
//
//	smtp_tls_security_level = may
//	smtp_tls_policy_maps = hash:/etc/postfix/tls_policy
//
// It knows which lines of main.cf a release of Postfix wants ([Lines]), and the rules that
// main.cf may break ([Check]). Both are pure functions of an [Input]: nothing is opened but
// what the caller has opened.
package postfixconf

import "slices"

// An Input is what is known of a Postfix and of mxauth serve on the same machine.
type Input struct {
	Version  Version // zero: not known; a rule that depends on it then says of which versions it speaks
	Params   Params
	Repeated []string  // names that main.cf has more than once; nil: none, or main.cf was not read
	Services []Service // that run smtp; nil: not known
	// Listen are the sockets of mxauth serve for Postfix; empty: DefaultSocket.
	Listen []Listener
	// InsecureMX is policy.insecure-mx of mxauth: "dane", "encrypt" or "may"; "": "dane".
	InsecureMX string
	// NoMinTLS says that policy.min-tls of mxauth is "off".
	NoMinTLS bool
	// CAFile is a PEM file of public certification authorities on this machine; "": DefaultCAFile.
	CAFile string
	// ReadTable returns the text of a file of entries, such as /etc/postfix/tls_policy; nil: the
	// entries are not looked at. A file that cannot be read is passed over.
	ReadTable func(path string) ([]byte, error)
}

// Where things are if nothing else is known.
const (
	DefaultSocket = "unix:/run/mxauth/postfix.sock"
	DefaultCAFile = "/etc/ssl/certs/ca-certificates.crt"
)

func (in *Input) listen() []Listener {
	if len(in.Listen) == 0 {
		return []Listener{{DefaultSocket}}
	}
	return in.Listen
}

func (in *Input) insecureMX() string {
	if in.InsecureMX == "" {
		return "dane"
	}
	return in.InsecureMX
}

func (in *Input) caFile() string {
	if in.CAFile == "" {
		return DefaultCAFile
	}
	return in.CAFile
}

func (in *Input) queue() string { return in.Params.Get("queue_directory") }

// Chrooted reports whether a service that delivers by SMTP is chrooted.
func (in *Input) Chrooted() bool {
	return slices.ContainsFunc(in.Services, func(s Service) bool { return s.Chroot })
}

// tableMap is the name of the map that the version wants.
func (in *Input) tableMap() string {
	if in.Version.AtLeast(3, 10, 0) {
		return ExtendedMap
	}
	return PlainMap
}

// OwnTable returns the name of the table that asks mxauth, for the chroot of this Postfix.
func (in *Input) OwnTable() string {
	l := in.listen()[0]
	for _, o := range in.listen() {
		// A socket below the queue directory needs no second process.
		if p, ok := o.path(); ok {
			if _, inside := below(p, in.queue()); inside {
				l = o
				break
			}
		}
	}
	p, ok := l.path()
	if !ok {
		return socketmapType + l.Address + ":" + in.tableMap()
	}
	if inside, ok := below(p, in.queue()); ok {
		return socketmapType + "unix:" + inside + ":" + in.tableMap()
	}
	if in.Chrooted() {
		return "proxy:" + socketmapType + l.Address + ":" + in.tableMap()
	}
	return socketmapType + l.Address + ":" + in.tableMap()
}

// own returns the place of the table that asks mxauth among tables; -1 if none does.
func (in *Input) own(tables []Table) int {
	return slices.IndexFunc(tables, func(t Table) bool {
		return slices.ContainsFunc(in.listen(), func(l Listener) bool { return l.is(&t, in.queue()) })
	})
}

// tablesWithOwn are the tables of main.cf with that of mxauth after all others, in place of
// those that ask another program.
func (in *Input) tablesWithOwn() string {
	out := ""
	for _, t := range in.Params.Tables() {
		if t.Type != "socketmap" {
			out += t.Text + ", "
		}
	}
	return out + in.OwnTable()
}

// Tables returns the tables of main.cf that ask mxauth; where none does, the one that main.cf
// wants.
func (in *Input) Tables() []Table {
	if list := in.ownTables(); len(list) > 0 {
		return list
	}
	return []Table{ParseTable(in.OwnTable())}
}

// Chroots returns whether services that deliver by SMTP are chrooted: one value, or two where
// they differ. A Postfix whose services are not known is not.
func (in *Input) Chroots() (list []bool) {
	for _, s := range in.Services {
		if !slices.Contains(list, s.Chroot) {
			list = append(list, s.Chroot)
		}
	}
	if list == nil {
		list = []bool{false}
	}
	return list
}
