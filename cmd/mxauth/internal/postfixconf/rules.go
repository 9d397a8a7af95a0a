package postfixconf

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// A Level says how a finding counts. The zero Level is Fault.
type Level uint8

// Levels.
const (
	Fault  Level = iota // mail is not protected as mxauth says, or waits although it could go
	Advice              // it works, and could be better
)

// String returns "fault" or "advice".
func (l Level) String() string {
	if l == Advice {
		return "advice"
	}
	return "fault"
}

// MarshalText prints l as [Level.String] does.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// A Finding is one rule that the configuration breaks.
type Finding struct {
	ID    string `json:"id"`
	Level Level  `json:"level"`
	Why   string `json:"why"`           // what is wrong and what follows from it
	Fix   string `json:"fix,omitempty"` // the line of main.cf, of another file, or the command
	Where string `json:"where"`         // where the fix goes: "main.cf", "mxauth.toml", "shell"
}

// Where a fix goes.
const (
	InMainCF = "main.cf"
	InTOML   = "mxauth.toml"
	InShell  = "shell"
	InTable  = "table"
)

// A rule finds what breaks it: none where nothing does.
type rule struct {
	id    string
	level Level
	find  func(in *Input) (findings []Finding)
}

// IDs returns the ids of all rules in their order.
func IDs() (ids []string) {
	for _, r := range rules {
		ids = append(ids, r.id)
	}
	return ids
}

// Check returns what the configuration breaks, faults before advice, each in the order of the
// rules.
func Check(in *Input) (list []Finding) {
	for _, r := range rules {
		for _, f := range r.find(in) {
			f.ID, f.Level = r.id, r.level
			if f.Where == "" {
				f.Where = InMainCF
			}
			list = append(list, f)
		}
	}
	slices.SortStableFunc(list, func(a, b Finding) int { return int(a.Level) - int(b.Level) })
	return list
}

// one is the finding of a rule that has one; none if it does not apply.
func one(broken bool, why, fix string) []Finding {
	if !broken {
		return nil
	}
	return []Finding{{Why: why, Fix: fix}}
}

// rules are all rules. Rules about the table come first: without it nothing else matters.
var rules = []rule{
	{"name-repeated", Advice, nameRepeated},
	{"table-missing", Fault, tableMissing},
	{"table-other", Fault, tableOther},
	{"table-map", Fault, tableMap},
	{"table-tlsrpt-old", Fault, tableTLSRPTOld},
	{"table-tlsrpt-missing", Advice, tableTLSRPTMissing},
	{"table-order", Fault, tableOrder},
	{"table-parent", Fault, tableParent},
	{"table-per-service", Fault, perService},
	{"socket-chroot", Fault, socketChroot},
	{"socket-proxy", Fault, socketProxy},
	{"dns-off", Fault, func(in *Input) []Finding {
		p := in.Params
		if isYes(p.Get("disable_dns_lookups")) {
			return one(true, "disable_dns_lookups = yes: Postfix looks up neither MX nor TLSA records, so no mail is checked by DANE", "disable_dns_lookups = no")
		}
		list := words(p.Get("smtp_host_lookup"))
		return one(!slices.Contains(list, "dns"), fmt.Sprintf("smtp_host_lookup = %s: addresses do not come from DNS, so no TLSA record counts", p.Get("smtp_host_lookup")), "smtp_host_lookup = dns")
	}},
	{"dnssec-off", Fault, func(in *Input) []Finding {
		v := in.Params.Get("smtp_dns_support_level")
		return one(v != "dnssec", was("smtp_dns_support_level", v)+"Postfix does not ask for DNSSEC: mail to every domain that mxauth answers \"dane-only\" waits, and where it answers \"dane\" nothing is checked", wanted(in, "smtp_dns_support_level").String())
	}},
	{"ca-missing", Fault, func(in *Input) []Finding {
		p := in.Params
		return one(p.Get("smtp_tls_CAfile") == "" && p.Get("smtp_tls_CApath") == "" && !isYes(p.Get("tls_append_default_CA")),
			"smtp_tls_CAfile and smtp_tls_CApath are empty: Postfix trusts no certification authority, and mail to every domain with an enforced MTA-STS policy waits", wanted(in, "smtp_tls_CAfile").String())
	}},
	{"ca-path-chroot", Advice, func(in *Input) []Finding {
		p := in.Params
		dir := p.Get("smtp_tls_CApath")
		return one(in.Chrooted() && p.Get("smtp_tls_CAfile") == "" && dir != "",
			fmt.Sprintf("smtp is chrooted and opens smtp_tls_CApath there: %s has to be a copy of %s that is kept up to date. smtp_tls_CAfile is read before the chroot", path.Join(in.queue(), dir), dir), wanted(in, "smtp_tls_CAfile").String())
	}},
	{"level-none", Fault, func(in *Input) []Finding {
		v := in.level()
		return one(v == "none", was("smtp_tls_security_level", in.Params.Get("smtp_tls_security_level"))+"mail to every domain of which mxauth says nothing goes in the clear, even where TLS is offered", wanted(in, "smtp_tls_security_level").String())
	}},
	{"level-unknown", Fault, func(in *Input) []Finding {
		v := in.level()
		return one(!slices.Contains(levels, v), fmt.Sprintf("smtp_tls_security_level = %s is no level that Postfix knows", v), wanted(in, "smtp_tls_security_level").String())
	}},
	{"level-lowered", Fault, func(in *Input) []Finding {
		v := in.level()
		return one(slices.Index(levels, v) > slices.Index(levels, "dane"), fmt.Sprintf("smtp_tls_security_level = %s, and mxauth's answer \"dane\" lowers it: a host without TLSA records then gets mail in the clear. Name the domains that must have TLS in a table before that of mxauth", v), wanted(in, "smtp_tls_security_level").String())
	}},
	{"insecure-mx", Fault, insecureMX},
	{"sts-patterns", Fault, func(in *Input) []Finding {
		p := in.Params
		return one(p.IsSet("smtp_tls_enforce_sts_mx_patterns") && !isYes(p.Get("smtp_tls_enforce_sts_mx_patterns")), "smtp_tls_enforce_sts_mx_patterns = no: a mail host that the MTA-STS policy does not name is used if its certificate carries the name of another one", "smtp_tls_enforce_sts_mx_patterns = yes")
	}},
	{"cname", Fault, func(in *Input) []Finding {
		return one(isYes(in.Params.Get("smtp_cname_overrides_servername")), "smtp_cname_overrides_servername = yes: a mail host that is an alias is checked under the name that it points to, which its certificate and the MTA-STS policy need not contain; mail waits", wanted(in, "smtp_cname_overrides_servername").String())
	}},
	{"fallback-relay", Fault, func(in *Input) []Finding {
		v := in.Params.Get("smtp_fallback_relay")
		return one(v != "", fmt.Sprintf("smtp_fallback_relay = %s: a message that may go to none of its domain's hosts is sent to that relay instead, which delivers it by its own rules", v), "smtp_fallback_relay =")
	}},
	{"connection-cache", Fault, func(in *Input) []Finding {
		v := in.Params.Get("smtp_connection_cache_destinations")
		return one(v != "" && !in.Version.AtLeast(3, 10, 0), before(in, "3.10")+fmt.Sprintf("smtp_connection_cache_destinations = %s: an open connection without TLS is used again without asking the table", v), "smtp_connection_cache_destinations =")
	}},
	{"connection-cache-on-demand", Advice, func(in *Input) []Finding {
		return one(isYes(in.Params.Get("smtp_connection_cache_on_demand")) && !in.Version.AtLeast(3, 10, 0), before(in, "3.10")+"smtp_connection_cache_on_demand = yes (the default): while much mail waits for a domain, an open connection is used again for up to five minutes without asking the table", "smtp_connection_cache_on_demand = no")
	}},
	{"protocols-old", Fault, func(in *Input) []Finding {
		if in.Version.Before(3, 6, 0) && !in.NoMinTLS {
			return []Finding{{Why: "Postfix " + in.Version.String() + " does not understand protocols=>=TLSv1.2 in mxauth's answers: mail to every domain with a policy waits", Fix: "[policy]\nmin-tls = \"off\"", Where: InTOML}}
		}
		return nil
	}},
	{"protocols", Advice, func(in *Input) []Finding {
		v := in.Params.Get("smtp_tls_mandatory_protocols")
		return one(!excludesTLS11(v), was("smtp_tls_mandatory_protocols", v)+"where an entry of yours demands TLS, versions before 1.2 pass", wanted(in, "smtp_tls_mandatory_protocols").String())
	}},
	{"relayhost", Advice, func(in *Input) []Finding {
		v := in.Params.Get("relayhost")
		return one(v != "", fmt.Sprintf("relayhost = %s: all mail goes to that relay, and mxauth is asked about the relay alone, not about the domains of the recipients. Run mxauth there", v), "")
	}},
}

// levels are the levels of Postfix, weakest first.
var levels = []string{"none", "may", "dane", "encrypt", "fingerprint", "dane-only", "verify", "secure"}

// level is the level for domains that no table has; the two parameters that it replaced count
// where it is empty.
func (in *Input) level() string {
	p := in.Params
	switch v := strings.ToLower(p.Get("smtp_tls_security_level")); {
	case v != "":
		return v
	case isYes(p.Get("smtp_enforce_tls")):
		return "verify"
	case isYes(p.Get("smtp_use_tls")):
		return "may"
	}
	return "none"
}

// was begins a sentence with the value of a parameter.
func was(name, value string) string {
	if value == "" {
		return name + " is empty, so "
	}
	return fmt.Sprintf("%s = %s, so ", name, value)
}

// before begins a sentence about versions where the version is not known.
func before(in *Input, version string) string {
	if in.Version.IsKnown() {
		return ""
	}
	return "with Postfix before " + version + ": "
}

// excludesTLS11 reports whether a list of protocols excludes TLS 1.0 and 1.1.
func excludesTLS11(v string) bool {
	list := words(v)
	if slices.ContainsFunc(list, func(w string) bool { return w == ">=TLSv1.2" || w == ">=TLSv1.3" }) {
		return true
	}
	if slices.Contains(list, "!TLSv1") && slices.Contains(list, "!TLSv1.1") {
		return true
	}
	return len(list) > 0 && !slices.ContainsFunc(list, func(w string) bool { return w != "TLSv1.2" && w != "TLSv1.3" && !strings.HasPrefix(w, "!") }) &&
		slices.ContainsFunc(list, func(w string) bool { return !strings.HasPrefix(w, "!") })
}

func insecureMX(in *Input) []Finding {
	p, want := in.Params, wanted(in, "smtp_tls_dane_insecure_mx_policy")
	if p.IsSet("smtp_tls_dane_insecure_mx_policy") {
		v := p.Get("smtp_tls_dane_insecure_mx_policy")
		return one(v != want.Value, fmt.Sprintf("smtp_tls_dane_insecure_mx_policy = %s, and policy.insecure-mx of mxauth is %s: hosts with TLSA records named by an unsigned MX record are not treated as mxauth says", v, want.Value), want.String())
	}
	v := "may"
	if in.level() == "dane" {
		v = "dane"
	}
	switch {
	case v == want.Value:
		return nil
	case v == "may" && want.Value == "dane" && in.Version.ignoresTableDANE():
		return one(true, versionsIgnoring(in)+"smtp_tls_dane_insecure_mx_policy is \"may\" where smtp_tls_security_level is not dane: mxauth's answer \"dane\" has no effect for hosts of an unsigned MX record, and mail may go there in the clear", want.String())
	}
	return one(true, fmt.Sprintf("smtp_tls_dane_insecure_mx_policy is not set and so is %s, and policy.insecure-mx of mxauth is %s: hosts with TLSA records named by an unsigned MX record are not treated as mxauth says", v, want.Value), want.String())
}

func versionsIgnoring(in *Input) string {
	if in.Version.IsKnown() {
		return ""
	}
	return "with Postfix before 3.6.17, 3.7.13, 3.8.8 and 3.9.2: "
}

// nameRepeated: Postfix uses the last line of a name, and postconf -e changes all of them.
func nameRepeated(in *Input) (list []Finding) {
	for _, name := range in.Repeated {
		// Of Postfix's own parameters, only those of the client have to do with mxauth.
		if !strings.HasPrefix(name, "smtp_") || !isName(name) {
			continue
		}
		list = append(list, Finding{
			Why:   fmt.Sprintf("main.cf has %s more than once: Postfix uses the last line, and each of its programs warns. Keep one line", name),
			Fix:   fmt.Sprintf("postconf -X %s && postconf -e %s", name, shellQuote(name+" = "+in.Params[name])),
			Where: InShell,
		})
	}
	return list
}

// shellQuote makes s one word of a shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
