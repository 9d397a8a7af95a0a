package peers_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/conformance/peers"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/internal/nametest"
	"github.com/mxauth/mxauth/internal/servetest"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// casesEnv says how many chains and record sets are generated for a second opinion.
const casesEnv = "MXAUTH_DANE_CASES"

// defaultCases are the cases of an ordinary run; the issue asks for 40.
const defaultCases = 60

// TestDANESecondOpinion judges generated chains and TLSA sets, and asks OpenSSL (its
// s_client, in a real handshake) and GnuTLS (its libgnutls-dane) for their opinion: the
// verdicts are the same, and with OpenSSL the depth of the match, or a rule with a
// reason says why not.
func TestDANESecondOpinion(t *testing.T) {
	needs(t, "openssl", "gcc")
	n := defaultCases
	if s := os.Getenv(casesEnv); s != "" {
		v, err := strconv.Atoi(s)
		if err != nil || v < 1 || v > 5000 {
			t.Fatalf("%s=%q is no number of cases from 1 to 5000", casesEnv, s)
		}
		n = v
	}
	now := time.Now()
	cases := daneCases(t, n, now)
	byOpenSSL := askOpenSSL(t, cases)
	byGnuTLS := askGnuTLS(t, cases)
	ref := rfc6125.NewReference(host(t, danePeer))
	var excused, agreed int
	used := map[string]bool{}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			set := dane.NewSet(c.records, dane.UsePolicy{})
			res, err := set.Verify(dane.Peer{Chain: certificates(c.chain.sent)}, dane.Options{References: []rfc6125.Reference{ref}, At: now})
			for _, peer := range []struct {
				name  string
				says  opinion
				rules []rule
			}{{"OpenSSL", byOpenSSL[i], openSSLRules}, {"GnuTLS", byGnuTLS[i], gnuTLSRules}} {
				same := peer.says.ok == (err == nil) && (peer.says.depth < 0 || err != nil || peer.says.depth == res.Depth)
				why := ""
				if !same {
					why = excuse(peer.rules, verdict{c, set, res, err, peer.says}, used)
				}
				switch {
				case same:
					agreed++
				case why != "":
					excused++
					t.Logf("%s says %s: %s", peer.name, peer.says, why)
				default:
					t.Errorf("%s says %s, and here it is %v at depth %d\n%s", peer.name, peer.says, err, res.Depth, peer.says.text)
				}
			}
		})
	}
	for _, r := range slices.Concat(openSSLRules, gnuTLSRules) {
		if n >= manyCases && !used[r.why] {
			t.Errorf("a rule that explains nothing: %s", r.why)
		}
	}
	t.Logf("%d cases: %d opinions the same, %d explained", n, agreed, excused)
	if agreed < n {
		t.Errorf("only %d opinions of %d are the same: the rules explain too much", agreed, 2*n)
	}
}

// An opinion is what a peer makes of a case.
type opinion struct {
	ok    bool
	depth int    // of the match; -1 if the peer does not say
	text  string // what it said
}

func (o opinion) String() string {
	if o.ok {
		return fmt.Sprintf("match at depth %d", o.depth)
	}
	return "no"
}

// A verdict is that of mxauth, with what a peer says.
type verdict struct {
	c    daneCase
	set  dane.Set
	res  dane.Result
	err  error
	peer opinion
}

// A rule is a known difference between a peer and RFC 7672 or this package.
type rule struct {
	why string
	fit func(v verdict) bool
}

// manyCases is from how many on every rule must have been of use.
const manyCases = 500

func excuse(rules []rule, v verdict, used map[string]bool) string {
	for _, r := range rules {
		if r.fit(v) {
			used[r.why] = true
			return r.why
		}
	}
	return ""
}

var openSSLRules = []rule{
	{"OpenSSL matches DANE-TA records with issuers only, never with a self-signed leaf; RFC 7671 section 5.2 makes no exception for a path of one certificate",
		func(v verdict) bool {
			return v.err == nil && !v.peer.ok && v.res.Matched.Usage == dane.DANETA && v.res.Depth == 0 && !v.res.Path.BareKey
		}},
	{"OpenSSL does not look at the dates of a DANE-TA certificate that is not self-signed; RFC 7671 section 5.2.3 wants the top of the chain unexpired (doubt D8)",
		func(v verdict) bool {
			return v.peer.ok && v.c.chain.flaw == expiredCA && v.peer.depth == 1 && errors.Is(v.err, pkix.ErrExpired)
		}},
}

var gnuTLSRules = []rule{
	{"GnuTLS compares DANE-TA records of certificates with the second of the chain alone (its verify_ca), and looks not into DNS for an issuer",
		func(v verdict) bool {
			return v.err == nil && !v.peer.ok && v.res.Matched.Usage == dane.DANETA && !secondMatches(v.c)
		}},
	{"GnuTLS does not ask whether the key that a 2 1 x record names stands on the path of the leaf, as RFC 6698 section 2.1.1 has it",
		func(v verdict) bool {
			return v.peer.ok && errors.Is(v.err, pkix.ErrNoAnchor) && strayKey(v.res)
		}},
	{"GnuTLS judges no names",
		func(v verdict) bool { return v.peer.ok && errors.Is(v.err, dane.ErrName) }},
	{"GnuTLS has no digest agility (RFC 7671 section 9): a record with the weaker digest counts",
		func(v verdict) bool { return v.peer.ok && v.err != nil && weakerMatches(v.c) }},
	{"GnuTLS judges by usages 0 and 1, which are unusable for SMTP (RFC 7672 section 3.1.3)",
		func(v verdict) bool { return v.peer.ok && v.err != nil && slices.ContainsFunc(v.c.records, isPKIX) }},
	{"GnuTLS's verify_ca checks who signed the leaf and not its extensions, purpose, or the authority's constraints",
		func(v verdict) bool {
			return v.peer.ok && (errors.Is(v.err, pkix.ErrExtension) || errors.Is(v.err, pkix.ErrPurpose) || errors.Is(v.err, pkix.ErrConstraint) || errors.Is(v.err, pkix.ErrPathLength))
		}},
}

func isPKIX(r dane.Record) bool { return r.Usage <= dane.PKIXEE }

// secondMatches reports whether a usable DANE-TA record has the data of the second
// certificate.
func secondMatches(c daneCase) bool {
	if len(c.chain.sent) < 2 {
		return false
	}
	for _, r := range dane.NewSet(c.records, dane.UsePolicy{}).Usable() {
		if r.Usage == dane.DANETA && c.chain.sent[1].record(r.Usage, r.Selector, r.MatchingType) == r {
			return true
		}
	}
	return false
}

// strayKey reports whether a 2 1 x record matched a certificate that is no anchor.
func strayKey(res dane.Result) bool {
	return slices.ContainsFunc(res.Trace, func(l dane.RecordResult) bool {
		return l.Record.Usage == dane.DANETA && l.Record.Selector == dane.SPKI && l.Depth > 0 && l.Err != nil
	})
}

// weakerMatches reports whether a record that digest agility dropped would match.
func weakerMatches(c daneCase) bool {
	for _, u := range dane.NewSet(c.records, dane.UsePolicy{}).Uses() {
		r := u.Record
		if u.Fault != dane.FaultOutranked {
			continue
		}
		for i, n := range c.chain.sent {
			if (i == 0) == (r.Usage == dane.DANEEE) && n.record(r.Usage, r.Selector, r.MatchingType) == r {
				return true
			}
		}
	}
	return false
}

// askOpenSSL lets s_client connect to a TLS server for each case, two at a time. PKIX
// usages are held back, as every SMTP client on top of OpenSSL does; records that it
// calls unusable it says so of by itself.
func askOpenSSL(t *testing.T, cases []daneCase) []opinion {
	t.Helper()
	l := serveChains(t, cases)
	out := make([]opinion, len(cases))
	var g errgroup.Group
	g.SetLimit(2)
	for i, c := range cases {
		g.Go(func() (err error) {
			out[i], err = sClient(t.Context(), l, i, c)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return out
}

// matchedAt is the line in which s_client tells the depth.
var matchedAt = regexp.MustCompile(`DANE TLSA [^\n]* (?:matched|signed)[^\n]* at depth (\d+)`)

func sClient(ctx context.Context, address string, i int, c daneCase) (opinion, error) {
	args := []string{"s_client", "-brief", "-connect", address, "-servername", sniOf(i), "-no-CAfile", "-no-CApath", "-no-CAstore",
		"-dane_tlsa_domain", danePeer, "-dane_ee_no_namechecks"}
	given := 0
	for _, r := range c.records {
		if !isPKIX(r) && r.Data != "" {
			args = append(args, "-dane_tlsa_rrdata", r.String())
			given++
		}
	}
	if given == 0 {
		return opinion{depth: -1, text: "no record to ask about"}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", args...)
	b, err := cmd.CombinedOutput()
	o := opinion{depth: -1, text: string(b)}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		return o, fmt.Errorf("openssl: %w: %s", err, b)
	}
	m := matchedAt.FindSubmatch(b)
	switch {
	case bytes.Contains(b, []byte("Verification: OK")) && m != nil:
		o.ok = true
		o.depth, err = strconv.Atoi(string(m[1]))
		return o, err
	case bytes.Contains(b, []byte("Verification error")), bytes.Contains(b, []byte("Failed to import any TLSA records")):
		return o, nil
	}
	return o, fmt.Errorf("openssl says neither yes nor no: %s", b)
}

func sniOf(i int) string { return "case" + strconv.Itoa(i) + ".test" }

// serveChains is a TLS server that shows the chain of the case that the client names,
// and ends when the test does.
func serveChains(t *testing.T, cases []daneCase) string {
	t.Helper()
	certs := map[string]*tls.Certificate{}
	for i, c := range cases {
		tc := &tls.Certificate{PrivateKey: c.chain.sent[0].key}
		for _, n := range c.chain.sent {
			tc.Certificate = append(tc.Certificate, n.cert.Raw)
		}
		certs[sniOf(i)] = tc
	}
	cfg := &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if c := certs[h.ServerName]; c != nil {
			return c, nil
		}
		return nil, fmt.Errorf("no case %q", h.ServerName)
	}}
	return servetest.TCP(t, func(c net.Conn) {
		if c.SetDeadline(time.Now().Add(20*time.Second)) != nil {
			return
		}
		s := tls.Server(c, cfg)
		if s.Handshake() == nil {
			_, _ = s.Read(make([]byte, 1)) // until the client goes
		}
	})
}

// askGnuTLS builds the small program of testdata and gives it all cases.
func askGnuTLS(t *testing.T, cases []daneCase) []opinion {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "gnutls_dane")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "gcc", "-O1", "-Wall", "-o", program, "testdata/gnutls_dane.c", "-lgnutls-dane", "-lgnutls")
	if b, err := build.CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, b)
	}
	var in bytes.Buffer
	for _, c := range cases {
		fmt.Fprintln(&in, len(c.chain.sent))
		for _, n := range c.chain.sent {
			fmt.Fprintln(&in, hex.EncodeToString(n.cert.Raw))
		}
		fmt.Fprintln(&in, len(c.records))
		for _, r := range c.records {
			fmt.Fprintln(&in, hex.EncodeToString(r.AppendWire(nil)))
		}
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Stdin = &in
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("gnutls_dane: %v", err)
	}
	var out []opinion
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		out = append(out, opinion{ok: s.Text() == "match", depth: -1, text: s.Text()})
	}
	if len(out) != len(cases) {
		t.Fatalf("gnutls_dane: %d answers to %d cases", len(out), len(cases))
	}
	return out
}

// needs skips the test if a program or the header of libgnutls-dane is missing, and
// fails it where peers are required.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	var lacks []string
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			lacks = append(lacks, p)
		}
	}
	if _, err := os.Stat("/usr/include/gnutls/dane.h"); err != nil {
		lacks = append(lacks, "libgnutls28-dev")
	}
	if len(lacks) == 0 {
		return
	}
	why := "a second opinion needs " + strings.Join(lacks, ", ")
	if os.Getenv(peers.RequireEnv) != "" {
		t.Fatalf("%s, and %s is set", why, peers.RequireEnv)
	}
	t.Skip(why)
}

func certificates(nodes []*daneNode) []*x509.Certificate {
	var out []*x509.Certificate
	for _, n := range nodes {
		out = append(out, n.cert)
	}
	return out
}

var host = nametest.Host
