package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/lab/labtest"
)

// checked are the worlds whose answers testdata/check holds, a file each: at least one for
// each cause that an administrator can meet.
var checked = strings.Fields(`
	dane-ee dane-ta sts-enforce sts-testing classic-mismatch signed-nothing literal
	stripped-dane stripped-sts stripped-nothing one-of-two mx-order
	tlsa-mismatch agility-weak unusable-pkix-ee unusable-junk unusable-beside unusable-testing
	ta-incomplete ta-other ta-name-wrong ta-expired ta-ca-expired half-dane half-dane-mismatch half-dane-ta-domain
	sts-none sts-no-match sts-wildcard-deep sts-testing-no-match sts-txt-two sts-txt-malformed sts-txt-servfail
	sts-404 sts-redirect sts-html sts-conn-refused sts-no-host sts-cert-expired sts-cert-incomplete sts-cert-cn sts-syntax sts-no-max-age
	near-policy-utf-16 near-txt-quoted
	mx-expired mx-ca-expired mx-self mx-private mx-incomplete mx-name mx-name-cn mx-client
	both-sts-fails alias-insecure-end-none tlsa-alias-insecure alias-sts-target
	tlsa-servfail tlsa-timeout tlsa-expired tlsa-bad-signature tlsa-stripped tlsa-denied-nsec tlsa-denial-expired nsec3-many-none
	ds-wrong ds-missing ds-denied zone-unknown-algorithm ds-unknown-digest zone-expired optout-tld
	mx-servfail mx-refused a-servfail aaaa-servfail alias-loop no-address null-mx no-such-domain mx-address
	conn-refused conn-timeout greeting-421 greeting-junk greeting-hang dane-close dane-hang dane-tls10 dane-alert may-454 dane-injected
	level-dane-only-none level-secure-names-wrong requiretls-insecure requiretls-not-offered tls-required-no-mismatch audit-mismatch
	two-keys-only-ecdsa two-keys-neither two-keys-enforce-expired`)

// faults are what the first paragraph of an answer has to name: the record, file,
// certificate or server at fault, and the value that is wrong.
var faults = map[string]string{
	"tlsa-mismatch":            "_25._tcp.mx.tlsa-mismatch.test | 3 1 1 | matches none",
	"agility-weak":             "3 1 1 | 3 1 2 | SHA-512 | strongest",
	"unusable-pkix-ee":         "1 1 1 | usage 1 | _25._tcp.mx.unusable-pkix-ee.test",
	"unusable-junk":            "2 0 0 | no certificate",
	"unusable-beside":          "authenticated | Also: One of the TLSA records | 1 1 1",
	"ta-incomplete":            "sends only its own certificate | mail operators' private issuing CA",
	"ta-name-wrong":            "mail.example | mx.ta-name-wrong.test",
	"ta-expired":               "expired on 2026-06-01",
	"ta-ca-expired":            "faulty issuing CA: issuer-expired | expired on 2026-05-31",
	"half-dane":                "the zone half-dane.test is not signed (no DS record in test)",
	"half-dane-ta-domain":      "half-dane-ta-domain.test does not count here",
	"sts-none":                 "mode none",
	"sts-testing":              "mode testing",
	"sts-testing-no-match":     "mode testing | does not list the MX host mx.sts-testing-no-match.test | mx.elsewhere.test",
	"sts-no-match":             "mx.sts-no-match.test | mx.elsewhere.test",
	"sts-wildcard-deep":        "*.sts-wildcard-deep.test | exactly one label",
	"sts-txt-two":              "_mta-sts.sts-txt-two.test has 2 TXT records",
	"sts-txt-malformed":        "_mta-sts.sts-txt-malformed.test | it has no id",
	"sts-txt-servfail":         "SERVFAIL | _mta-sts.sts-txt-servfail.test",
	"sts-404":                  "https://mta-sts.sts-404.test/.well-known/mta-sts.txt | 404",
	"sts-redirect":             "redirect | elsewhere/mta-sts.txt",
	"sts-html":                 "text/html",
	"sts-conn-refused":         "mta-sts.sts-conn-refused.test | connection refused",
	"sts-no-host":              "mta-sts.sts-no-host.test | no A or AAAA record",
	"sts-cert-expired":         "mta-sts.sts-cert-expired.test | expired on 2026-06-01",
	"sts-cert-incomplete":      "mta-sts.sts-cert-incomplete.test | intermediate | mxauth lab issuing CA",
	"sts-cert-cn":              "mta-sts.sts-cert-cn.test | Common Name",
	"sts-syntax":               "line 1 | enforce everything",
	"sts-no-max-age":           "no max_age",
	"mx-expired":               "mx.mx-expired.test | expired on 2026-06-01",
	"mx-ca-expired":            "issuing certificate | expired on 2026-05-31",
	"mx-self":                  "self-signed",
	"mx-private":               "mail operators' private root CA",
	"mx-incomplete":            "without that of the issuer | mxauth lab issuing CA",
	"mx-name":                  "mx.example | mx.mx-name.test",
	"mx-name-cn":               "Common Name",
	"two-keys-only-ecdsa":      "The RSA key that mx.two-keys-only-ecdsa.test shows | second certificate, with an ECDSA key, and that one is good",
	"two-keys-neither":         "The ECDSA key that mx.two-keys-neither.test shows | RSA key, and that one matches none",
	"two-keys-enforce-expired": "The RSA certificate of mx.two-keys-enforce-expired.test expired on 2026-06-01 | ECDSA key, and that one is good",
	"mx-client":                "not made for servers",
	"both-sts-fails":           "authenticated | Also: The certificate of mx.both-sts-fails.test is self-signed",
	"alias-insecure-end-none":  "alias (CNAME) of host.alias-insecure-end-none-to.test | the zone alias-insecure-end-none-to.test is not signed",
	"tlsa-alias-insecure":      "alias (CNAME) | is not signed",
	"alias-sts-target":         "lists the alias target host.alias-sts-target-to.test",
	"tlsa-servfail":            "SERVFAIL | _25._tcp.mx.tlsa-servfail.test",
	"tlsa-timeout":             "no answer in time | _25._tcp.mx.tlsa-timeout.test",
	"tlsa-expired":             "expired on 2026-05-31 | _25._tcp.mx.tlsa-expired.test",
	"tlsa-bad-signature":       "does not verify | _25._tcp.mx.tlsa-bad-signature.test",
	"tlsa-stripped":            "without a signature (RRSIG) | _25._tcp.mx.tlsa-stripped.test",
	"tlsa-denied-nsec":         "NSEC | belong to other names",
	"tlsa-denial-expired":      "the NSEC or NSEC3 record that says there are no TLSA records",
	"nsec3-many-none":          "NSEC3 with 500 iterations | 150",
	"ds-wrong":                 "DS record of the zone ds-wrong.test",
	"ds-missing":               "the zone ds-missing.test is not signed (no DS record in test)",
	"ds-denied":                "parent zone ds-denied.test | DS record of child.ds-denied.test",
	"zone-unknown-algorithm":   "algorithm 240",
	"ds-unknown-digest":        "digest type 250",
	"zone-expired":             "the zone zone-expired.test | expired on 2026-05-31",
	"optout-tld":               "optout-tld.optout is not signed | opt-out",
	"mx-servfail":              "SERVFAIL | mx-servfail.test",
	"mx-refused":               "REFUSED | This says nothing about the domain",
	"a-servfail":               "SERVFAIL | address records",
	"aaaa-servfail":            "authenticated | Also: | AAAA",
	"alias-loop":               "loop",
	"no-address":               "mx.no-address.test has no address",
	"null-mx":                  "`0 .`",
	"no-such-domain":           "does not exist",
	"mx-address":               "Also: | 192.0.2.1",
	"one-of-two":               "authenticated | No mail goes to mx1.one-of-two.test now",
	"near-policy-utf-16":       "mta-sts.txt | UTF-16",
	"near-txt-quoted":          "_mta-sts.near-txt-quoted.test | quotation mark",
	"level-secure-names-wrong": "mail.example | the host's own name",
	"conn-refused":             "mx.conn-refused.test | refused",
	"conn-timeout":             "no answer in time",
	"greeting-421":             "421",
	"greeting-junk":            "does not speak SMTP",
	"greeting-hang":            "does not answer in time",
	"dane-close":               "closes the connection",
	"dane-hang":                "sends nothing",
	"dane-tls10":               "no TLS version from 1.2 on",
	"dane-alert":               "alert (handshake failure)",
	"may-454":                  "454 4.7.0",
	"dane-injected":            "plain text after its reply to STARTTLS",
	"requiretls-not-offered":   "does not offer REQUIRETLS",
	"cached-new-fails":         "kept copy | fetched on | valid until | announces another one",
	"cached-txt-gone":          "kept copy | the TXT record at _mta-sts.cached-txt-gone.test is gone",
	"cached-new-webpki":        "kept copy | the certificate of the web server",
}

// remembered are worlds of which something was kept: they are checked, changed, and checked
// again with the same store.
var remembered = strings.Fields(`cached-new-fails cached-txt-gone cached-new-webpki memory-dane-alert memory-tls-defer`)

// loopback is what differs from run to run: the addresses of the lab.
var loopback = regexp.MustCompile(`(127\.\d+\.\d+\.\d+)(:\d+)?|\[fd00:[^\]]*\](:\d+)?`)

// plainAnswer takes what differs from run to run out of an answer.
func plainAnswer(s string) string {
	s = keys.ReplaceAllStringFunc(s, func(m string) string { return strings.Repeat("h", len(m)) })
	s = regexp.MustCompile(`[0-9a-f]{18,20}\.\.\.`).ReplaceAllString(s, "hhhhhhhhhhhhhhhhhh...")
	return loopback.ReplaceAllStringFunc(s, func(m string) string {
		if _, port, ok := strings.Cut(m, ":"); ok && (port == "25" || port == "443") {
			return "ADDRESS:" + port
		}
		return "ADDRESS"
	})
}

// TestCheckGolden holds the answers of check to testdata/check. They are to be read aloud:
// a mail administrator who knows no RFC must name cause and cure from the answer alone.
// `go test ./cmd/mxauth -run TestCheckGolden -update` writes them.
func TestCheckGolden(t *testing.T) {
	names := slices.Concat(checked, remembered)
	worlds := labtest.Worlds(t, names...)
	if len(names) < 60 {
		t.Fatalf("%d worlds", len(names))
	}
	l := &goldenLab{testLab: startLab(t, worlds, goldenClock)}
	var lines []int // of answers about one host
	for _, w := range l.Worlds() {
		t.Run(w.Name, func(t *testing.T) {
			args := slices.Concat([]string{"check", "--timeout", "2s", "--helo", "mail.example.net"}, l.flags)
			if w.Was != nil {
				args = append(args, "--store", "bolt:"+filepath.Join(t.TempDir(), "store"))
				inProcess(t, l.Dial, goldenClock, slices.Concat(args, w.Args())...)
				if err := l.Forge(w.Name); err != nil {
					t.Fatal(err)
				}
			}
			out, said, code := inProcess(t, l.Dial, goldenClock, slices.Concat(args, w.Args())...)
			if n := strings.Count(out, "(preference "); n == 1 && w.Hosts[0].Second == nil { // two certificates are as much as two hosts
				lines = append(lines, strings.Count(out, "\n"))
			}
			plainWords(t, out)
			first, _, _ := strings.Cut(out, "\n  for the ")
			for want := range strings.SplitSeq(faults[w.Name], " | ") {
				if !strings.Contains(strings.Join(strings.Fields(first), " "), want) {
					t.Errorf("the cause lacks %q:\n%s", want, first)
				}
			}
			got := plainAnswer(fmt.Sprintf("$ mxauth check %s\n%s%s[exit status %d]\n", strings.Join(w.Args(), " "), out, said, code))
			golden(t, filepath.Join("testdata", "check", w.Name), got)
		})
	}
	slices.Sort(lines)
	if n := len(lines); n < 60 || lines[n/2] > maxMedian {
		t.Errorf("%d answers about one host have a median of %d lines, more than %d", n, lines[n/2], maxMedian)
	}
	files, err := os.ReadDir(filepath.Join("testdata", "check"))
	if err != nil || len(files) != len(worlds) {
		t.Errorf("%d files for %d answers, %v", len(files), len(worlds), err)
	}
}

// maxMedian is how many lines the answer about a domain with one host has, as a rule.
const maxMedian = 16

// tableWords are words of the code that mean nothing to an administrator. The value of a
// Postfix parameter is another matter.
var tableWords = regexp.MustCompile(`\b(nodata|nxdomain|bogus|indeterminate|skip|sts:|dns:)|\bmay [a-z]|\bHOST\b|\bDOMAIN\b|\x1b|%!`)

// plainWords holds an answer to plain words.
func plainWords(t *testing.T, out string) {
	t.Helper()
	folded := strings.ReplaceAll(strings.Join(strings.Fields(out), " "), "= may`", "")
	if m := tableWords.FindString(folded); m != "" {
		t.Errorf("%q in\n%s", m, out)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); len(line) > 60 && seen[line] && !strings.HasPrefix(line, "certificate ") {
			t.Errorf("said twice: %s\n%s", line, out)
		}
		seen[line] = true
	}
}
