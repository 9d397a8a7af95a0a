package main

import (
	"errors"
	"strings"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/engine/explain"
)

// complain says on standard error which resolvers are not used, which lookups failed by the
// fault of the resolver or of the way to it, and what to change.
func (f *resolverFaults) complain(out *console) {
	if text, hint := f.unused(); text != "" && !f.toldUnused {
		f.toldUnused = true
		out.Errorf("%s", text)
		out.Hintf("%s", hint)
	}
	for _, t := range f.take() {
		text, hint := f.explain(t)
		out.Errorf("%s", text)
		out.Hintf("%s", hint)
	}
}

// stripping lists the resolvers that do not pass DNSSEC records through, and those that do.
func (f *resolverFaults) stripping() (strip, pass []string) {
	for _, h := range f.upstreams() {
		switch {
		case h.Strips:
			strip = append(strip, h.Server.String())
		case h.Passes:
			pass = append(pass, h.Server.String())
		}
	}
	return strip, pass
}

// unused names the resolvers that are not used because they do not pass DNSSEC records through,
// and the cure; "" if there are none, or no better one. Then the failed lookups say so.
func (f *resolverFaults) unused() (text, hint string) {
	strip, pass := f.stripping()
	if len(strip) == 0 || len(pass) == 0 {
		return "", ""
	}
	list := "the --resolver flags"
	if f.fromFile {
		list = upstream.ResolvConfPath
	}
	const let = " pass DNSSEC records through " + passSettings
	names, others := strings.Join(strip, ", "), strings.Join(pass, ", ")
	if len(strip) == 1 {
		return "the resolver " + names + " does not pass DNSSEC records through and is not used; used instead: " + others,
			"remove it from " + list + ", or let it" + let
	}
	return "the resolvers " + names + " do not pass DNSSEC records through and are not used; used instead: " + others,
		"remove them from " + list + ", or let them" + let
}

// explain describes a trouble, naming the server, and its cure.
func (f *resolverFaults) explain(t trouble) (text, hint string) {
	server := t.server
	if server == "" {
		server = f.serverNames()
	}
	where := ""
	if f.fromFile {
		where = ", which " + upstream.ResolvConfPath + " names,"
	}
	q, reason := t.first.Question.String(), t.first.Reason.String()
	const another = "or " + nameAnother
	switch {
	case errors.Is(t.kind, dnssec.ErrUnreachable):
		resolver := "the resolver "
		if strings.Contains(server, ", ") {
			resolver = "the resolvers "
		}
		return resolver + server + where + " cannot be reached: " + explain.Unreachable(&t.first),
			"start a resolver there, check the firewall between, " + another
	case errors.Is(t.kind, dnssec.ErrTimeout):
		return "no answer from the resolver " + server + where + " in time (first to " + q + ")",
			"check that a resolver runs there and may be asked from here, " + another + "; --timeout waits longer"
	case errors.Is(t.kind, dnssec.ErrRefused):
		text = "the resolver " + server + where + " does not answer " + q + ": " + reason
		if cure, ok := refusedCures[t.code]; ok {
			return text, cure
		}
		return text, "let this host ask it (unbound.conf: access-control; named.conf: allow-recursion), " + another
	}
	text = "the resolver " + server + where + " cannot be used for DNSSEC (" + q + "): " + reason
	if t.code == dnssec.ReasonUpstreamStrips {
		if strip, _ := f.stripping(); len(strip) > 1 {
			text = "the resolvers " + strings.Join(strip, ", ") + where + " cannot be used for DNSSEC (" + q + "): none of them passes DNSSEC records through"
		}
	}
	if cure, ok := uselessCures[t.code]; ok {
		return text, cure
	}
	return text, "check it with mxauth resolver " + server + ", " + another
}

// serverNames lists the servers as the operator wrote them.
func (f *resolverFaults) serverNames() string {
	var names []string
	for _, s := range f.servers {
		names = append(names, s.String())
	}
	return strings.Join(names, ", ")
}
