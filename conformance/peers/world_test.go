package peers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/peers"
)

// The addresses of the mail Internet of these tests.
const (
	nsdAddress     = "127.0.30.1"
	unboundAddress = "127.0.30.2" // validates
	plainAddress   = "127.0.30.3" // does not
	policyAddress  = "127.0.30.4"
	nobody         = "127.0.30.5" // nothing listens there
)

// A delivery is one domain and what must be said of it. Zone and mail hosts are made
// from it.
type delivery struct {
	name    string // of the zone: NAME.test
	zone    string // lines; {ca}, {leaf NAME}: hash of the key of the CA, of host NAME
	hosts   []mailHost
	policy  string // MTA-STS policy; "": none
	flavour peers.Zone
	exit    int
	want    want
}

// A mailHost is one smtpd.
type mailHost struct {
	name       string        // first label
	certName   string        // "": NAME.ZONE.test
	life       time.Duration // 0: an hour
	noSTARTTLS bool
}

// want is what is compared of a row of `mxauth check --json`. Hosts are compared in
// order.
type want struct {
	Outcome   string     `json:"outcome"`
	Method    string     `json:"method"`
	Deliver   bool       `json:"deliver"`
	Via       string     `json:"via"`
	EveryHost bool       `json:"every_host"`
	Hosts     []wantHost `json:"hosts"`
}

type wantHost struct {
	Host        string `json:"host"`
	Outcome     string `json:"outcome"`
	Method      string `json:"method"`
	Requirement string `json:"requirement"`
}

// authenticated is the whole row of a domain with one host that is authenticated.
func authenticated(method, requirement, host string) want {
	return want{"authenticated", method, true, host, true, []wantHost{{host, "authenticated", method, requirement}}}
}

// weaker is the row of a domain with one host that is not.
func weaker(outcome, requirement, host string) want {
	w := want{Outcome: outcome, Hosts: []wantHost{{host, outcome, "", requirement}}}
	if outcome == "encrypted" || outcome == "cleartext" {
		w.Deliver, w.Via = true, host
	}
	return w
}

// other is the hash of a key that no one has.
const other = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

var enforce = "version: STSv1\r\nmode: enforce\r\nmx: mx.%s.test\r\nmax_age: 604800\r\n"

var mx = []mailHost{{name: "mx"}}

// deliveries are looked at one by one; each has a zone of its own.
var deliveries = []delivery{
	{name: "ee", zone: "_25._tcp.mx.ee.test. TLSA 3 1 1 {leaf mx}", hosts: mx,
		want: authenticated("dane-ee", "dane", "mx.ee.test")},
	{name: "ee-nsec3", zone: "_25._tcp.mx.ee-nsec3.test. TLSA 3 1 1 {leaf mx}", hosts: mx, flavour: peers.Zone{NSEC3: true},
		want: authenticated("dane-ee", "dane", "mx.ee-nsec3.test")},
	{name: "mismatch", zone: "_25._tcp.mx.mismatch.test. TLSA 3 1 1 " + other, hosts: mx, exit: 2,
		want: weaker("refused", "dane", "mx.mismatch.test")},
	{name: "ta", zone: "_25._tcp.mx.ta.test. TLSA 2 1 1 {ca}", hosts: mx,
		want: authenticated("dane-ta", "dane", "mx.ta.test")},
	{name: "ta-name", zone: "_25._tcp.mx.ta-name.test. TLSA 2 1 1 {ca}", hosts: []mailHost{{name: "mx", certName: "other.example"}}, exit: 2,
		want: weaker("refused", "dane", "mx.ta-name.test")},
	{name: "expired", zone: "_25._tcp.mx.expired.test. TLSA 3 1 1 {leaf mx}", hosts: []mailHost{{name: "mx", life: -time.Hour}},
		want: authenticated("dane-ee", "dane", "mx.expired.test")},
	{name: "unsigned", zone: "_25._tcp.mx.unsigned.test. TLSA 3 1 1 {leaf mx}", hosts: mx, flavour: peers.Zone{Unsigned: true}, exit: 1,
		want: weaker("encrypted", "may", "mx.unsigned.test")},
	{name: "bogus", zone: "_25._tcp.mx.bogus.test. TLSA 3 1 1 {leaf mx}", hosts: mx, exit: 3,
		flavour: peers.Zone{Spoil: func(s string) string {
			return strings.Replace(s, "IN\tMX\t10 mx.bogus.test.", "IN\tMX\t11 mx.bogus.test.", 1)
		}},
		want: want{Outcome: "deferred", Hosts: []wantHost{}}},
	{name: "tlsa-bogus", zone: "_25._tcp.mx.tlsa-bogus.test. TLSA 3 1 1 {leaf mx}", hosts: mx, exit: 3,
		flavour: peers.Zone{Spoil: func(s string) string {
			return strings.Replace(s, "TLSA\t3 1 1", "TLSA\t3 1 2", 1)
		}},
		want: weaker("deferred", "skip", "mx.tlsa-bogus.test")},
	{name: "sts", policy: fmt.Sprintf(enforce, "sts"), hosts: mx, flavour: peers.Zone{Unsigned: true},
		want: authenticated("mta-sts", "sts", "mx.sts.test")},
	{name: "sts-signed", policy: fmt.Sprintf(enforce, "sts-signed"), hosts: mx,
		want: authenticated("mta-sts", "sts", "mx.sts-signed.test")},
	{name: "sts-name", policy: fmt.Sprintf(enforce, "sts-name"), hosts: []mailHost{{name: "mx", certName: "other.example"}},
		flavour: peers.Zone{Unsigned: true}, exit: 2,
		want: weaker("refused", "sts", "mx.sts-name.test")},
	{name: "sts-pattern", policy: fmt.Sprintf(enforce, "elsewhere"), hosts: mx, flavour: peers.Zone{Unsigned: true}, exit: 2,
		want: weaker("refused", "skip", "mx.sts-pattern.test")},
	{name: "sts-strip", policy: fmt.Sprintf(enforce, "sts-strip"), hosts: []mailHost{{name: "mx", noSTARTTLS: true}},
		flavour: peers.Zone{Unsigned: true}, exit: 2,
		want: weaker("refused", "sts", "mx.sts-strip.test")},
	{name: "dane-strip", zone: "_25._tcp.mx.dane-strip.test. TLSA 3 1 1 " + other, hosts: []mailHost{{name: "mx", noSTARTTLS: true}}, exit: 2,
		want: weaker("refused", "dane", "mx.dane-strip.test")},
	{name: "clear", hosts: []mailHost{{name: "mx", noSTARTTLS: true}}, exit: 1,
		want: weaker("cleartext", "may", "mx.clear.test")},
	{name: "nothing", hosts: []mailHost{{name: "mx", certName: "mx.example"}}, exit: 1,
		want: weaker("encrypted", "may", "mx.nothing.test")},
	{name: "implicit", zone: "_25._tcp.implicit.test. TLSA 3 1 1 {leaf @}", hosts: []mailHost{{name: "@"}},
		want: authenticated("dane-ee", "dane", "implicit.test")},
	{name: "null", zone: "null.test. MX 0 .", exit: 2,
		want: want{Outcome: "bounced", Hosts: []wantHost{}}},
	{name: "two", zone: "_25._tcp.mx1.two.test. TLSA 3 1 1 " + other + "\n_25._tcp.mx2.two.test. TLSA 3 1 1 {leaf mx2}",
		hosts: []mailHost{{name: "mx1"}, {name: "mx2"}},
		want: want{"authenticated", "dane-ee", true, "mx2.two.test", true, []wantHost{
			{"mx1.two.test", "refused", "", "dane"}, {"mx2.two.test", "authenticated", "dane-ee", "dane"}}}},
	{name: "half", zone: "half.test. MX 10 mx.ee.test.", flavour: peers.Zone{Unsigned: true}, exit: 1,
		want: weaker("encrypted", "half-dane", "mx.ee.test")},
	{name: "xn--bcher-kva", zone: "_25._tcp.mx.xn--bcher-kva.test. TLSA 3 1 1 {leaf mx}", hosts: mx,
		want: authenticated("dane-ee", "dane", "mx.xn--bcher-kva.test")},
}

// A world is the mail Internet of the deliveries, running.
type world struct {
	dir    string
	anchor string // path of the file with the root's DS line
	ca     string // path of the CA's certificate

	postfix *peers.Daemon
}

// start builds zones, certificates and servers of the deliveries.
func start(t *testing.T) world {
	t.Helper()
	peers.Require(t, "nsd", "unbound", "postfix", "ldns-keygen", "ldns-signzone", "ldns-key2ds")
	dir := peers.Dir(t)
	ca := peers.NewCA(t, "Test CA")
	w := world{dir: dir, anchor: dir + "/root.ds", ca: dir + "/ca.pem"}
	zones := []peers.Zone{{Apex: "."}, {Apex: "test."}}
	policies := peers.PolicyHost{Policies: map[string]string{}, Leaves: map[string]peers.Leaf{}}
	var smtpds []peers.SMTPD
	for i, d := range deliveries {
		apex := d.name + ".test."
		records := []string{d.zone}
		subst := []string{"{ca}", peers.SPKI256(ca.Cert)}
		for j, h := range d.hosts {
			name := h.name + "." + apex
			if h.name == "@" {
				name = apex
			} else {
				records = append(records, fmt.Sprintf("%s 300 IN MX %d %s", apex, 10*(j+1), name))
			}
			s := peers.SMTPD{
				Address: fmt.Sprintf("127.0.%d.%d", 31+j, i+1), Name: strings.TrimSuffix(name, "."), NoSTARTTLS: h.noSTARTTLS,
			}
			records = append(records, fmt.Sprintf("%s 300 IN A %s", name, s.Address))
			if !h.noSTARTTLS {
				certName, life := h.certName, h.life
				if certName == "" {
					certName = s.Name
				}
				if life == 0 {
					life = time.Hour
				}
				s.Leaf = ca.Issue(t, life, certName)
				subst = append(subst, "{leaf "+h.name+"}", peers.SPKI256(s.Leaf.Cert))
			}
			smtpds = append(smtpds, s)
		}
		if d.policy != "" {
			host := "mta-sts." + d.name + ".test"
			policies.Policies[host] = d.policy
			policies.Leaves[host] = ca.Issue(t, time.Hour, host)
			records = append(records, fmt.Sprintf("_mta-sts.%s 300 IN TXT \"v=STSv1; id=1;\"\n%s. 300 IN A %s", apex, host, policyAddress))
		}
		z := d.flavour
		z.Apex, z.Records = apex, strings.NewReplacer(subst...).Replace(strings.Join(records, "\n"))
		zones = append(zones, z)
	}
	anchor := peers.Tree(t, dir, nsdAddress, zones)
	writeFile(t, w.anchor, anchor+"\n")
	writeFile(t, w.ca, string(ca.PEM()))
	peers.StartNSD(t, dir, nsdAddress, zones)
	peers.StartUnbound(t, dir, peers.Resolver{Address: unboundAddress, Root: nsdAddress, Anchor: anchor})
	peers.StartUnbound(t, dir, peers.Resolver{Address: plainAddress, Root: nsdAddress})
	w.postfix = peers.StartPostfix(t, dir, smtpds)
	policies.Start(t, policyAddress)
	return w
}
