package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/vectors"
)

// A situation is a line of shared/field/explain/check.jsonl: what a domain publishes, what
// its servers do, and what must and must not be said about it.
type situation struct {
	ID, Why   string
	Published published
	// Cause must occur in the first paragraph, Cure in what the owner is told, each
	// expression in one of its forms; Never nowhere.
	Cause, Cure, Never []string
	// Unless is an expression for verdicts about which nothing is asked.
	Unless string
}

type published struct {
	Records [][3]string
	Hosts   []publishedHost
	STS     *publishedSTS
}

type publishedHost struct {
	Pref    *uint16
	TLSA    []string
	Cert    publishedCert
	TLS     string
	Address string
	FQDN    string
}

type publishedCert struct {
	SAN   []string
	CN    string
	CA    string
	Days  []int
	Chain []string
}

type publishedSTS struct {
	Body   string
	TXT    []string
	Status int
	CType  string
	Cert   publishedCert
	Host   string
}

// The zones in which the situations lie: what is not in the list is signed and in order.
var factZones = map[string]lab.Zone{
	"sts.test":             {Sign: lab.Unsigned},
	"hosted-plain.test":    {Sign: lab.Unsigned},
	"plainhosts.dane.test": {Sign: lab.Unsigned},
	"dane.test":            {},
	"ssts.test":            {},
	"hosted.test":          {},
	"bogus-provider.test":  {Break: []lab.Break{{What: lab.Expired}}},
	"alg100.test":          {Algorithm: 100},
	"baddigest.test":       {DS: lab.DSUnknownDigest},
	"nods.test":            {DS: lab.DSMissing},
	"f-strip.test":         {Break: []lab.Break{{What: lab.Stripped, Type: "TLSA"}}},
	"f-bogus.test":         {Break: []lab.Break{{What: lab.BadSignature, Type: "TLSA"}}},
	"f-nsec.test":          {Break: []lab.Break{{What: lab.BadSignature, Name: "_25._tcp.mx.f-nsec.test", Type: "NSEC"}}},
	"f-replay.test":        {Break: []lab.Break{{What: lab.ForgedDenial, Type: "TLSA"}}},
	"f-mxservfail.test":    {},
	"f-dsstrip.test":       {Break: []lab.Break{{What: lab.NoDenial, Name: "mail.f-dsstrip.test", Type: "DS"}}},
	"mail.f-dsstrip.test":  {DS: lab.DSMissing},
	"f-aaaabogus.test":     {Break: []lab.Break{{What: lab.BadSignature, Type: "AAAA"}}},
}

// factFaults are lookups that fail.
var factFaults = map[string]lab.Fault{
	"f-mxservfail.test": {Name: "f-mxservfail.test", Type: "MX", What: lab.ServFail},
}

// world makes a situation real.
func (s *situation) world(t *testing.T) lab.World {
	t.Helper()
	domain := s.Published.Records[0][0]
	w := lab.World{Name: s.ID, Domain: domain, NoMX: true, Records: []string{}}
	names := []string{domain}
	owners := map[string]string{} // fqdn of host n
	for i, h := range s.Published.Hosts {
		owners[fmt.Sprint(i)] = h.FQDN
	}
	ref := func(data, self string) string { // "3 1 1 leaf@0"
		if what, n, ok := strings.Cut(data, "@"); ok {
			return "{" + tlsaWord(what) + " " + owners[n] + "}"
		}
		return "{" + tlsaWord(data) + " " + self + "}"
	}
	for _, r := range s.Published.Records {
		names = append(names, r[0])
		data := r[2]
		switch r[1] {
		case "TLSA":
			self := s.Published.Hosts[0].FQDN
			data = ref(data, self)
		case "CNAME":
			names = append(names, strings.TrimSuffix(data, "."))
		}
		w.Records = append(w.Records, r[0]+". "+r[1]+" "+data)
	}
	for _, h := range s.Published.Hosts {
		names = append(names, h.FQDN)
		host := lab.Host{Name: h.FQDN, NotMX: true, Chain: h.Cert.chain(t)}
		for _, tlsa := range h.TLSA {
			host.TLSA = append(host.TLSA, tlsaWord(tlsa))
		}
		switch h.TLS {
		case "on":
		case "off":
			host.SMTP.State = lab.NoSTARTTLS
		case "close":
			host.SMTP.State = lab.CloseInHandshake
		case "hang":
			host.SMTP.State = lab.HangInHandshake
		default:
			t.Fatalf("tls %q", h.TLS)
		}
		w.Hosts = append(w.Hosts, host)
	}
	if sts := s.Published.STS; sts != nil {
		w.STS = &lab.STS{Body: lab.Body(sts.Body), TXT: sts.TXT, Chain: sts.Cert.chain(t)}
		switch {
		case sts.Status/100 == 3:
			w.STS.HTTP = lab.HTTPRedirect
		case sts.Status == 404:
			w.STS.HTTP = lab.HTTP404
		case sts.Status != 0 && sts.Status != 200:
			w.STS.HTTP = lab.HTTP500
		case sts.CType != "" && !strings.HasPrefix(sts.CType, "text/plain"):
			w.STS.HTTP = lab.HTTPHTML
		}
		names = append(names, sts.Host)
	}
	for apex, z := range factZones {
		if slices.ContainsFunc(names, func(n string) bool { return n == apex || strings.HasSuffix(n, "."+apex) }) {
			z.Apex = apex
			w.Zones = append(w.Zones, z)
		}
	}
	slices.SortFunc(w.Zones, func(a, b lab.Zone) int { return strings.Compare(a.Apex, b.Apex) })
	if f, ok := factFaults[domain]; ok {
		w.Faults = append(w.Faults, f)
	}
	return w
}

// tlsaWord is a TLSA record in the words of the lab.
func tlsaWord(s string) string {
	numbers, what := s[:strings.LastIndex(s, " ")], s[strings.LastIndex(s, " ")+1:]
	switch what {
	case "stale":
		what = "other"
	case "ta", "int":
		what = "ca"
	}
	return numbers + " " + what
}

// chain is a certificate in the words of the lab.
func (c publishedCert) chain(t *testing.T) lab.Chain {
	t.Helper()
	out := lab.Chain{Names: c.SAN, CN: c.CN}
	switch c.CA {
	case "", "int":
	case "self":
		out.By = lab.SelfSigned
	case "rogue", "taint", "ta":
		out.By = lab.PrivateCA
	case "oldint":
		out.Fault = lab.IssuerExpired
	default:
		t.Fatalf("ca %q", c.CA)
	}
	if len(c.Days) == 2 {
		out.Starts, out.Ends = lab.Seconds(c.Days[0])*lab.Day, lab.Seconds(c.Days[1])*lab.Day
	}
	if len(c.Chain) == 1 {
		out.Send = lab.SendLeaf
	}
	return out
}

// factGroups stand for sentences that are false in a situation.
var factGroups = map[string]string{
	"@published":      `publish(es)? (an?|no|the|neither|both)?[^.]{0,40}MTA-STS policy|(has|have|is|without|there is) no (usable |valid )?(MTA-STS )?policy|publishes no policy`,
	"@fetched":        `could not be fetched|(was|is) not fetched|cannot be fetched|can not be fetched`,
	"@txt":            `\bno (TXT |MTA-STS |STS )?record\b|has no MTA-STS`,
	"@signed":         `signed zone|zone (that is )?signed|\bsign (the|your|its)\b|not signed|unsigned`,
	"@in-signed-zone": `in a signed zone|in a zone signed|in a zone that is signed`,
	"@unsigned-said":  `not signed|unsigned`,
	"@placeholder":    `(?-i:\bHOST\b|\bDOMAIN\b)|<host>|<domain>`,
	"@clock":          `\bclock\b`,
	"@ended":          `have ended|has ended|expired|signatures? that ended`,
	"@suppress":       `suppress`,
	"@changed":        `was changed|has changed|were changed|changed and`,
	"@whole-chain":    `whole chain|full chain|complete chain`,
	"@public-ca":      `certificate of a public CA|from a public CA|by a public CA`,
	"@fits":           `already fits|certificate is (in order|good)|certificate fits`,
}

// factLook makes (?=.*A)(?=.*B) two expressions, which must both occur; package regexp has
// no looking ahead.
func factLook(expr string) (all []string) {
	for strings.HasPrefix(expr, "(?=.*") {
		depth, end := 0, 0
		for i := 0; i < len(expr); i++ {
			switch expr[i] {
			case '\\':
				i++
			case '(':
				depth++
			case ')':
				depth--
			}
			if depth == 0 {
				end = i
				break
			}
		}
		all = append(all, expr[len("(?=.*"):end])
		expr = expr[end+1:]
	}
	if expr != "" {
		all = append(all, expr)
	}
	return all
}

var factDigest = regexp.MustCompile(`\{311(:\d+)?\}`)

// factSays reports whether a text says what an expression looks for.
func factSays(text, expr string, digests []string) bool {
	for _, part := range factLook(expr) {
		part = strings.ReplaceAll(part, `(?<!_)`, `(?:^|[^_])`)
		part = factDigest.ReplaceAllStringFunc(part, func(m string) string {
			n := 0
			fmt.Sscanf(m, "{311:%d}", &n)
			return digests[n]
		})
		if !regexp.MustCompile(`(?is)` + part).MatchString(text) {
			return false
		}
	}
	return true
}

// factOwner is what the owner of the domain is told.
var factOwner = regexp.MustCompile(`(?s)for the owner.*?(?:\n  for the sender|\n\n|$)`)

// judge says what a text lacks, and what it says and must not.
func (s *situation) judge(text string, digests []string) (wrong []string) {
	text = strings.ReplaceAll(text, s.Published.Records[0][0], "dom.test")
	if s.Unless != "" && factSays(text, s.Unless, digests) {
		return nil
	}
	first, _, _ := strings.Cut(text, "\n  for the ")
	if head, rest, ok := strings.Cut(first, "\n\n"); ok {
		para, _, _ := strings.Cut(rest, "\n\n")
		first = head + "\n" + para
	}
	fold := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	for _, c := range []struct {
		what, in string
		exprs    []string
	}{{"cause", fold(first), s.Cause}, {"cure", fold(strings.Join(factOwner.FindAllString(text, -1), " ")), s.Cure}} {
		for _, e := range c.exprs {
			if !factSays(c.in, e, digests) {
				wrong = append(wrong, fmt.Sprintf("%s lacks %s", c.what, e))
			}
		}
	}
	for _, e := range s.Never {
		if g := factGroups[e]; g != "" {
			e = g
		}
		if m := regexp.MustCompile(`(?is)` + e).FindString(fold(text)); m != "" {
			wrong = append(wrong, fmt.Sprintf("says %q", m))
		}
	}
	return wrong
}

// TestFacts holds what check says to shared/field/explain: the facts that must be said of a
// situation, and those that must not. The groups of false sentences (@signed and the like)
// have no expressions there, so those of factGroups are ours.
func TestFacts(t *testing.T) {
	f, err := os.Open(filepath.Join(vectors.Dir(t, ""), "..", "field", "explain", "check.jsonl"))
	if err != nil {
		if os.Getenv(vectors.RequireEnv) != "" {
			t.Fatal(err)
		}
		t.Skip("shared/field/explain is not beside the checkout")
	}
	defer f.Close()
	total, right := 0, 0
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s situation
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		total++
		if t.Run(s.ID, func(t *testing.T) {
			w := s.world(t)
			l := startLab(t, []lab.World{w}, time.Now)
			out, said, _ := inProcess(t, l.Dial, time.Now, slices.Concat([]string{"check", "--timeout", "3s"}, l.flags, []string{w.Domain})...)
			var digests []string
			for i := range w.Hosts {
				data, err := l.TLSA(w.Hosts[i].Name, "3 1 1 leaf")
				if err != nil {
					t.Fatal(err)
				}
				digests = append(digests, strings.Fields(data)[3][:16])
			}
			for _, wrong := range s.judge(out, digests) {
				t.Errorf("%s: %s", s.Why, wrong)
			}
			if t.Failed() || os.Getenv("FACTS_SHOW") != "" {
				t.Logf("%s%s", out, said)
			}
		}) {
			right++
		}
	}
	if err := lines.Err(); err != nil || total == 0 {
		t.Fatalf("%d situations: %v", total, err)
	}
	t.Logf("%d of %d situations right", right, total)
}
