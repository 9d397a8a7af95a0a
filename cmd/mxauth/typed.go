package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/mxauth/mxauth/internal/literal"
	"github.com/mxauth/mxauth/rfc6125"
)

// What people type or paste in place of a domain: a URL, a mail address, a host with its
// port, the name of a record. Such a text is never taken for a domain, since another
// question would be answered than was asked; the hint says what to type.

// A meantError says that a text is no domain, and what may have been meant.
type meantError struct {
	err    error
	domain string // what to type in its place
	host   string // for verbs that take a host without MX lookup; "" if there is none
}

func (e *meantError) Error() string { return e.err.Error() }
func (e *meantError) Unwrap() error { return e.err }

// hint says what to type; verb is the command so far.
func (e *meantError) hint(verb string) string {
	takesHosts := strings.HasSuffix(verb, " check") || strings.HasSuffix(verb, " plan")
	switch {
	case e.domain == "" && e.host != "" && takesHosts:
		return "for this host alone: " + verb + " " + shellWord(e.host)
	case e.domain == "":
		return "give the domain that mail is sent to, the part after the @ of an address"
	case e.host != "" && takesHosts:
		return fmt.Sprintf("for the domain: %s %s; for this host alone, without MX lookup: %s %s", verb, e.domain, verb, shellWord(e.host))
	}
	return "type " + verb + " " + e.domain
}

// recordNames are the labels before a domain in the names of records about its mail.
var recordNames = []struct{ labels, what string }{
	{"_mta-sts.", "the name of the MTA-STS record"},
	{"_smtp._tls.", "the name of the TLSRPT record"},
	{"_dmarc.", "the name of the DMARC record"},
}

// noDomain says why a text given as a domain is none, and what may have been meant;
// nil for what can be one. It looks at the text alone: a daemon is asked about texts, too.
func noDomain(s string) error {
	t := strings.Trim(strings.TrimSpace(s), "<>\"',;")
	low := strings.ToLower(t)
	switch {
	case s == "-":
		return &exitError{code: exitUsage, err: errors.New("this verb reads no list from standard input"), hint: "give the domain as an argument; check, plan and lint read a list with -"}
	case strings.Contains(t, "://"):
		u, err := url.Parse(t)
		if err != nil || u.Hostname() == "" {
			return nil
		}
		return meantBy(fmt.Errorf("%.200q is a URL, not a domain", s), domainOfHost(u.Hostname()), "")
	case strings.HasPrefix(low, "mailto:"), strings.Contains(t, "@"):
		_, err := rfc6125.ParseHost(s)
		if err == nil {
			return nil
		}
		return meantBy(fmt.Errorf("%w (want the part after the @)", err), t[strings.LastIndex(t, "@")+1:], "")
	case strings.Contains(t, "/"):
		host, _, _ := strings.Cut(t, "/")
		return meantBy(fmt.Errorf("%.200q is a URL or a file, not a domain", s), domainOfHost(host), "")
	case strings.HasPrefix(low, "version:"):
		return &exitError{code: exitUsage, err: fmt.Errorf("%.80q is a line of an MTA-STS policy, not a domain", s), hint: "to check a policy file: mxauth sts lint FILE, or mxauth sts lint - for standard input"}
	}
	if a, err := netip.ParseAddr(strings.Trim(t, "[]")); err == nil && !strings.HasPrefix(s, "[") {
		_, perr := rfc6125.ParseHost(s)
		if perr == nil {
			return nil
		}
		return &meantError{err: fmt.Errorf("%w (an address is written in brackets, and only where a host may be given)", perr), host: literal.String(a)}
	}
	if host, port, ok := strings.Cut(t, ":"); ok && port != "" && strings.Trim(port, "0123456789") == "" {
		return meantBy(fmt.Errorf("%.200q is a host with a port, not a domain", s), domainOfHost(host), "["+host+"]:"+port)
	}
	for _, r := range recordNames {
		if rest, ok := strings.CutPrefix(low, r.labels); ok {
			return meantBy(fmt.Errorf("%.200q is %s, not a domain", s, r.what), rest, "")
		}
	}
	if first, rest, ok := strings.Cut(low, "._tcp."); ok && strings.HasPrefix(first, "_") {
		return meantBy(fmt.Errorf("%.200q is the name of TLSA records, not a domain", s), rest, "["+rest+"]:"+strings.TrimPrefix(first, "_"))
	}
	if _, err := rfc6125.ParseHost(s); err != nil && t != s {
		return meantBy(err, t, "")
	}
	if repaired := slips.Replace(s); repaired != s {
		if _, err := rfc6125.ParseHost(s); err != nil {
			return meantBy(err, repaired, "")
		}
	}
	return nil
}

// slips are slips of the keyboard in a domain, and what is meant.
var slips = strings.NewReplacer(",", ".", ";", ".", "..", ".")

// meantBy is a meantError, if a domain can be made out.
func meantBy(err error, domain, host string) error {
	h, perr := rfc6125.ParseHost(domain)
	if perr != nil {
		return err
	}
	return &meantError{err: err, domain: h.String(), host: host}
}

// domainOfHost is the domain whose policy host a host is, else the host itself.
func domainOfHost(host string) string {
	if rest, ok := strings.CutPrefix(strings.ToLower(host), "mta-sts."); ok && strings.Contains(rest, ".") {
		return rest
	}
	return host
}

// checkArgument is checkNextHop for an argument of the command line, which may name a file.
func checkArgument(s string) error {
	if err := fileTyped(s); err != nil {
		return err
	}
	return checkNextHop(s)
}

// fileTyped is for an argument of the command line that names a file in a folder in place of
// a domain; nil if it does not. Texts of other origin must not be looked for among the files.
func fileTyped(s string) error {
	if !strings.Contains(s, "/") || strings.Contains(s, "://") || strings.Contains(s, "@") {
		return nil
	}
	if st, err := os.Stat(s); err != nil || !st.Mode().IsRegular() {
		return nil
	}
	return fileGiven(s)
}

// fileGiven is for a file in place of a domain.
func fileGiven(name string) error {
	return &exitError{code: exitUsage, err: fmt.Errorf("%.200q is a file, not a domain", name),
		hint: "to read domains from it, one a line, give - and the file on standard input: - < " + shellWord(name)}
}

// policyHostNote says, for a name that may well be a domain, that another is probably meant.
func (e *env) policyHostNote(verb, arg string) {
	if rest := domainOfHost(strings.TrimSuffix(arg, ".")); rest != strings.TrimSuffix(arg, ".") && strings.HasPrefix(strings.ToLower(arg), "mta-sts.") {
		if _, err := rfc6125.ParseHost(rest); err == nil {
			e.out.Notef("%s is the policy host of %s and hardly a mail domain; for that domain type %s %s", arg, rest, verb, rest)
		}
	}
}

// looksLikeFile reports whether an argument that is no file was meant to be one.
func looksLikeFile(arg string) bool {
	low := strings.ToLower(arg)
	for _, end := range []string{".txt", ".policy", ".json", ".csv"} {
		if strings.HasSuffix(low, end) {
			return true
		}
	}
	return strings.ContainsRune(arg, os.PathSeparator) && !strings.Contains(arg, "://")
}

// noFile is for an argument that names no file.
func noFile(arg string) error {
	return &exitError{code: exitUsage, err: fmt.Errorf("%.200q: %w", arg, fs.ErrNotExist),
		hint: "give the path of the policy file, - for standard input, or the domain whose policy to look at"}
}
