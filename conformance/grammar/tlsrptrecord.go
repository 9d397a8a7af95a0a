package grammar

import (
	"math/rand/v2"
	"slices"
)

// maxURIs is how many destinations of a record the project reads.
const maxURIs = 16

// TLSRPTRecord is the grammar of the TXT record at _smtp._tls (RFC 8460 section 3).
func TLSRPTRecord() *Language {
	r := join(domainRules(), uriRules(), destinationRules(), rules{
		"tlsrpt-record":  {is: seq{ref("tlsrpt-version"), many(1, seq{ref("field-delim"), ref("tlsrpt-field")}), maybe(ref("field-delim"))}},
		"field-delim":    {is: seq{blanks(), lit(";"), blanks()}},
		"tlsrpt-field":   {is: or(ref("tlsrpt-rua"), ref("tlsrpt-extension"))},
		"tlsrpt-version": {is: lit("v=TLSRPTv1")},
		// The RFC has no name for the list, which mutations want to name.
		"tlsrpt-rua":       {is: seq{lit("rua="), ref("tlsrpt-uris")}},
		"tlsrpt-uris":      {is: seq{ref("tlsrpt-uri"), many(0, seq{blanks(), lit(","), blanks(), ref("tlsrpt-uri")})}},
		"tlsrpt-uri":       {is: or(often(3, ref("mailtoURI")), often(2, ref("https-URI")), ref("other-URI"))},
		"other-URI":        {is: ref("URI"), not: func(s string) bool { return slices.Contains([]string{"mailto", "https"}, schemeOf(s)) }},
		"tlsrpt-extension": {is: seq{ref("tlsrpt-ext-name"), lit("="), ref("tlsrpt-ext-value")}},
		"tlsrpt-ext-name":  {is: seq{or(often(3, alpha), digit), times(0, 31, nameTail())}, not: oneOf("rua")},
		"tlsrpt-ext-value": {is: visible()},
	})
	sh := shape{
		field: "tlsrpt-field", delim: "field-delim", ext: "tlsrpt-extension", extName: "tlsrpt-ext-name", extValue: "tlsrpt-ext-value",
		is: "=", end: "; ",
	}
	t := txt{
		shape: sh, version: "tlsrpt-version", text: "v=TLSRPTv1", other: "v=TLSRPTv2", lower: "v=tlsrptv1", upper: "V=TLSRPTv1",
		required: "tlsrpt-rua", name: "rua", source: "RFC 8460 section 3", plain: simpleRUA,
	}
	return newLanguage(Language{
		Name: "tlsrpt-record", Mutations: slices.Concat(t.mutations(), ruaMutations()),
		rules: r, start: "tlsrpt-record", shape: sh,
		draw: func(rng *rand.Rand) map[string][]int {
			picks := drawFields(rng, "tlsrpt-record#1", "tlsrpt-field#1", 3)
			// A list is short, so that all together stay below the project's limit, but one.
			lists := []int{rng.IntN(3), rng.IntN(3), rng.IntN(3)}
			if len(picks["tlsrpt-field#1"]) == 1 {
				lists[0] = rng.IntN(maxURIs)
			}
			picks["tlsrpt-uris#1"] = lists
			return picks
		},
		read: readReport,
	})
}

func readReport(tree *Node) (m Meaning, lacks string) {
	for _, f := range tree.all("tlsrpt-field") {
		list := f.all("tlsrpt-uri")
		if len(list) == 0 {
			m.Ext = append(m.Ext, Field{f.text("tlsrpt-ext-name"), f.text("tlsrpt-ext-value")})
			continue
		}
		var uris []string
		for _, u := range list {
			uri := u.Text()
			uris = append(uris, uri)
			scheme := schemeOf(uri)
			if (scheme == "mailto" || scheme == "https") && !slices.Contains(m.Destinations, uri) {
				m.Destinations = append(m.Destinations, uri)
			}
		}
		m.RUA = append(m.RUA, uris)
	}
	if len(m.RUA) == 0 {
		lacks = "lacks a rua"
	}
	return m, lacks
}
