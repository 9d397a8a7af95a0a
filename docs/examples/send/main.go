// Command send delivers a message from standard input to the mail hosts of its recipient's
// domain, and nothing over a connection that mxauth does not allow:
//
//	$ send -from a@sender.example -helo out.sender.example b@example.org < message.eml
//	delivered: The certificate of mx.example.org matches the TLSA record 3 1 1 1f2e....
//
// It is an example of the sending half of a mail server, to be read and copied by those who
// put mxauth into theirs. The file sender.go makes a plan, tries hosts and addresses in turn,
// starts TLS with the configuration of an [engine.Attempt], decides before MAIL FROM, and
// returns what the queue does with the message. It speaks SMTP with net/smtp and keeps no
// queue: the exit status is 0 for a delivered message, 75 (EX_TEMPFAIL) for one to be tried
// again later, 69 (EX_UNAVAILABLE) for one that bounces, 64 for bad usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/pkix"
)

// Exit statuses, as sysexits.h has them for programs that sendmail runs.
const (
	exitUsage       = 64 // EX_USAGE
	exitUnavailable = 69 // EX_UNAVAILABLE
	exitTempFail    = 75 // EX_TEMPFAIL
)

func main() {
	status, err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "send: %v\n", err)
	}
	os.Exit(status)
}

// maxMessage bounds what is read from standard input.
const maxMessage = 64 << 20

// run carries out the command. Its error is one of usage or configuration.
func run(ctx context.Context, args []string, in io.Reader, out io.Writer) (status int, err error) {
	var s sender
	var m message
	f := flag.NewFlagSet("send", flag.ContinueOnError)
	f.StringVar(&m.from, "from", "", "`ADDRESS` of the sender")
	f.StringVar(&s.helo, "helo", "", "full `NAME` of this machine")
	config := configFlags(f)
	if err := f.Parse(args); err != nil {
		return exitUsage, nil // Parse has printed it
	}
	_, domain, ok := strings.Cut(f.Arg(0), "@")
	if !ok || f.NArg() != 1 {
		return exitUsage, errors.New("want one recipient, such as b@example.org")
	}
	m.to = f.Args()
	if m.data, err = io.ReadAll(io.LimitReader(in, maxMessage)); err != nil {
		return exitTempFail, err
	}
	c, err := config()
	if err != nil {
		return exitUsage, err
	}
	client, err := mxauth.New(c)
	if err != nil {
		return exitUsage, err
	}
	defer client.Close()
	s.engine = client.Engine()
	fate, err := s.send(ctx, engine.Request{NextHop: domain}, m)
	if err != nil {
		return exitUsage, err
	}
	fmt.Fprintf(out, "%s: %s\n", fate.Action, explain.Text(fate.Reason))
	switch fate.Action {
	case engine.Delivered:
		return 0, nil
	case engine.Bounce:
		return exitUnavailable, nil
	}
	return exitTempFail, nil
}

// configFlags defines the flags that change the zero [mxauth.Config], for networks with
// a resolver, a root and certification authorities of their own.
func configFlags(f *flag.FlagSet) func() (mxauth.Config, error) {
	resolver := f.String("resolver", "", "`ADDRESS` of the resolver (default: those of /etc/resolv.conf)")
	anchors := f.String("trust-anchor", "", "`FILE` of DNSSEC trust anchors (default: the keys of the root)")
	roots := f.String("ca-file", "", "PEM `FILE` of certification authorities (default: those of the system)")
	allow := f.String("allow-address", "", "`PREFIX` in which policy hosts may be, in addition to public addresses")
	return func() (c mxauth.Config, err error) {
		var errs [4]error
		if *resolver != "" {
			c.Servers = make([]upstream.Server, 1)
			c.Servers[0], errs[0] = upstream.ParseServer(*resolver)
		}
		if *anchors != "" {
			c.Anchors, errs[1] = anchor.Load(*anchors)
		}
		if *roots != "" {
			c.Roots, errs[2] = pkix.LoadRoots(*roots)
		}
		if *allow != "" {
			c.AllowAddresses = make([]netip.Prefix, 1)
			c.AllowAddresses[0], errs[3] = netip.ParsePrefix(*allow)
		}
		return c, errors.Join(errs[:]...)
	}
}
