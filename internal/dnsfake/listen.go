package dnsfake

import (
	"errors"
	"net"
	"net/netip"

	"github.com/miekg/dns"
)

// listenTries is how often two free ports of one number are looked for.
const listenTries = 20

// listen takes one port for UDP and TCP; for port 0 one that is free for both.
func listen(at netip.AddrPort) (net.PacketConn, net.Listener, error) {
	for try := 1; ; try++ {
		l, err := net.Listen("tcp", at.String())
		if err != nil {
			return nil, nil, err
		}
		p, err := net.ListenPacket("udp", l.Addr().String())
		if err == nil {
			return p, l, nil
		}
		l.Close()
		if at.Port() != 0 || try == listenTries {
			return nil, nil, err
		}
	}
}

// Serve answers over UDP and TCP with h, until stop is called, and returns the address. If
// the port of at is 0 it is one that is free for both.
func Serve(at netip.AddrPort, h dns.Handler) (addr netip.AddrPort, stop func() error, err error) {
	p, l, err := listen(at)
	if err != nil {
		return at, nil, err
	}
	servers := []*dns.Server{{PacketConn: p, Handler: h, UDPSize: dns.MaxMsgSize}, {Listener: l, Handler: h}}
	ended := make(chan error, len(servers))
	for _, s := range servers {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- s.ActivateAndServe() }()
		<-started
	}
	return l.Addr().(*net.TCPAddr).AddrPort(), func() error {
		return errors.Join(servers[0].Shutdown(), servers[1].Shutdown(), <-ended, <-ended)
	}, nil
}
