package main

import "github.com/mxauth/mxauth/engine/explain"

// hints are what to type, or to look at on this machine, for what package explain names.
var hints = map[explain.Hint]string{
	explain.HintResolver:     "Start a resolver on this machine, or name another one with --resolver ADDR; `mxauth resolver ADDR` tests one.",
	explain.HintResolverTest: "If other domains fail as well, test the resolver: `mxauth resolver`.",
	explain.HintSilent:       "Check with `mxauth resolver` that the resolver answers for other domains; name another one with --resolver ADDR, or wait longer with --timeout 30s.",
	explain.HintRefuses:      "Let the resolver answer this machine (unbound.conf: access-control; named.conf: allow-recursion), or name another one with --resolver ADDR.",
	explain.HintStrips:       "Use a resolver that passes DNSSEC records through: name it with --resolver ADDR, and test it with `mxauth resolver ADDR`.",
	explain.HintAnchor:       "Update the trust anchors: give the current ones with --trust-anchor FILE, or leave that option out to use those built in.",
	explain.HintClock:        "Set the clock of this machine (`timedatectl` shows whether it is synchronised), and check again.",
	explain.HintLimit:        "Check again; if the fault remains, ask about fewer domains at once (--concurrency) or raise the limit of open files (`ulimit -n`).",
	explain.HintPort:         "If no domain can be reached, this network blocks port 25: try `nc -vz gmail-smtp-in.l.google.com 25`.",
	explain.HintIPv6:         "Check from a machine with IPv6 (`ip -6 route` shows whether this one has a route).",
	explain.HintHELO:         "Some servers demand a full name in EHLO: give that of this machine with --helo NAME.",
	explain.HintTime:         "To wait longer: --timeout 60s.",
	explain.HintRoots:        "If many domains fail so, update this machine's root certificates (or --ca-file).",
	explain.HintStore:        "Repair the store that --store names: its file or server cannot be read.",
	explain.HintException:    "If the owner confirms the change, --exceptions lets mail go for a while.",
	explain.HintForget:       "If the owner says that it is intended: `mxauth memory forget {domain}`.",
	explain.HintLevel:        "The demand comes from --level (Postfix: smtp_tls_policy_maps); the level `default` honours what the domain publishes.",
	explain.HintNames:        "To accept another name in the certificate: --name NAME (Postfix: `secure match=...` in smtp_tls_policy_maps).",
	explain.HintOtherNames:   "Correct the name that is demanded: give --name the name in the certificate, or leave --name out (Postfix: `match=` in smtp_tls_policy_maps). If that name is right, this server is not the one that mail for the domain should go to.",
	explain.HintFallback:     "With --no-clear-fallback such messages wait, without it they go in the clear.",
	explain.HintUnknown:      "--sts-undetermined says whether mail waits for such a lookup.",
}
