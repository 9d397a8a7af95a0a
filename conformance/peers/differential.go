package peers

import (
	"context"
	"net"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/conformance/generate"
)

// Plainly are lines for [Resolver].Extra that let an Unbound look at each answer by
// itself, in place of making answers from what it has seen before.
const Plainly = `  qname-minimisation: no
  aggressive-nsec: no
  neg-cache-size: 0
  harden-below-nxdomain: no
  val-sig-skew-min: 0
  val-sig-skew-max: 0
  incoming-num-tcp: 64
`

// StartWorld serves a generated world at port 53 of its address until the test ends.
func StartWorld(tb testing.TB, w *generate.World) {
	tb.Helper()
	address := net.JoinHostPort(generate.ServerAddress, "53")
	packets, err := net.ListenPacket("udp4", address)
	if err != nil {
		tb.Fatal(err)
	}
	stream, err := net.Listen("tcp4", address)
	if err != nil {
		packets.Close()
		tb.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: w}, {Listener: stream, Handler: w}} {
		done := make(chan error, 1)
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { done <- s.ActivateAndServe() }()
		<-started
		tb.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
			defer cancel()
			if err := s.ShutdownContext(ctx); err != nil {
				tb.Error(err)
			}
			if err := <-done; err != nil {
				tb.Error(err)
			}
		})
	}
}
