package explain

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/zonefile"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// What MTA-STS came to, in clauses.

// policyURL is where the policy of a domain is served.
func policyURL(domain string) string {
	return "https://mta-sts." + domain + "/.well-known/mta-sts.txt"
}

// recordName is where a domain announces its policy.
func recordName(domain string) string { return "_mta-sts." + domain }

// recordTexts are the TXT records of an answer, each with its strings joined.
func recordTexts(a dnssec.Answer) (out []string) {
	for _, r := range a.Records {
		if t, err := r.TXT(); err == nil {
			out = append(out, strings.Join(t, ""))
		}
	}
	return out
}

// recordFault is a fault of the TXT record: a clause, and what to write. ok is false where
// the domain has no record that is meant to be one.
func recordFault(p *engine.Plan) (clause, cure string, ok bool) {
	r := &p.STS
	texts := recordTexts(r.Answer)
	if !errors.Is(r.TXTErr, sts.ErrNoRecord) || len(texts) == 0 {
		return "", "", false
	}
	name := recordName(p.Orig.String())
	if n := countRecords(texts); n > 1 {
		return fmt.Sprintf("%s has %d TXT records that begin with v=STSv1, and only one is allowed", name, n),
			fmt.Sprintf("Delete all but one of the TXT records that begin with v=STSv1 at %s.", name), true
	}
	for _, f := range sts.LintRecord(texts) {
		if !f.Fatal {
			continue
		}
		if f.Text == "" || !slices.ContainsFunc(texts, sts.MeansRecord) {
			return "", "", false
		}
		text := quoted(f.Text)
		if whole := meant(texts); f.Field != "" && whole != f.Text {
			text = quoted(whole)
		}
		why := clip(f.Why)
		if f.Missing {
			why = "it has no " + clip(f.Field)
		}
		return fmt.Sprintf("the TXT record at %s, %s, does not count: %s", name, text, why),
			"Correct the TXT record so that it reads (the id is any new sequence of letters and digits):", true
	}
	return "", "", false
}

// recordCure is a cure of the record, with the line that it comes to where it ends in a
// colon.
func recordCure(p *engine.Plan, fix string) Cure {
	if strings.HasSuffix(fix, ":") {
		return cure(fix, recordLine(p))
	}
	return cure(fix)
}

// meant is the text that is meant to be the record.
func meant(texts []string) string {
	for _, t := range texts {
		if sts.MeansRecord(t) {
			return t
		}
	}
	return ""
}

func countRecords(texts []string) (n int) {
	for _, t := range texts {
		if head, _, ok := strings.Cut(t, ";"); ok && strings.TrimRight(head, " \t") == "v=STSv1" {
			n++
		}
	}
	return n
}

// NewPolicyID returns an id for the record of a policy that is published now: the day on which
// the plan was made, or the second where an id of that day is published or kept already. It is
// empty for a plan without a time (RFC 8461 section 3.1).
func NewPolicyID(p *engine.Plan) string {
	if p.Made.IsZero() {
		return ""
	}
	at := p.Made.UTC()
	day := at.Format("20060102")
	taken := func(id string) bool { return strings.Contains(id, day) }
	if taken(p.STS.Record.ID) || taken(p.STS.ID) || slices.ContainsFunc(recordTexts(p.STS.Answer), taken) {
		return at.Format("20060102150405")
	}
	return day + "000000"
}

// newRecord is a record with a new id.
func newRecord(p *engine.Plan) string {
	return sts.Record{ID: NewPolicyID(p)}.String()
}

// recordLine is the line of a zone file of the record with a new id.
func recordLine(p *engine.Plan) string {
	return fmt.Sprintf("%s. IN TXT %s", recordName(p.Orig.String()), zonefile.TXT(newRecord(p)))
}

// fetchOf returns the evidence of a failed fetch; nil if there is none.
func fetchOf(err error) *sts.FetchError {
	var f *sts.FetchError
	if errors.As(err, &f) {
		return f
	}
	return nil
}

// A fileFault is what keeps a policy file that is announced from counting.
type fileFault struct {
	clause string // "the policy file ... has text/html in place of text/plain"
	cure   string
}

// policyFile says what is wrong with the policy file of the domain, where its fetch failed.
func policyFile(p *engine.Plan, err error) fileFault {
	domain := p.Orig.String()
	url, host := policyURL(domain), "mta-sts."+domain
	f := fetchOf(err)
	detail := ""
	if f != nil {
		detail = clip(f.Detail)
		if detail == "" && f.Cause != nil {
			detail = strings.TrimPrefix(clip(f.Cause.Error()), alertWords)
		}
	} else if err != nil {
		detail = clip(err.Error())
	}
	in := ""
	if detail != "" {
		in = " (" + detail + ")"
	}
	var syntax *sts.SyntaxError
	switch {
	case errors.As(err, &syntax):
		where := ""
		if syntax.Line > 0 {
			where = fmt.Sprintf(" in line %d", syntax.Line)
		}
		what := clip(syntax.Why)
		if syntax.Field != "" && !strings.Contains(what, syntax.Field) {
			what = syntax.Field + ": " + what
		}
		if syntax.Text != "" && !strings.Contains(what, syntax.Text) {
			what += ": " + quoted(syntax.Text)
		}
		cure := fmt.Sprintf("Correct the file %s", url)
		if isHTML(syntax.Text) {
			what = "it is a web page (HTML) and no policy: it begins with " + quoted(syntax.Text)
			cure = fmt.Sprintf("Let the web server deliver the policy at %s in place of the web page; its first line is `version: STSv1`", url)
		} else if syntax.Cure != "" {
			cure += ": " + clip(syntax.Cure)
		} else if syntax.Line > 0 {
			cure += fmt.Sprintf(", line %d", syntax.Line)
		}
		return fileFault{fmt.Sprintf("the policy file %s is malformed%s: %s", url, where, what), cure + "."}
	case errors.Is(err, sts.ErrPolicy):
		return fileFault{fmt.Sprintf("the policy file %s is malformed%s", url, in), fmt.Sprintf("Correct the file %s: `mxauth lint %s` shows each line that is wrong.", url, domain)}
	case errors.Is(err, sts.ErrFetchRedirect):
		return fileFault{fmt.Sprintf("the web server answers %s with a redirect%s, and senders do not follow redirects for a policy", url, in),
			fmt.Sprintf("Let the web server %s deliver the file itself with status 200, without redirect.", host)}
	case errors.Is(err, sts.ErrFetchStatus):
		status := ""
		if f != nil && f.Status != 0 {
			status = fmt.Sprintf(" with status %d", f.Status)
		}
		return fileFault{fmt.Sprintf("the web server answers %s%s in place of the policy file", url, status),
			fmt.Sprintf("Put the policy file at %s, so that it is delivered with status 200.", url)}
	case errors.Is(err, sts.ErrFetchMediaType):
		if f != nil && f.Note == sts.NoteEncoding {
			return fileFault{fmt.Sprintf("the web server delivers %s compressed%s", url, in),
				fmt.Sprintf("Let the web server %s deliver the file uncompressed to clients that do not ask for compression.", host)}
		}
		return fileFault{fmt.Sprintf("the web server delivers %s with a media type other than text/plain%s", url, in),
			fmt.Sprintf("Let the web server %s deliver the file with the header `Content-Type: text/plain`.", host)}
	case errors.Is(err, sts.ErrFetchWebPKI):
		s := &reason.Shown{Chain: p.STS.Chain, Err: err, At: p.Made}
		if c := leaf(p.STS.Chain); c != nil {
			s.Presented = rfc6125.PresentedBy(c).Names()
		}
		return webCertificate(host, url, judgeChain(s), in)
	case errors.Is(err, sts.ErrFetchSize):
		return fileFault{fmt.Sprintf("the policy file %s is too large%s", url, in), "Make it smaller: a policy has a few hundred bytes."}
	case errors.Is(err, sts.ErrFetchDNS):
		if f != nil && OwnFault(f.Cause) != NoHint {
			return fileFault{"the policy cannot be fetched: " + failedLookup(f.Cause, "the addresses of "+host),
				"Repair the resolver of this machine, and look again."}
		}
		return fileFault{fmt.Sprintf("the policy host %s has no address that can be looked up%s, so the policy cannot be fetched", host, inDNS(f)),
			fmt.Sprintf("Give %s an A or AAAA record of the web server that serves %s; or, if there is to be no policy, delete the TXT record at %s.", host, url, recordName(domain))}
	case errors.Is(err, sts.ErrFetchAddress):
		return fileFault{fmt.Sprintf("the policy host %s has an address that is not public%s", host, in),
			fmt.Sprintf("Give %s a public address.", host)}
	case errors.Is(err, sts.ErrFetchTLS):
		return fileFault{fmt.Sprintf("the TLS handshake with the policy host %s fails%s", host, in),
			fmt.Sprintf("Let the web server %s offer TLS 1.2 or later with a certificate of that name; its log says why the handshake fails.", host)}
	case errors.Is(err, sts.ErrFetchTCP):
		return fileFault{fmt.Sprintf("the web server %s accepts no connection on port 443%s", host, in),
			fmt.Sprintf("Let a web server with HTTPS run at the address of %s and be reachable on port 443.", host)}
	case errors.Is(err, sts.ErrFetchTimeout):
		return fileFault{fmt.Sprintf("the policy host %s does not deliver the policy in time%s", host, in),
			fmt.Sprintf("See why the web server %s does not answer: try `curl -v %s`.", host, url)}
	case errors.Is(err, sts.ErrFetchHTTP):
		return fileFault{fmt.Sprintf("the web server breaks off its answer to %s, or it is malformed%s", url, in),
			fmt.Sprintf("See what the web server answers: `curl -v %s`.", url)}
	}
	return fileFault{fmt.Sprintf("the policy file %s could not be fetched%s", url, in),
		fmt.Sprintf("See that %s is delivered with status 200 as text/plain.", url)}
}

// inDNS is the DNS side of a failed fetch, in brackets.
func inDNS(f *sts.FetchError) string {
	if f == nil {
		return ""
	}
	if le := lookupOf(f.Cause); le != nil {
		return " (" + failedLookup(f.Cause, "its addresses") + ")"
	}
	return " (no A or AAAA record)"
}

// isHTML reports whether a text is the beginning of a web page.
func isHTML(s string) bool {
	t := strings.ToLower(strings.TrimSpace(s))
	return strings.HasPrefix(t, "<!doctype") || strings.HasPrefix(t, "<html") || strings.HasPrefix(t, "<?xml")
}

// webCertificate is the fault of the policy host's certificate.
func webCertificate(host, url string, f certFault, in string) fileFault {
	clause := strings.Replace(f.clause, "its certificate", "the certificate of the web server "+host, 1)
	if f.clause == "" || !strings.Contains(clause, host) {
		clause = fmt.Sprintf("the certificate of the web server %s is not accepted: %s", host, strings.Replace(f.clause, "it ", "the server ", 1))
	}
	cure := fmt.Sprintf("Give the web server %s a certificate of a public CA for that name, with its chain.", host)
	switch f.trouble {
	case certFine:
		clause = fmt.Sprintf("the certificate of the web server %s is not accepted%s", host, in)
	case certName:
		clause = strings.Replace(clause, " names ", " is for ", 1) + ", not for " + host
		if c := f.leaf; c != nil && strings.EqualFold(c.Subject.CommonName, host) {
			clause = fmt.Sprintf("the certificate of the web server %s has its name only as Common Name, and the subjectAltName counts", host)
		}
		cure = fmt.Sprintf("Give the web server %s a certificate whose subjectAltName has that name.", host)
	case certExpired:
		cure = fmt.Sprintf("Renew the certificate of the web server %s.", host)
	case certIssuerOld:
		cure = fmt.Sprintf("Let the web server %s send the current intermediate certificates of its CA.", host)
	case certEarly:
		cure = fmt.Sprintf("Give the web server %s a certificate that is valid now.", host)
	case certIncomplete:
		clause = fmt.Sprintf("the web server %s sends its certificate without the intermediate certificate of the issuer (%s)", host, quoted(issuerOf(f.cert)))
		cure = fmt.Sprintf("Let the web server %s send the intermediate certificate with its own (the file with the chain, often called fullchain.pem).", host)
	}
	return fileFault{fmt.Sprintf("the policy %s does not count, because %s", url, clause), cure}
}

// kept says in a sentence that a kept copy of the policy is applied, and how it compares with
// what is published; "" where it is not.
func kept(p *engine.Plan) string {
	r := &p.STS
	if !r.Cached || r.Policy == nil {
		return ""
	}
	how := ""
	switch {
	case r.Pending && r.TXTErr == nil:
		how = "whether the published one differs is not known yet"
	case r.TXTErr == nil && r.FetchErr == nil:
		how = "the published record still has its id"
	case r.TXTErr == nil:
		how = fmt.Sprintf("the published record announces another one (id %s), which does not count: %s", quoted(r.Record.ID), policyFile(p, r.FetchErr).clause)
	case errors.Is(r.TXTErr, sts.ErrNoRecord):
		how = fmt.Sprintf("the TXT record at %s is gone", recordName(p.Orig.String()))
		if c, _, ok := recordFault(p); ok {
			how = "the published record does not count: " + c
		}
	default:
		how = "the published record cannot be looked up now"
	}
	return fmt.Sprintf("The policy is a kept copy (mode %s), fetched on %s and valid until %s; %s.", r.Policy.Mode, moment(r.Fetched), moment(r.Expires), how)
}
