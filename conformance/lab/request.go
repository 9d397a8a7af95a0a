package lab

import "strconv"

// Args are the arguments of `mxauth check` that make the check of this world: the flags
// of its Request, then what is checked. Take the worlds of [Lab.Worlds]: their requests
// have addresses in place of braces.
func (w World) Args() []string {
	r := w.Request
	var out []string
	text := func(flag, value string) {
		if value != "" {
			out = append(out, "--"+flag, value)
		}
	}
	set := func(flag string, on bool) {
		if on {
			out = append(out, "--"+flag)
		}
	}
	text("level", r.Level)
	if r.Port != 0 {
		text("port", strconv.Itoa(int(r.Port)))
	}
	set("requiretls", r.RequireTLS)
	set("tls-required-no", r.TLSRequiredNo)
	set("null-return-path", r.NullReturn)
	set("tlsrpt-report", r.TLSRPTReport)
	text("insecure-mx", r.InsecureMX)
	text("dane-and-sts", r.DANEAndSTS)
	text("sts-undetermined", r.STSUnknown)
	text("mx-alias", r.MXAlias)
	set("no-cn-id", r.NoCNID)
	set("no-clear-fallback", r.NoClear)
	set("audit", r.Audit)
	set("no-address-defer", r.NoAddrDefer)
	text("memory", r.Memory)
	for _, n := range r.Names {
		text("name", n)
	}
	for _, o := range r.OwnHosts {
		text("own", o)
	}
	switch {
	case r.Smarthost:
		text("smarthost", r.NextHop)
		return append(out, w.Domain)
	case r.NextHop != "":
		return append(out, r.NextHop)
	}
	return append(out, w.Domain)
}
