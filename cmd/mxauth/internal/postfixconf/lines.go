package postfixconf

// A Line is a line of main.cf with its reason.
type Line struct {
	Name, Value string
	Why         string // one or two sentences
}

// String returns "NAME = VALUE".
func (l Line) String() string { return l.Name + " = " + l.Value }

// Lines returns the lines that main.cf wants, in the order in which they are printed.
func Lines(in *Input) []Line {
	list := []Line{
		{"smtp_tls_security_level", "dane", "For domains of which mxauth says nothing: a host with TLSA records has to match them, TLS is used where it is offered."},
		{"smtp_dns_support_level", "dnssec", "Without DNSSEC no TLSA record counts, and mail to every domain that mxauth answers \"dane-only\" waits."},
		{"smtp_tls_CAfile", in.caFile(), "Postfix trusts no certification authority by default; mail to every domain with an enforced MTA-STS policy would wait."},
	}
	if in.Version.Before(3, 6, 0) {
		list = append(list, Line{"smtp_tls_mandatory_protocols", "!SSLv2, !SSLv3, !TLSv1, !TLSv1.1", "TLS 1.2 or later wherever TLS is demanded. Set in mxauth.toml policy.min-tls = \"off\": Postfix before 3.6 does not understand >=TLSv1.2."})
	} else {
		list = append(list, Line{"smtp_tls_mandatory_protocols", ">=TLSv1.2", "TLS 1.2 or later wherever TLS is demanded; the default takes 1.0."})
	}
	list = append(list,
		Line{"smtp_tls_dane_insecure_mx_policy", in.insecureMX(), "Hosts with TLSA records named by an unsigned MX record: the same as policy.insecure-mx of mxauth."},
		Line{"smtp_cname_overrides_servername", "no", "A host keeps its name where that is an alias: certificates and MTA-STS policies carry the name of the MX record."},
	)
	if in.Version.AtLeast(3, 10, 5) {
		list = append(list, Line{"smtp_tls_enforce_sts_mx_patterns", "yes", "A mail host that the MTA-STS policy does not name is not used, whatever its certificate says."})
	}
	if in.Version.Before(3, 10, 0) {
		list = append(list, Line{"smtp_connection_cache_on_demand", "no", "Postfix before 3.10 sends over an open connection without asking the table again, for up to five minutes after an answer has changed."})
	}
	why := "Asks mxauth about every domain. Tables of your own come first: the first that has an entry decides."
	switch t := ParseTable(in.OwnTable()); {
	case t.Proxy:
		why += " smtp is chrooted and the socket is outside of " + in.queue() + ", so proxymap asks."
	case t.Map == ExtendedMap:
		why += " " + ExtendedMap + " has the policy for TLSRPT reports and the patterns of its mail hosts."
	}
	return append(list, Line{"smtp_tls_policy_maps", in.tablesWithOwn(), why})
}

// wanted returns the line of a parameter; the zero Line if main.cf wants none.
func wanted(in *Input, name string) Line {
	for _, l := range Lines(in) {
		if l.Name == name {
			return l
		}
	}
	return Line{}
}
