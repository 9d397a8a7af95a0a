package httpdoor

import (
	"encoding"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/rfc6125"
)

// A parameter is one of the query of a plan: a field of [engine.Request] or of its options,
// under the name that it has in JSON.
type parameter struct {
	name string
	set  func(r *engine.Request, value string) error
}

func word(name string, to func(*engine.Request) encoding.TextUnmarshaler) parameter {
	return parameter{name, func(r *engine.Request, value string) error { return to(r).UnmarshalText([]byte(value)) }}
}

func flag(name string, to func(*engine.Request) *bool) parameter {
	return parameter{name, func(r *engine.Request, value string) error {
		if value != "true" && value != "false" {
			return fmt.Errorf("%.20q is neither true nor false", value)
		}
		*to(r) = value == "true"
		return nil
	}}
}

// maxNames bounds the names of a request.
const maxNames = 16

var parameters = []parameter{
	{"domain", func(r *engine.Request, value string) error { r.NextHop = value; return nil }},
	{"port", func(r *engine.Request, value string) error {
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("%.20q is not a port from 1 to 65535", value)
		}
		r.Port = uint16(n)
		return nil
	}},
	word("level", func(r *engine.Request) encoding.TextUnmarshaler { return &r.Level }),
	flag("smarthost", func(r *engine.Request) *bool { return &r.Smarthost }),
	flag("requiretls", func(r *engine.Request) *bool { return &r.RequireTLS }),
	flag("tls_required_no", func(r *engine.Request) *bool { return &r.TLSRequiredNo }),
	flag("null_return_path", func(r *engine.Request) *bool { return &r.NullReturnPath }),
	flag("tlsrpt_report", func(r *engine.Request) *bool { return &r.TLSRPTReport }),
	word("insecure_mx", func(r *engine.Request) encoding.TextUnmarshaler { return &r.Options.InsecureMX }),
	word("dane_and_sts", func(r *engine.Request) encoding.TextUnmarshaler { return &r.Options.DANEAndSTS }),
	word("sts_undetermined", func(r *engine.Request) encoding.TextUnmarshaler { return &r.Options.STSUndetermined }),
	flag("refuse_mx_alias", func(r *engine.Request) *bool { return &r.Options.RefuseMXAlias }),
	flag("no_cn_id", func(r *engine.Request) *bool { return &r.Options.NoCNID }),
	flag("no_clear_fallback", func(r *engine.Request) *bool { return &r.Options.NoClearFallback }),
	flag("audit", func(r *engine.Request) *bool { return &r.Options.Audit }),
	flag("no_address_defer", func(r *engine.Request) *bool { return &r.Options.NoAddressDefer }),
	flag("lower_all", func(r *engine.Request) *bool { return &r.Options.LowerAll }),
	{"names", func(r *engine.Request, value string) (err error) {
		list := strings.Split(value, ",")
		if len(list) > maxNames {
			return fmt.Errorf("more than %d names", maxNames)
		}
		r.Options.Names = make([]rfc6125.Host, len(list))
		for i, n := range list {
			if r.Options.Names[i], err = rfc6125.ParseHost(n); err != nil {
				return err
			}
		}
		return nil
	}},
}

// query reads a query in which each name may appear once.
func query(r *http.Request, known ...string) (url.Values, *problem) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, idBadParameter, "the query cannot be read: "+err.Error())
	}
	for name, v := range values {
		switch {
		case !slices.Contains(known, name):
			if len(known) == 0 {
				return nil, newProblem(http.StatusBadRequest, idBadParameter, "this path takes no parameters")
			}
			return nil, newProblem(http.StatusBadRequest, idBadParameter, fmt.Sprintf("there is no parameter %.40q; those of this path are %s", name, strings.Join(known, ", ")))
		case len(v) > 1:
			return nil, newProblem(http.StatusBadRequest, idBadParameter, name+" is given more than once")
		}
	}
	return values, nil
}

// noParameters refuses a request with parameters, for paths that have none.
func noParameters(r *http.Request) *problem {
	if r.URL.RawQuery == "" {
		return nil
	}
	_, p := query(r)
	return p
}

var planNames = func() (out []string) {
	for _, p := range parameters {
		out = append(out, p.name)
	}
	return out
}()

// planRequest reads the request of a plan from a query; what is not given is as in defaults.
func planRequest(r *http.Request, defaults engine.Request) (engine.Request, *problem) {
	values, p := query(r, planNames...)
	if p != nil {
		return defaults, p
	}
	if !values.Has("domain") {
		return defaults, newProblem(http.StatusBadRequest, idBadParameter, "name a domain: ?domain=example.org")
	}
	for _, p := range parameters {
		if !values.Has(p.name) {
			continue
		}
		if err := p.set(&defaults, values.Get(p.name)); err != nil {
			return defaults, newProblem(http.StatusBadRequest, idBadParameter, p.name+": "+plain(err))
		}
	}
	return defaults, nil
}

// Forms are the forms of what a mail server is told, by the names of their maps.
var Forms = map[string]mtapolicy.Form{
	"QUERY": mtapolicy.Plain, "QUERYwithTLSRPT": mtapolicy.Extended, "sts": mtapolicy.Sendmail, "exim": mtapolicy.PerHost,
}

// servePolicy says what a mail server would be told.
func (s *Server) servePolicy(w http.ResponseWriter, r *http.Request) *problem {
	values, p := query(r, "key", "form", "host")
	if p != nil {
		return p
	}
	name := "QUERY"
	if values.Has("form") {
		name = values.Get("form")
	}
	form, ok := Forms[name]
	switch {
	case !values.Has("key"):
		return newProblem(http.StatusBadRequest, idBadParameter, "name a next hop as a mail server does: ?key=example.org")
	case !ok:
		return newProblem(http.StatusBadRequest, idBadParameter, fmt.Sprintf("form: %.40q is not QUERY, QUERYwithTLSRPT, sts or exim", name))
	case values.Has("host") && form != mtapolicy.PerHost:
		return newProblem(http.StatusBadRequest, idBadParameter, "host counts with form=exim alone")
	}
	ctx, cancel := limited(r)
	defer cancel()
	e := s.c.Backend.Told(ctx, form, values.Get("key"), values.Get("host"))
	return respondJSON(w, s.c.Rows.Told(&e))
}
