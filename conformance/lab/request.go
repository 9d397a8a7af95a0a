package lab

import (
	"fmt"
	"strconv"

	"github.com/mxauth/mxauth/engine"
)

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
	o := r.Options
	word := func(flag string, value fmt.Stringer, zero any) {
		if value != zero {
			text(flag, value.String())
		}
	}
	word("level", r.Level, engine.LevelDefault)
	if r.Port != 0 {
		text("port", strconv.Itoa(int(r.Port)))
	}
	set("requiretls", r.RequireTLS)
	set("tls-required-no", r.TLSRequiredNo)
	set("null-return-path", r.NullReturnPath)
	set("tlsrpt-report", r.TLSRPTReport)
	word("insecure-mx", o.InsecureMX, engine.InsecureMXDANE)
	word("dane-and-sts", o.DANEAndSTS, engine.DANEFirst)
	word("sts-undetermined", o.STSUndetermined, engine.STSProceed)
	if o.RefuseMXAlias {
		text("mx-alias", "refuse")
	}
	set("no-cn-id", o.NoCNID)
	set("no-clear-fallback", o.NoClearFallback)
	set("audit", o.Audit)
	set("no-address-defer", o.NoAddressDefer)
	set("lower-all", o.LowerAll)
	text("memory", r.Memory)
	for _, n := range o.Names {
		text("name", n.String())
	}
	for _, h := range r.OwnHosts {
		text("own", h)
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
