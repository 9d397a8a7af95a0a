// Package settings reads the configuration of mxauth: from its defaults, a TOML file, the
// environment and the command line, the later outweighing the earlier.
//
//	# /etc/mxauth/mxauth.toml
//	[resolver]
//	servers = ["127.0.0.1"]
//	[[listen]]
//	door = "socketmap"
//	address = "unix:/run/mxauth/postfix.sock"
//
// The same setting is the variable MXAUTH_RESOLVER_SERVERS and the flag --resolver. One
// table ([Table]) has name, type, default, check and help of each.
package settings

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Settings are the values in force. Durations of 0 mean the default of whatever they bound.
type Settings struct {
	// Resolver.
	Servers     []string // ADDR[:PORT], tls://, https://; empty: /etc/resolv.conf
	DNSSEC      string   // "validate" or "trust-ad"
	TrustAnchor string   // file; "": the built-in keys of the root
	AnchorState string   // file, written by the daemon; "": anchors are not followed
	Timeout     time.Duration
	Concurrency int

	// Trust and storage.
	CAFile string // file or folder; "": the system's
	Store  string // "memory", "bolt:FILE", a redis:// URL
	// StorePassword is a file with the password of a redis:// URL; "": the URL has it, or there is none.
	StorePassword string
	Allow         []string
	Deny          []string

	// Policy of this mail server.
	Level           string
	InsecureMX      string
	DANEAndSTS      string
	STSUndetermined string
	MXAlias         string
	Names           []string
	NoCNID          bool
	NoClearFallback bool
	NoAddressDefer  bool
	LowerAll        bool
	Audit           bool
	Own             []string
	MinTLS          string // "1.2" or "off"

	// Downgrade memory.
	Memory     string
	MemoryHold time.Duration

	Exceptions string // file

	// Checks of mail hosts.
	HELO      string        // "": the name of the machine
	CheckTime time.Duration // for all mail hosts of one domain; 0: the default

	// Log.
	LogLevel  string
	LogFormat string

	// Daemon.
	Patience       time.Duration
	MaxConnections int
	KeptReplies    int
	AllowDeviation bool
	Metrics        string // address; "": none
	Control        string // path of the control socket; "": none
	Listen         []Listen

	origins map[string]string // by key: where the value came from; absent: the default
}

// A Type is the type of a setting.
type Type uint8

// Types.
const (
	String Type = iota
	Strings
	Bool
	Int
	Duration
	Word // one of Setting.Words
)

// A Setting is one row of the table.
type Setting struct {
	Key     string // "resolver.servers", as in the file
	Type    Type
	Flag    string   // of the command line, without dashes; "" if it has none
	Hint    string   // what the value is called in help: "FILE"
	Words   []string // of Type Word
	Default string   // as a flag would have it
	Help    string   // one sentence, lower case, no full stop
	Serve   bool     // for the daemon alone
	Least   int      // of Type Int
	Most    int      // of Type Int
	to      func(*Settings) any
}

// Env is the name of the variable for the setting.
func (s *Setting) Env() string {
	return "MXAUTH_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(s.Key))
}

// Table returns the settings in the order of the example file. The slice is the caller's.
func Table() []Setting { return slices.Clone(table) }

var table = []Setting{
	{Key: "resolver.servers", Type: Strings, Flag: "resolver", Hint: "ADDR[:PORT]", to: func(s *Settings) any { return &s.Servers },
		Help: "recursive resolvers to ask: ADDR[:PORT], tls://HOST or https://HOST/PATH; empty: those of /etc/resolv.conf"},
	{Key: "resolver.dnssec", Type: Word, Flag: "dnssec", Hint: "SOURCE", Words: []string{"validate", "trust-ad"}, Default: "validate", to: func(s *Settings) any { return &s.DNSSEC },
		Help: "source of the security status: validate (proved here) or trust-ad (trust the resolver)"},
	{Key: "resolver.trust-anchor", Type: String, Flag: "trust-anchor", Hint: "FILE", to: func(s *Settings) any { return &s.TrustAnchor },
		Help: "file with DS or DNSKEY lines to trust in place of the root's built-in keys"},
	{Key: "resolver.anchor-state", Type: String, Serve: true, to: func(s *Settings) any { return &s.AnchorState },
		Help: "file in which the daemon follows changes of the trust anchors (RFC 5011); empty: it follows none"},
	{Key: "resolver.timeout", Type: Duration, Flag: "timeout", Hint: "TIME", Default: "0s", to: func(s *Settings) any { return &s.Timeout },
		Help: "longest time to wait for one DNS answer, one policy fetch or one mail host; 0s: as fits each"},
	{Key: "resolver.concurrency", Type: Int, Flag: "concurrency", Hint: "NUMBER", Default: "16", Least: 1, Most: 200, to: func(s *Settings) any { return &s.Concurrency },
		Help: "domains looked at side by side, up to 200"},

	{Key: "trust.ca-file", Type: String, Flag: "ca-file", Hint: "FILE", to: func(s *Settings) any { return &s.CAFile },
		Help: "PEM file of the certification authorities to trust in place of the system's"},
	{Key: "trust.allow-address", Type: Strings, Flag: "allow-address", Hint: "PREFIX", to: func(s *Settings) any { return &s.Allow },
		Help: "special-purpose prefixes in which policy hosts may be, such as 127.0.0.0/8"},
	{Key: "trust.deny-address", Type: Strings, Flag: "deny-address", Hint: "PREFIX", to: func(s *Settings) any { return &s.Deny },
		Help: "further prefixes in which policy hosts may not be, such as a NAT64 prefix of this network"},

	{Key: "store.path", Type: String, Flag: "store", Hint: "URL", Default: "memory", to: func(s *Settings) any { return &s.Store },
		Help: "where MTA-STS policies are kept: memory, bolt:FILE, or a redis:// or rediss:// URL"},
	{Key: "store.password-file", Type: String, Hint: "FILE", to: func(s *Settings) any { return &s.StorePassword },
		Help: "file with the password of a store on a server, so that the URL needs none; no one else may read it"},

	{Key: "policy.level", Type: Word, Flag: "level", Hint: "WORD", Words: []string{"default", "opportunistic", "dane", "dane-only", "sts", "secure"}, Default: "default", to: func(s *Settings) any { return &s.Level },
		Help: "local policy: default, opportunistic, dane, dane-only, sts or secure"},
	{Key: "policy.insecure-mx", Type: Word, Flag: "insecure-mx", Hint: "WORD", Words: []string{"dane", "encrypt", "may"}, Default: "dane", to: func(s *Settings) any { return &s.InsecureMX },
		Help: "what hosts found through an unsigned MX record get where they have TLSA records: dane, encrypt or may"},
	{Key: "policy.dane-and-sts", Type: Word, Flag: "dane-and-sts", Hint: "WORD", Words: []string{"dane-first", "both"}, Default: "dane-first", to: func(s *Settings) any { return &s.DANEAndSTS },
		Help: "where both apply: dane-first (DANE decides) or both"},
	{Key: "policy.sts-undetermined", Type: Word, Flag: "sts-undetermined", Hint: "WORD", Words: []string{"proceed", "defer"}, Default: "proceed", to: func(s *Settings) any { return &s.STSUndetermined },
		Help: "if the MTA-STS record cannot be looked up and no policy is kept: proceed or defer"},
	{Key: "policy.mx-alias", Type: Word, Flag: "mx-alias", Hint: "WORD", Words: []string{"follow", "refuse"}, Default: "follow", to: func(s *Settings) any { return &s.MXAlias },
		Help: "what to do with MX hosts that are aliases: follow or refuse"},
	{Key: "policy.names", Type: Strings, Flag: "name", Hint: "NAME", to: func(s *Settings) any { return &s.Names },
		Help: "names that certificates may show at level secure, or with --requiretls"},
	{Key: "policy.no-cn-id", Type: Bool, Flag: "no-cn-id", to: func(s *Settings) any { return &s.NoCNID },
		Help: "a Common Name never counts, not even under DANE-TA"},
	{Key: "policy.no-clear-fallback", Type: Bool, Flag: "no-clear-fallback", to: func(s *Settings) any { return &s.NoClearFallback },
		Help: "no second try in the clear after a failed handshake"},
	{Key: "policy.no-address-defer", Type: Bool, Flag: "no-address-defer", to: func(s *Settings) any { return &s.NoAddressDefer },
		Help: "where no host has an address: defer, do not bounce"},
	{Key: "policy.lower-all", Type: Bool, Flag: "lower-all", to: func(s *Settings) any { return &s.LowerAll },
		Help: "--tls-required-no and --tlsrpt-report lower the levels dane-only and secure, too"},
	{Key: "policy.audit", Type: Bool, Flag: "audit", to: func(s *Settings) any { return &s.Audit },
		Help: "let go what a policy would refuse, and say so"},
	{Key: "policy.own", Type: Strings, Flag: "own", Hint: "NAME", to: func(s *Settings) any { return &s.Own },
		Help: "names and addresses of this mail server, which must not be delivered to"},
	{Key: "policy.min-tls", Type: Word, Words: []string{"1.2", "off"}, Default: "1.2", Serve: true, to: func(s *Settings) any { return &s.MinTLS },
		Help: "lowest TLS version in answers to Postfix: 1.2, or off for Postfix before 3.6"},

	{Key: "memory.action", Type: Word, Flag: "memory", Hint: "WORD", Words: []string{"accept", "alert", "defer"}, Default: "accept", to: func(s *Settings) any { return &s.Memory },
		Help: "with a persistent store, what to do if a domain has lost a protection that it once proved: accept (report it), alert (make it a finding) or defer (wait with mail that nothing authenticates)"},
	{Key: "memory.hold", Type: Duration, Flag: "memory-hold", Hint: "TIME", Default: "24h0m0s", to: func(s *Settings) any { return &s.MemoryHold },
		Help: "how long alert and defer last, up to 96h"},

	{Key: "exceptions.file", Type: String, Flag: "exceptions", Hint: "FILE", to: func(s *Settings) any { return &s.Exceptions },
		Help: "TOML file of exceptions: what may pass for a while although a policy forbids it"},

	{Key: "check.helo", Type: String, Flag: "helo", Hint: "NAME", to: func(s *Settings) any { return &s.HELO },
		Help: "name of this machine to give to mail hosts in EHLO, or its address in brackets; empty: its full name, if it knows one"},
	{Key: "check.probe-time", Type: Duration, Flag: "probe-time", Hint: "TIME", Default: "1m0s", to: func(s *Settings) any { return &s.CheckTime },
		Help: "longest time for connecting to all mail hosts of one domain"},

	{Key: "log.level", Type: Word, Words: []string{"debug", "info", "warn", "error"}, Default: "info", Serve: true, to: func(s *Settings) any { return &s.LogLevel },
		Help: "least level that is logged to standard error: debug, info, warn or error"},
	{Key: "log.format", Type: Word, Words: []string{"text", "json"}, Default: "text", Serve: true, to: func(s *Settings) any { return &s.LogFormat },
		Help: "form of log lines: text or json"},

	{Key: "serve.patience", Type: Duration, Default: "15s", Serve: true, to: func(s *Settings) any { return &s.Patience },
		Help: "longest time that a mail server waits for an answer; after it the answer is \"try later\""},
	{Key: "serve.max-connections", Type: Int, Default: "1000", Least: 1, Most: 100000, Serve: true, to: func(s *Settings) any { return &s.MaxConnections },
		Help: "connections of one listener at a time"},
	{Key: "serve.kept-replies", Type: Int, Default: "1000000", Least: 1, Most: 10000000, Serve: true, to: func(s *Settings) any { return &s.KeptReplies },
		Help: "replies that are kept"},
	{Key: "serve.allow-deviation", Type: Bool, Serve: true, to: func(s *Settings) any { return &s.AllowDeviation },
		Help: "start although mx-alias = refuse or dane-and-sts = both cannot be expressed in an answer to Postfix"},
	{Key: "serve.metrics", Type: String, Serve: true, to: func(s *Settings) any { return &s.Metrics },
		Help: "address of the metrics listener, unix:PATH or inet:HOST:PORT; empty: none"},
	{Key: "serve.control", Type: String, Serve: true, to: func(s *Settings) any { return &s.Control },
		Help: "path of the control socket, for mxauth status; empty: none"},
}

// find returns the row of a key; nil if there is none.
func find(key string) *Setting {
	for i := range table {
		if table[i].Key == key {
			return &table[i]
		}
	}
	return nil
}

// Defaults returns the settings with nothing given.
func Defaults() *Settings {
	s := &Settings{origins: map[string]string{}}
	for i := range table {
		if r := &table[i]; r.Default != "" {
			if err := r.set(s, r.Default); err != nil {
				panic(fmt.Sprintf("settings: default of %s: %v", r.Key, err))
			}
		}
	}
	return s
}

// Origin says where the value of a key came from: "default", a file with line, a variable
// or a flag.
func (s *Settings) Origin(key string) string {
	if o := s.origins[key]; o != "" {
		return o
	}
	return "default"
}

// Differences returns the keys whose values differ between two settings, "listen" for the
// listeners.
func (s *Settings) Differences(o *Settings) []string {
	var keys []string
	for i := range table {
		if r := &table[i]; r.literal(s) != r.literal(o) {
			keys = append(keys, r.Key)
		}
	}
	if !slices.EqualFunc(s.Listen, o.Listen, Listen.equal) {
		keys = append(keys, "listen")
	}
	return keys
}

// Value returns the value of a key as text; lists joined by a comma and a blank.
func (s *Settings) Value(key string) string {
	r := find(key)
	if r == nil {
		return ""
	}
	switch p := r.to(s).(type) {
	case *string:
		return *p
	case *[]string:
		return strings.Join(*p, ", ")
	case *bool:
		return fmt.Sprint(*p)
	case *int:
		return fmt.Sprint(*p)
	case *time.Duration:
		return p.String()
	}
	return ""
}
