package generate

import (
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/dnsfake"
)

// ServerAddress is where ns.t0., the server of all zones, is said to be.
const ServerAddress = "127.0.55.1"

// Serve answers over UDP and TCP at an address and port, until stop is called. at is where
// it listens if the port is 0.
func (w *World) Serve(address string) (at string, stop func() error, err error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return "", nil, err
	}
	to, stop, err = dnsfake.Serve(to, w)
	return to.String(), stop, err
}

// ServeDNS answers as the authoritative server of all zones, an alias at a time.
func (w *World) ServeDNS(rw dns.ResponseWriter, query *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(query)
	size := dns.MinMsgSize
	if opt := query.IsEdns0(); opt != nil {
		size = int(opt.UDPSize())
		m.SetEdns0(dns.DefaultMsgSize, opt.Do())
	}
	if _, tcp := rw.RemoteAddr().(*net.TCPAddr); tcp {
		size = dns.MaxMsgSize
	}
	m.Authoritative = true
	q := query.Question[0]
	name := strings.ToLower(q.Name)
	w.holding(name, q.Qtype).ask(name, q.Qtype).into(m)
	m.Truncate(size)
	_ = rw.WriteMsg(m) // who has gone needs no answer
}

// sentRcode returns the rcode that is sent.
func (s *step) sentRcode() int {
	switch {
	case !s.lies || len(s.records) > 0 || s.next != "":
		return s.rcode
	case s.rcode == dns.RcodeSuccess:
		return dns.RcodeNameError
	}
	return dns.RcodeSuccess
}

// into adds the step to a message.
func (s *step) into(m *dns.Msg) {
	m.Rcode = s.sentRcode()
	m.Answer = append(m.Answer, s.answer...)
	m.Ns = append(m.Ns, s.authority...)
}

// Recurse answers as a recursive resolver does that does not validate: with all aliases,
// and all proofs on the way.
func (w *World) Recurse(query *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(query)
	m.RecursionAvailable = true
	m.SetEdns0(dns.DefaultMsgSize, true)
	q := query.Question[0]
	name := strings.ToLower(q.Name)
	for range maxSteps {
		s := w.holding(name, q.Qtype).ask(name, q.Qtype)
		s.into(m)
		if s.next == "" {
			break
		}
		name = s.next
	}
	return m
}
