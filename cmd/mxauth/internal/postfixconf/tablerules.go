package postfixconf

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

func policyMaps(value string) string { return "smtp_tls_policy_maps = " + value }

func tableMissing(in *Input) []Finding {
	tables := in.Params.Tables()
	if in.own(tables) >= 0 || slices.ContainsFunc(tables, isSocketmap) {
		return nil
	}
	if len(tables) == 0 {
		return one(true, "smtp_tls_policy_maps is empty: Postfix never asks mxauth", policyMaps(in.tablesWithOwn()))
	}
	return one(true, fmt.Sprintf("smtp_tls_policy_maps = %s has no table that asks mxauth", in.Params.Get("smtp_tls_policy_maps")), policyMaps(in.tablesWithOwn()))
}

func isSocketmap(t Table) bool { return t.Type == "socketmap" }

// tableOther: another program is asked, in place of mxauth or before it.
func tableOther(in *Input) (list []Finding) {
	tables := in.Params.Tables()
	own := in.own(tables)
	for i, t := range tables {
		if !isSocketmap(t) || in.own(tables[i:i+1]) >= 0 {
			continue
		}
		why := fmt.Sprintf("%s asks at %s, where mxauth does not listen (%s)", t.Text, t.Address, in.listen()[0].Address)
		switch {
		case own < 0:
			why += ": Postfix never asks mxauth"
		case i < own:
			why += ", and before mxauth: where that program has an answer mxauth's is not used"
		default:
			why += ": where mxauth has no answer that program decides"
		}
		list = append(list, Finding{Why: why, Fix: policyMaps(in.tablesWithOwn())})
	}
	return list
}

// ownTables are the tables that ask mxauth.
func (in *Input) ownTables() (list []Table) {
	for _, t := range in.Params.Tables() {
		if in.own([]Table{t}) >= 0 {
			list = append(list, t)
		}
	}
	return list
}

// tableMap: a map that mxauth does not have. Names of maps count without regard to case.
func tableMap(in *Input) (list []Finding) {
	for _, t := range in.ownTables() {
		if !strings.EqualFold(t.Map, PlainMap) && !strings.EqualFold(t.Map, ExtendedMap) {
			list = append(list, Finding{Why: fmt.Sprintf("%s: mxauth has no map %q for Postfix, unless \"maps\" of the listener names it; every answer then is an error, and all mail waits", t.Text, t.Map), Fix: policyMaps(in.tablesWithOwn())})
		}
	}
	return list
}

func tableTLSRPTOld(in *Input) (list []Finding) {
	for _, t := range in.ownTables() {
		if strings.EqualFold(t.Map, ExtendedMap) && in.Version.Before(3, 10, 0) {
			list = append(list, Finding{Why: fmt.Sprintf("%s, and Postfix %s does not understand its answers (3.10 and later do): mail to every domain with an enforced MTA-STS policy waits", t.Text, in.Version), Fix: policyMaps(in.tablesWithOwn())})
		}
	}
	return list
}

func tableTLSRPTMissing(in *Input) (list []Finding) {
	for _, t := range in.ownTables() {
		if strings.EqualFold(t.Map, PlainMap) && in.Version.AtLeast(3, 10, 0) {
			list = append(list, Finding{Why: fmt.Sprintf("%s: Postfix %s could ask %s, with the policy for TLSRPT reports and the patterns of its mail hosts", t.Text, in.Version, ExtendedMap), Fix: policyMaps(in.tablesWithOwn())})
		}
	}
	return list
}

// tableOrder: tables of the administrator's own after that of mxauth.
func tableOrder(in *Input) []Finding {
	tables := in.Params.Tables()
	own := in.own(tables)
	if own < 0 {
		return nil
	}
	for _, t := range tables[own+1:] {
		if !isSocketmap(t) {
			return one(true, fmt.Sprintf("%s comes after the table of mxauth: its entries count only for domains of which mxauth says nothing", t.Text), policyMaps(in.tablesWithOwn()))
		}
	}
	return nil
}

// maxEntries is how many entries of one table are shown.
const maxEntries = 3

// tableParent: an entry ".example.org" that mxauth's answers hide. Postfix asks all tables for
// the name itself before it asks any for the parents of that name.
func tableParent(in *Input) (list []Finding) {
	tables := in.Params.Tables()
	if in.own(tables) < 0 {
		return nil
	}
	for _, t := range tables {
		keys := parentKeys(in, &t)
		if len(keys) == 0 {
			continue
		}
		more := ""
		if n := len(keys) - maxEntries; n > 0 {
			keys, more = keys[:maxEntries], fmt.Sprintf(" and %d more", n)
		}
		var patterns []string
		for _, k := range keys {
			patterns = append(patterns, "/"+strings.ReplaceAll(k.key, ".", `\.`)+"$/ "+k.value)
		}
		names := make([]string, len(keys))
		for i, k := range keys {
			names[i] = k.key
		}
		list = append(list, Finding{
			Why: fmt.Sprintf("%s has entries for parent domains (%s%s): Postfix asks mxauth for the name itself before it looks at them, so mxauth's answer for a name below replaces them. Put them as patterns into a table of type regexp before that of mxauth",
				t.Text, strings.Join(names, ", "), more),
			Fix: strings.Join(patterns, "\n"), Where: InTable})
	}
	return list
}

// An entry of a table.
type entry struct{ key, value string }

// parentKeys returns the entries for parent domains of a table, sorted as written.
func parentKeys(in *Input, t *Table) (list []entry) {
	add := func(key, value string) {
		if strings.HasPrefix(key, ".") {
			list = append(list, entry{key, value})
		}
	}
	if t.Type == "inline" {
		for _, w := range words(strings.TrimSuffix(strings.TrimPrefix(t.Name, "{"), "}")) {
			key, value, _ := strings.Cut(strings.Trim(w, "{} "), "=")
			add(strings.TrimSpace(key), strings.TrimSpace(value))
		}
		return list
	}
	file := t.file()
	if file == "" || in.ReadTable == nil || t.hasPatterns() {
		return nil
	}
	text, err := in.ReadTable(file)
	if err != nil {
		return nil
	}
	_ = logical(bytes.NewReader(text), func(_ int, line string) error {
		key, value, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
		add(key, strings.TrimSpace(value))
		return nil
	}) // what can be read counts
	return list
}

// ruled are the parameters that a service must not have otherwise than main.cf.
var ruled = []string{
	"smtp_tls_policy_maps", "smtp_tls_security_level", "smtp_dns_support_level", "smtp_tls_CAfile", "smtp_tls_CApath", "smtp_tls_dane_insecure_mx_policy",
	"smtp_tls_enforce_sts_mx_patterns", "smtp_cname_overrides_servername", "smtp_host_lookup", "smtp_connection_cache_destinations",
}

// perService: a service of master.cf has a value of its own. One that delivers to a smarthost
// may be meant so.
func perService(in *Input) (list []Finding) {
	for _, s := range in.Services {
		for _, name := range slices.Sorted(maps.Keys(s.Overrides)) {
			if !slices.Contains(ruled, name) || s.Overrides[name] == in.Params.Get(name) {
				continue
			}
			list = append(list, Finding{
				Why: fmt.Sprintf("master.cf gives the service %s a value of its own (-o %s=%s): main.cf does not apply to its mail", s.Name, name, s.Overrides[name]),
				Fix: fmt.Sprintf("postconf -PX %s/%s/%s", s.Name, s.Type, name), Where: InShell})
		}
	}
	return list
}

// socketChroot: a chrooted smtp does not see the socket.
func socketChroot(in *Input) (list []Finding) {
	for _, s := range in.Services {
		for _, t := range in.ownTables() {
			p, ok := strings.CutPrefix(t.Address, "unix:")
			if !ok || !s.Chroot || t.Proxy {
				continue
			}
			seen := path.Join(in.queue(), p)
			if slices.ContainsFunc(in.listen(), func(l Listener) bool { return l.Address == "unix:"+seen }) {
				continue
			}
			list = append(list, Finding{Why: fmt.Sprintf("the service %s is chrooted to %s and looks for the socket at %s, where mxauth does not listen: all its mail waits", s.Name, in.queue(), seen),
				Fix: policyMaps(in.tablesWithOwn())})
			return list
		}
	}
	return list
}

// socketProxy: proxymap refuses a table that proxy_read_maps does not name.
func socketProxy(in *Input) []Finding {
	p := in.Params
	if !p.IsSet("proxy_read_maps") || strings.Contains(p["proxy_read_maps"], "smtp_tls_policy_maps") {
		return nil
	}
	allowed := words(p.Get("proxy_read_maps"))
	for _, t := range in.ownTables() {
		if t.Proxy && !slices.Contains(allowed, t.Text) {
			return one(true, fmt.Sprintf("proxy_read_maps does not name %s: proxymap refuses to ask mxauth, and all mail waits", t.Text), "proxy_read_maps = "+strings.Join(strings.Fields(p["proxy_read_maps"]), " ")+" $smtp_tls_policy_maps")
		}
	}
	return nil
}
