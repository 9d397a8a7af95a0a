package tlsrpt

import (
	"fmt"
	"strings"
)

// flat drops what editors and web forms put around a record.
var flat = strings.NewReplacer("\"", "", "\\", "", "'", "", "\u201c", "", "\u201d", "", "\u2018", "", "\u2019", "", "\u00a0", "", "\ufeff", "", "\u200b", "", " ", "", "\t", "", "-", "", "_", "")

// MeansRecord reports whether a TXT record is meant to be a TLSRPT record, although it may
// be written in a way that no sender reads:
//
//	v=tlsrptv1; rua=mailto:tls@example.org
//	rua=mailto:tls@example.org
func MeansRecord(txt string) bool {
	t := strings.ToLower(flat.Replace(txt))
	for _, w := range []string{"v=tlsrpt", "v:tlsrpt", "v=tlsreport", "v=smtptlsrpt", "tlsrptv1"} {
		if strings.Contains(t, w) {
			return true
		}
	}
	return strings.HasPrefix(t, "rua=") || strings.HasPrefix(t, "rua:")
}

// Near says what keeps a text for which [MeansRecord] holds from being a record; "" if it
// is one.
func Near(txt string) (why string) {
	if _, err := SelectRecord([]string{txt}); err == nil {
		return ""
	}
	at := 0
	for _, r := range txt {
		at++
		if r > '~' || r < ' ' {
			return fmt.Sprintf("character %d is U+%04X, which a record cannot hold", at, r)
		}
	}
	low := strings.ToLower(txt)
	head := txt
	if i := strings.IndexAny(txt, ";, "); i > 0 {
		head = txt[:i]
	}
	switch {
	case strings.ContainsAny(txt, "\"'"):
		return fmt.Sprintf("character %d is a quotation mark that is part of the text: it was entered in addition to the quotes of the zone file", strings.IndexAny(txt, "\"'")+1)
	case txt != strings.TrimLeft(txt, " \t"):
		return "a blank before \"v=TLSRPTv1\""
	case strings.HasPrefix(low, "rua"):
		return "no version: a record begins with \"v=TLSRPTv1;\""
	case strings.HasPrefix(txt, "v=TLSRPTv1"):
		rest := strings.TrimLeft(txt[len("v=TLSRPTv1"):], " \t")
		if rest == "" {
			return "no \"rua\" field after \"v=TLSRPTv1\""
		}
		if rest[0] != ';' {
			return fmt.Sprintf("%q after \"v=TLSRPTv1\" in place of a semicolon", rest[:1])
		}
		if !strings.Contains(rest, "rua=") {
			return "no \"rua\" field"
		}
		if v := strings.TrimSpace(rest[strings.Index(rest, "rua=")+len("rua="):]); v == "" || v[0] == ';' || v[0] == ',' {
			return "no address after \"rua=\""
		} else if !strings.Contains(v, ":") {
			return fmt.Sprintf("%.60q after \"rua=\" is no URI: an address is written mailto:name@example.org", v)
		}
		return ""
	case strings.HasPrefix(low, "v=tlsrptv1"):
		return fmt.Sprintf("%q is not \"v=TLSRPTv1\": upper and lower case count", txt[:len("v=TLSRPTv1")])
	case strings.HasPrefix(low, "v ") || strings.HasPrefix(low, "v= "):
		return "a blank next to \"=\""
	}
	return fmt.Sprintf("%.40q is not \"v=TLSRPTv1\"", head)
}
