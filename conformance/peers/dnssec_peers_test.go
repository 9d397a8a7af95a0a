package peers_test

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/conformance/peers"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/rfc6125"
)

// Where the programs of this file listen.
const (
	dnssecNSD      = "127.0.31.1"
	dnssecPlain    = "127.0.31.2"    // Unbound that does not validate
	dnssecUnbound  = "127.0.31.3"    // Unbound that does
	dnssecDeadline = 2 * time.Minute // it takes a quarter of that on a machine that does nothing else
)

// ordinary are the records that every zone of the comparison has.
const ordinary = `mx.@ IN A 192.0.2.1
mx.@ IN AAAA 2001:db8::1
@ IN MX 10 mx.@
_25._tcp.mx.@ IN TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000
alias.@ IN CNAME mx.@
*.wild.@ IN A 192.0.2.7
deep.ent.@ IN A 192.0.2.9
gone.@ IN CNAME nowhere.@
out.@ IN CNAME mx.unsigned.test.
d.@ IN DNAME target.@
www.target.@ IN A 192.0.2.10
`

// dnssecZones are signed well, not at all, and badly in each way.
func dnssecZones() []peers.Zone {
	zone := func(apex string, edit func(*peers.Zone)) peers.Zone {
		z := peers.Zone{Apex: apex, Records: strings.ReplaceAll(ordinary, "@", apex)}
		if edit != nil {
			edit(&z)
		}
		return z
	}
	// without drops the lines of a signed zone file that fit.
	without := func(expr string) func(string) string {
		re := regexp.MustCompile(expr)
		return func(signed string) string {
			var out []string
			for _, l := range strings.Split(signed, "\n") {
				if !re.MatchString(l) {
					out = append(out, l)
				}
			}
			return strings.Join(out, "\n")
		}
	}
	replace := func(old, new string) func(string) string {
		return func(signed string) string { return strings.ReplaceAll(signed, old, new) }
	}
	spoil := func(f func(string) string) func(*peers.Zone) {
		return func(z *peers.Zone) { z.Spoil = f }
	}
	return []peers.Zone{
		{Apex: "."},
		{Apex: "test."},
		zone("nsec.test.", nil),
		zone("hashed.test.", func(z *peers.Zone) { z.NSEC3 = true }),
		zone("optout.test.", func(z *peers.Zone) { z.NSEC3 = true; z.SignArgs = []string{"-p"} }),
		zone("many.test.", func(z *peers.Zone) { z.NSEC3 = true; z.SignArgs = []string{"-t", "500"} }),
		zone("unsigned.test.", func(z *peers.Zone) { z.Unsigned = true }),
		zone("island.unsigned.test.", nil),
		zone("expired.test.", func(z *peers.Zone) { z.SignArgs = []string{"-i", "20200101", "-e", "20200201"} }),
		zone("early.test.", func(z *peers.Zone) { z.SignArgs = []string{"-i", "21000101", "-e", "21000201"} }),
		zone("altered.test.", spoil(replace("192.0.2.1\n", "192.0.2.66\n"))),
		zone("stripped.test.", spoil(without(`\sIN\s+(RRSIG|NSEC|DNSKEY)\s`))),
		zone("nosig.test.", spoil(without(`^mx\.nosig\.test\.\s.*RRSIG\s+(A|AAAA)\s`))),
		zone("nokeysig.test.", spoil(without(`\sRRSIG\s+DNSKEY\s`))),
		zone("nodenial.test.", spoil(without(`\sIN\s+(RRSIG\s+)?NSEC\s`))),
	}
}

// dnssecQuestions are asked in each zone; delv, which is started for each, is asked the
// first of them.
var dnssecQuestions = []string{"_25._tcp.mx.@ TLSA", "mx.@ TXT", "nowhere.@ A", "foo.wild.@ A", "gone.@ A", "mx.@ A", "@ MX", "alias.@ A", "ent.@ A", "out.@ A", "www.d.@ A"}

const delvQuestions = 5

// explained are the differences between mxauth and a peer that are meant: zone and
// question as above ("*" for all), the peer, what each says, and why.
var explained = []struct{ zone, question, peer, ours, theirs, why string }{
	{"optout.test.", "nowhere.@ A", "delv", "insecure", "secure", optOutRule},
	{"optout.test.", "gone.@ A", "delv", "insecure", "secure", optOutRule},
}

const optOutRule = "RFC 5155 section 9.2: what rests on an opt-out span is not to be called authentic; delv does, Unbound does not"

// TestDNSSECPeers asks the same questions of mxauth's validator, behind a resolver that
// does not validate, of Unbound and of BIND's delv, over zones that NSD serves.
func TestDNSSECPeers(t *testing.T) {
	peers.Require(t, "nsd", "unbound", "delv", "ldns-signzone", "ldns-keygen", "ldns-key2ds")
	ctx, cancel := context.WithTimeout(t.Context(), dnssecDeadline)
	defer cancel()
	dir := peers.Dir(t)
	zones := dnssecZones()
	root := peers.Tree(t, dir, dnssecNSD, zones)
	peers.StartNSD(t, dir, dnssecNSD, zones)
	peers.StartUnbound(t, dir, peers.Resolver{Address: dnssecPlain, Root: dnssecNSD})
	peers.StartUnbound(t, dir, peers.Resolver{Address: dnssecUnbound, Root: dnssecNSD, Anchor: root})

	v := validatorBehind(t, dnssecPlain, root)
	keys := filepath.Join(dir, "delv.anchors")
	if err := writeDelvAnchor(keys, root); err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex // guards what follows
	asked, both := 0, 0
	counts := map[string]int{}
	t.Run("zones", func(t *testing.T) {
		for _, z := range zones[2:] {
			t.Run(strings.TrimSuffix(z.Apex, "."), func(t *testing.T) {
				t.Parallel()
				for i, pattern := range dnssecQuestions {
					q := strings.ReplaceAll(pattern, "@", z.Apex)
					name, typ, _ := strings.Cut(q, " ")
					n, err := rfc6125.ParseName(name)
					if err != nil {
						t.Fatal(err)
					}
					a, rerr := v.Resolve(ctx, dnssec.Question{Name: n, Type: dnssec.Type(dns.StringToType[typ])})
					ours := verdictOf(a, rerr)
					theirs := map[string]string{"unbound": unboundVerdict(ctx, t, name, dns.StringToType[typ])}
					if i < delvQuestions {
						theirs["delv"] = delvVerdict(ctx, t, keys, name, typ)
					}
					mu.Lock()
					asked++
					both += len(theirs) - 1
					counts[ours]++
					mu.Unlock()
					for peer, said := range theirs {
						if ours != said && !isExplained(z.Apex, pattern, peer, ours, said) {
							t.Errorf("%s: mxauth says %s (%s), %s says %s", q, ours, a.Reason, peer, said)
						}
					}
				}
			})
		}
	})
	if both < 60 || counts["secure"] == 0 || counts["insecure"] == 0 || counts["bogus"] == 0 {
		t.Errorf("%d questions, %d of them to all, verdicts %v", asked, both, counts)
	}
	t.Logf("%d questions, %d of them to all, verdicts %v", asked, both, counts)
}

// validatorBehind is mxauth's validator, which asks the resolver at port 53 of an address
// and believes a DS record of the root.
func validatorBehind(t *testing.T, address, root string) *dnssec.Validator {
	t.Helper()
	anchors, err := anchor.Parse(strings.NewReader(root))
	if err != nil {
		t.Fatal(err)
	}
	server, err := upstream.PlainServer(netip.MustParseAddrPort(address + ":53"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := upstream.New(upstream.Config{Servers: []upstream.Server{server}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	v, err := dnssec.NewValidator(dnssec.ValidatorConfig{Upstream: client, Anchors: anchors})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func isExplained(zone, question, peer, ours, theirs string) bool {
	for _, e := range explained {
		if e.zone == zone && (e.question == question || e.question == "*") && e.peer == peer && e.ours == ours && e.theirs == theirs {
			return true
		}
	}
	return false
}

// verdictOf is the status alone; what is no answer is bogus here, since peers know no
// more than SERVFAIL.
func verdictOf(a dnssec.Answer, err error) string {
	if err != nil {
		return "bogus"
	}
	return a.Status.String()
}

// unboundVerdict asks the validating Unbound.
func unboundVerdict(ctx context.Context, t *testing.T, name string, typ uint16) string {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, typ)
	m.SetEdns0(1232, true)
	c := &dns.Client{Net: "tcp", Timeout: 10 * time.Second}
	in, _, err := c.ExchangeContext(ctx, m, dnssecUnbound+":53")
	switch {
	case err != nil:
		t.Fatalf("unbound: %s: %v", name, err)
		return ""
	case in.Rcode == dns.RcodeServerFailure:
		return "bogus"
	case in.AuthenticatedData:
		return "secure"
	}
	return "insecure"
}

// delvVerdict runs delv, which validates by itself what the plain Unbound passes through.
func delvVerdict(ctx context.Context, t *testing.T, anchors, name, typ string) string {
	t.Helper()
	return delvSays(runDelv(ctx, anchors, dnssecPlain, name, typ))
}

// runDelv asks a server by delv and returns what it prints.
func runDelv(ctx context.Context, anchors, server, name, typ string) string {
	cmd := exec.CommandContext(ctx, "delv", "@"+server, "-a", anchors, "+root=.", name, typ)
	out, _ := cmd.CombinedOutput() // a failed validation is no failure of mxauth
	return string(out)
}

// delvSays finds the status in what delv prints.
func delvSays(out string) string {
	verdict := "bogus"
	sc := bufio.NewScanner(strings.NewReader(out))
	for sc.Scan() {
		line := sc.Text()
		switch {
		case strings.Contains(line, "resolution failed") && !strings.Contains(line, "ncache"):
			return "bogus"
		case strings.Contains(line, "unsigned answer"):
			return "insecure"
		case strings.Contains(line, "fully validated"):
			verdict = "secure"
		}
	}
	return verdict
}

// writeDelvAnchor writes the root's DS in BIND's form.
func writeDelvAnchor(file, ds string) error {
	f := strings.Fields(ds)
	for len(f) > 0 && f[0] != "DS" {
		f = f[1:]
	}
	if len(f) < 5 {
		return fmt.Errorf("no DS record: %q", ds)
	}
	return os.WriteFile(file, fmt.Appendf(nil, "trust-anchors {\n\t. static-ds %s %s %s \"%s\";\n};\n", f[1], f[2], f[3], strings.Join(f[4:], "")), 0o600)
}
