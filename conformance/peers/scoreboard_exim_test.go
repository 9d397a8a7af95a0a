package peers_test

import (
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/conformance/peers"
)

// eximAlone is the configuration of an Exim that knows nothing of mxauth: DANE as it is
// switched on by default, and certificates that are looked at and not demanded. The times are
// short, since the lab has servers that say nothing.
const eximAlone = eximMain + `smtp_receive_timeout = 30s
queue_run_max = 1

begin routers

routed:
  driver = manualroute
  domains = routed.invalid
  route_data = ${lookup{$local_part}lsearch{/etc/exim4/routes}}
  transport = remote_smtp
  self = send
  no_more

dnslookup:
  driver = dnslookup
  domains = ! +local_domains
  transport = remote_smtp
  self = send
  no_more

begin transports

remote_smtp:
  driver = smtp
  allow_localhost
  multi_domain = false
  connection_max_messages = 1
  connect_timeout = 4s
  command_timeout = 6s
` + eximRetry

// eximRoute is a next hop in the words of Exim.
func eximRoute(nextHop string) string {
	if host, ok := strings.CutPrefix(nextHop, "["); ok {
		host, port, _ := strings.Cut(host, "]")
		return host + strings.Replace(port, ":", "::", 1) + " bydns"
	}
	return nextHop + "/mx"
}

// exims sends a message about every situation by an Exim without mxauth, and returns what
// became of each and the version of Exim.
func (w *mailWorld) exims(t *testing.T, list []*situation) (out map[*situation]peers.DeliveryResult, version string) {
	t.Helper()
	e := peers.NewExim(t, "trixie")
	e.Write(t, "/etc/resolv.conf", "nameserver "+labResolver+"\noptions trust-ad edns0\n")
	e.Write(t, "/etc/ssl/certs/ca-certificates.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.lab.CA().Raw})))
	var routes strings.Builder
	for i, s := range list {
		if _, nextHop := recipient(s); nextHop != "" {
			fmt.Fprintf(&routes, "r%d: %s\n", i, eximRoute(nextHop))
		}
	}
	e.Write(t, "/etc/exim4/routes", routes.String())
	version = e.Configure(t, eximAlone)
	out = map[*situation]peers.DeliveryResult{}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(16)
	for i, s := range list {
		g.Go(func() error {
			domain, nextHop := recipient(s)
			if nextHop != "" {
				domain = "routed.invalid"
			}
			fate := e.Send(t, fmt.Sprintf("s%d@sender.example", i), fmt.Sprintf("r%d@%s", i, domain))
			mu.Lock()
			defer mu.Unlock()
			out[s] = fate
			return nil
		})
	}
	_ = g.Wait() // what fails is an error of the test
	return out, version
}

// eximReasons are those of Exim alone. It is built with GnuTLS.
var eximReasons = []boardReason{
	{"It knows no MTA-STS.", func(s *situation, _ end) bool { return needsSTS(s) }},
	{"Where the MX is unsigned it looks for no TLSA records, and the host need not prove anything. RFC 7672 section 2.2.1 allows both; mxauth demands that the record matches.",
		named("half-dane-454", "half-dane-alert", "half-dane-stripped", "half-dane-mismatch", "half-dane-servfail", "half-dane-ta-domain")},
	{"Of a mail host that is an alias it looks for TLSA records at the end of the alias only. RFC 7672 section 2.2.2 wants them at the first name, too, if there are none at the end.",
		named("alias-insecure-end", "alias-secure-original")},
	{"It still speaks TLS 1.0 and 1.1, also for DANE (`tls_require_ciphers` does not exclude them by default). RFC 8996 forbids it, so mxauth counts it as none.",
		named("dane-tls10", "dane-tls11", "may-tls10", "encrypt-tls10")},
	{"GnuTLS takes any TLSA record that matches, also where one with a stronger digest does not (RFC 7671 section 9).", named("agility-weak")},
	{"GnuTLS does not look whether a certificate below an authority of usage 2 was issued for servers.", named("ta-client")},
	{"GnuTLS takes an authority that is whole in DNS only if the server sends it as well (RFC 7672 section 3.1.2 wants it used).", named("ta-ca-in-dns", "ta-key-in-dns", "ta-root-in-dns")},
	{"With usage 2 GnuTLS does not take a self-signed server certificate as its own authority. mxauth does.", named("ta-self")},
	{"With usage 2 only the name of the host counts. RFC 7672 section 3.2.2 lets that of the domain count as well.", named("ta-name-domain")},
	{"A TLSA record whose data is not a certificate counts as one that does not match, so mail waits. RFC 7672 section 2.2 wants TLS without proof if no record can be used.", named("unusable-junk")},
	{"An answer to the TLSA question that is not a DNS message counts as one without DNSSEC, and mail goes. RFC 7672 section 2.1.2 wants it to wait.", named("tlsa-malformed")},
	{"After a reply to STARTTLS that is not SMTP it defers. mxauth lets the message go in the clear.", named("may-junk")},
	{nsec3Reason, named("nsec3-many-none")},
}

// endOfResult is how a message ended that Exim was given. A certificate that it finds good and
// does not demand proves nothing.
func endOfResult(f peers.DeliveryResult) end { return endBy(f.Delivered, f.Verified == "dane", f.TLS) }
