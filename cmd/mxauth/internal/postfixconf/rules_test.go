package postfixconf_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/postfixconf"
)

// good is a main.cf without a finding, of Postfix 3.7.11.
const good = `smtp_tls_security_level = dane
smtp_dns_support_level = dnssec
smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt
smtp_tls_mandatory_protocols = >=TLSv1.2
smtp_tls_dane_insecure_mx_policy = dane
smtp_connection_cache_on_demand = no
smtp_tls_policy_maps = socketmap:unix:/run/mxauth/postfix.sock:QUERY
`

const master = "smtp unix - - n - - smtp\nrelay unix - - n - - smtp -o syslog_name=postfix/$service_name\nlmtp unix - - y - - lmtp\n"

// with is good with lines in place of those of the same name.
func with(lines ...string) string {
	text := ""
	for line := range strings.Lines(good) {
		name, _, _ := strings.Cut(line, " =")
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+" =") }) {
			text += line
		}
	}
	return text + strings.Join(lines, "\n") + "\n"
}

func input(t *testing.T, mainCF, masterCF, version string) *postfixconf.Input {
	t.Helper()
	in := &postfixconf.Input{}
	var err error
	if in.Params, err = postfixconf.ParseParams(strings.NewReader(mainCF)); err != nil {
		t.Fatal(err)
	}
	if in.Repeated, err = postfixconf.Repeated(strings.NewReader(mainCF)); err != nil {
		t.Fatal(err)
	}
	if version != "" {
		if in.Version, err = postfixconf.ParseVersion(version); err != nil {
			t.Fatal(err)
		}
	}
	if in.Services, err = postfixconf.ParseServices(strings.NewReader(masterCF), in.Version); err != nil {
		t.Fatal(err)
	}
	return in
}

// Each rule is broken by a main.cf, and by nothing that differs in the point at issue.
func TestRules(t *testing.T) {
	own := "socketmap:unix:/run/mxauth/postfix.sock:QUERY"
	withRPT := own + "withTLSRPT"
	seen := map[string]bool{}
	for _, x := range []struct {
		about, main, master, version string
		edit                         func(*postfixconf.Input)
		want                         string // "ID: FIX", joined by "; "; a fix that spans lines has them joined by " | "
	}{
		{about: "nothing to say", main: good},
		{about: "a name twice", main: good + "mydestination =\nmydestination =\nsmtp_tls_security_level = dane\n", want: "name-repeated: postconf -X smtp_tls_security_level && postconf -e 'smtp_tls_security_level = dane'"},
		{about: "no table", main: with("smtp_tls_policy_maps ="), want: "table-missing: smtp_tls_policy_maps = " + own},
		{about: "no table of mxauth", main: with("smtp_tls_policy_maps = hash:/etc/postfix/p"), want: "table-missing: smtp_tls_policy_maps = hash:/etc/postfix/p, " + own},
		{about: "another program", main: with("smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8642:QUERY"), want: "table-other: smtp_tls_policy_maps = " + own},
		{about: "another program before", main: with("smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:postfix, " + own), want: "table-other: smtp_tls_policy_maps = " + own},
		{about: "no such map", main: with("smtp_tls_policy_maps = socketmap:unix:/run/mxauth/postfix.sock:policy"), want: "table-map: smtp_tls_policy_maps = " + own},
		{about: "map in lower case", main: with("smtp_tls_policy_maps = socketmap:unix:/run/mxauth/postfix.sock:query")},
		{about: "extended before 3.10", main: with("smtp_tls_policy_maps = " + withRPT), want: "table-tlsrpt-old: smtp_tls_policy_maps = " + own},
		{about: "extended at 3.10", main: with("smtp_tls_policy_maps = " + withRPT), version: "3.10.13"},
		{about: "extended, version not known", main: with("smtp_tls_policy_maps = " + withRPT), version: "none"},
		{about: "plain at 3.10", main: good, version: "3.10.0", want: "table-tlsrpt-missing: smtp_tls_policy_maps = " + withRPT},
		{about: "own table after", main: with("smtp_tls_policy_maps = " + own + " hash:/etc/postfix/p"), want: "table-order: smtp_tls_policy_maps = hash:/etc/postfix/p, " + own},
		{about: "own table before", main: with("smtp_tls_policy_maps = hash:/etc/postfix/p " + own)},
		{about: "parent entries", main: with("smtp_tls_policy_maps = hash:/etc/postfix/p " + own),
			edit: func(in *postfixconf.Input) {
				in.ReadTable = func(string) ([]byte, error) {
					return []byte("# ours\nexample.org encrypt\n.example.org\tencrypt\n"), nil
				}
			}, want: `table-parent: /\.example\.org$/ encrypt`},
		{about: "parent entries inline", main: with("smtp_tls_policy_maps = inline:{{.example.org = secure match=.example.org}}, " + own), want: `table-parent: /\.example\.org$/ secure match=.example.org`},
		{about: "a table that cannot be read", main: with("smtp_tls_policy_maps = hash:/etc/postfix/p " + own),
			edit: func(in *postfixconf.Input) {
				in.ReadTable = func(string) ([]byte, error) { return nil, errors.New("no such file") }
			}},
		{about: "own value of a service", main: good, master: "slow unix - - n - - smtp -o smtp_tls_security_level=may -o { smtp_tls_policy_maps = }\n",
			want: "table-per-service: postconf -PX slow/unix/smtp_tls_policy_maps; table-per-service: postconf -PX slow/unix/smtp_tls_security_level"},
		{about: "own value that is the same", main: good, master: "slow unix - - n - - smtp -o smtp_tls_security_level=dane\n"},
		{about: "chroot", main: good, master: "smtp unix - - y - - smtp\n", want: "socket-chroot: smtp_tls_policy_maps = proxy:" + own},
		{about: "chroot of no smtp", main: good, master: "smtp unix - - n - - smtp\nlmtp unix - - y - - lmtp\n"},
		{about: "chroot by default before 3.0", main: with("smtp_tls_mandatory_protocols = !SSLv2, !SSLv3, !TLSv1, !TLSv1.1"), master: "smtp unix - - - - - smtp\n", version: "2.11.3",
			edit: func(in *postfixconf.Input) { in.NoMinTLS = true }, want: "socket-chroot: smtp_tls_policy_maps = proxy:" + own},
		{about: "chroot and proxy", main: with("smtp_tls_policy_maps = proxy:" + own), master: "smtp unix - - y - - smtp\n"},
		{about: "socket in the chroot", main: with("smtp_tls_policy_maps = socketmap:unix:run/mxauth/postfix.sock:QUERY"), master: "smtp unix - - y - - smtp\n",
			edit: func(in *postfixconf.Input) {
				in.Listen = []postfixconf.Listener{{Address: "unix:/var/spool/postfix/run/mxauth/postfix.sock"}}
			}},
		{about: "socket in the chroot, wrongly named", main: with("smtp_tls_policy_maps = socketmap:unix:/var/spool/postfix/run/mxauth/postfix.sock:QUERY"), master: "smtp unix - - y - - smtp\n",
			edit: func(in *postfixconf.Input) {
				in.Listen = []postfixconf.Listener{{Address: "unix:/var/spool/postfix/run/mxauth/postfix.sock"}}
			}, want: "socket-chroot: smtp_tls_policy_maps = socketmap:unix:run/mxauth/postfix.sock:QUERY"},
		{about: "TCP in the chroot", main: with("smtp_tls_policy_maps = socketmap:inet:localhost:8461:QUERY"), master: "smtp unix - - y - - smtp\n",
			edit: func(in *postfixconf.Input) { in.Listen = []postfixconf.Listener{{Address: "inet:127.0.0.1:8461"}} }},
		{about: "proxymap may not", main: with("smtp_tls_policy_maps = proxy:"+own, "proxy_read_maps = $mynetworks"), want: "socket-proxy: proxy_read_maps = $mynetworks $smtp_tls_policy_maps"},
		{about: "proxymap may", main: with("smtp_tls_policy_maps = proxy:"+own, "proxy_read_maps = $mynetworks $smtp_tls_policy_maps")},
		{about: "no DNS", main: with("disable_dns_lookups = yes"), want: "dns-off: disable_dns_lookups = no"},
		{about: "addresses of /etc/hosts", main: with("smtp_host_lookup = native"), want: "dns-off: smtp_host_lookup = dns"},
		{about: "addresses of both", main: with("smtp_host_lookup = dns, native")},
		{about: "no DNSSEC", main: with("smtp_dns_support_level ="), want: "dnssec-off: smtp_dns_support_level = dnssec"},
		{about: "no authorities", main: with("smtp_tls_CAfile ="), want: "ca-missing: smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt"},
		{about: "OpenSSL's authorities", main: with("smtp_tls_CAfile =", "tls_append_default_CA = yes")},
		{about: "a folder of authorities", main: with("smtp_tls_CAfile =", "smtp_tls_CApath = /etc/ssl/certs")},
		{about: "a folder of authorities in a chroot", main: with("smtp_tls_CAfile =", "smtp_tls_CApath = /etc/ssl/certs", "smtp_tls_policy_maps = proxy:"+own), master: "smtp unix - - y - - smtp\n",
			want: "ca-path-chroot: smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt"},
		{about: "no level", main: with("smtp_tls_security_level ="), want: "level-none: smtp_tls_security_level = dane"},
		{about: "level none", main: with("smtp_tls_security_level = none"), want: "level-none: smtp_tls_security_level = dane"},
		{about: "the older parameter", main: with("smtp_tls_security_level =", "smtp_use_tls = yes")},
		{about: "the older parameter, stronger", main: with("smtp_tls_security_level =", "smtp_enforce_tls = yes"), want: "level-lowered: smtp_tls_security_level = dane"},
		{about: "level encrypt", main: with("smtp_tls_security_level = encrypt"), want: "level-lowered: smtp_tls_security_level = dane"},
		{about: "level dane-only", main: with("smtp_tls_security_level = dane-only"), want: "level-lowered: smtp_tls_security_level = dane"},
		{about: "no level of Postfix", main: with("smtp_tls_security_level = high"), want: "level-unknown: smtp_tls_security_level = dane"},
		{about: "insecure MX, set", main: with("smtp_tls_dane_insecure_mx_policy = may"), want: "insecure-mx: smtp_tls_dane_insecure_mx_policy = dane"},
		{about: "insecure MX, default of level may", main: strings.Replace(with("smtp_tls_security_level = may"), "smtp_tls_dane_insecure_mx_policy = dane\n", "", 1), want: "insecure-mx: smtp_tls_dane_insecure_mx_policy = dane"},
		{about: "insecure MX, default of level dane", main: strings.Replace(good, "smtp_tls_dane_insecure_mx_policy = dane\n", "", 1)},
		{about: "insecure MX, other setting of mxauth", main: good, edit: func(in *postfixconf.Input) { in.InsecureMX = "encrypt" }, want: "insecure-mx: smtp_tls_dane_insecure_mx_policy = encrypt"},
		{about: "insecure MX, default against mxauth", main: strings.Replace(good, "smtp_tls_dane_insecure_mx_policy = dane\n", "", 1), edit: func(in *postfixconf.Input) { in.InsecureMX = "may" }, want: "insecure-mx: smtp_tls_dane_insecure_mx_policy = may"},
		{about: "patterns", main: with("smtp_tls_enforce_sts_mx_patterns = no"), want: "sts-patterns: smtp_tls_enforce_sts_mx_patterns = yes"},
		{about: "aliases", main: with("smtp_cname_overrides_servername = yes"), want: "cname: smtp_cname_overrides_servername = no"},
		{about: "fallback", main: with("smtp_fallback_relay = [relay.example.org]"), want: "fallback-relay: smtp_fallback_relay ="},
		{about: "fallback by the older parameter", main: with("fallback_relay = [relay.example.org]"), want: "fallback-relay: smtp_fallback_relay ="},
		{about: "cache", main: with("smtp_connection_cache_destinations = example.org"), want: "connection-cache: smtp_connection_cache_destinations ="},
		{about: "cache, version not known", main: with("smtp_connection_cache_destinations = example.org"), version: "none", want: "connection-cache: smtp_connection_cache_destinations ="},
		{about: "cache at 3.10", main: with("smtp_connection_cache_destinations = example.org", "smtp_tls_policy_maps = "+withRPT), version: "3.10.1"},
		{about: "cache on demand", main: with("smtp_connection_cache_on_demand = yes"), want: "connection-cache-on-demand: smtp_connection_cache_on_demand = no"},
		{about: "min-tls before 3.6", main: good, version: "3.5.25", want: `protocols-old: [policy] | min-tls = "off"`},
		{about: "min-tls off before 3.6", main: with("smtp_tls_mandatory_protocols = !SSLv2, !SSLv3, !TLSv1, !TLSv1.1"), version: "3.5.25", edit: func(in *postfixconf.Input) { in.NoMinTLS = true }},
		{about: "old TLS", main: with("smtp_tls_mandatory_protocols ="), want: "protocols: smtp_tls_mandatory_protocols = >=TLSv1.2"},
		{about: "old TLS excluded by half", main: with("smtp_tls_mandatory_protocols = !SSLv2 !TLSv1"), want: "protocols: smtp_tls_mandatory_protocols = >=TLSv1.2"},
		{about: "new TLS by name", main: with("smtp_tls_mandatory_protocols = TLSv1.2, TLSv1.3")},
		{about: "relay", main: with("relayhost = [relay.example.org]"), want: "relayhost: "},
	} {
		version := x.version
		switch version {
		case "":
			version = "3.7.11"
		case "none":
			version = ""
		}
		if x.master == "" {
			x.master = master
		}
		in := input(t, x.main, x.master, version)
		if x.edit != nil {
			x.edit(in)
		}
		var got []string
		for _, f := range postfixconf.Check(in) {
			seen[f.ID] = true
			got = append(got, f.ID+": "+strings.ReplaceAll(f.Fix, "\n", " | "))
			if f.Why == "" || f.Where == "" {
				t.Errorf("%s: no text: %+v", x.about, f)
			}
		}
		if s := strings.Join(got, "; "); s != x.want {
			t.Errorf("%s:\n got %s\nwant %s", x.about, s, x.want)
		}
	}
	for _, id := range postfixconf.IDs() {
		if !seen[id] {
			t.Errorf("no main.cf breaks %s", id)
		}
	}
}

// The lines for a Postfix leave nothing to say about it, and put right what was wrong before.
func TestLinesPassRules(t *testing.T) {
	for _, version := range []string{"3.4.23", "3.6.4", "3.7.11", "3.9.1", "3.10.0", "3.10.13", "3.11.0"} {
		for _, masterCF := range []string{master, "smtp unix - - y - - smtp\n"} {
			for _, listen := range []string{"", "unix:/var/spool/postfix/run/mxauth/postfix.sock", "inet:127.0.0.1:8461"} {
				for _, insecure := range []string{"dane", "encrypt", "may"} {
					before := "smtp_tls_security_level = encrypt\nsmtp_tls_policy_maps = hash:/etc/postfix/p, socketmap:inet:127.0.0.1:8642:QUERY\n"
					in := input(t, before, masterCF, version)
					in.InsecureMX, in.NoMinTLS = insecure, in.Version.Before(3, 6, 0)
					if listen != "" {
						in.Listen = []postfixconf.Listener{{Address: listen}}
					}
					text := ""
					for _, l := range postfixconf.Lines(in) {
						text += l.String() + "\n"
						if l.Why == "" {
							t.Errorf("%s has no reason", l.Name)
						}
					}
					after := input(t, text, masterCF, version)
					after.InsecureMX, after.NoMinTLS, after.Listen = in.InsecureMX, in.NoMinTLS, in.Listen
					if list := postfixconf.Check(after); len(list) > 0 {
						t.Errorf("%s %q %q: %+v\n%s", version, masterCF, listen, list, text)
					}
				}
			}
		}
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string]string{"3.7.11": "3.7.11", "mail_version = 3.10.13\n": "3.10.13", "3.11-20250101": "3.11.0", "3.10.0-RC1": "3.10.0",
		"": "", "3": "", "3.x": "", "1.2.3.4": "", "3.-7": "", "99999999.1": ""} {
		v, err := postfixconf.ParseVersion(text)
		if v.String() != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, v, err, want)
		}
	}
	var unknown postfixconf.Version
	if unknown.Before(3, 10, 0) || unknown.AtLeast(2, 0, 0) {
		t.Error("a version that is not known is before or after another")
	}
}

func TestParams(t *testing.T) {
	p, err := postfixconf.ParseParams(strings.NewReader("# a comment\na = 1,\n  # another\n\n\t2\nb = ${a} $(a)-$a$\nc = ${a?{x}:{y}} $none.\nloop = $loop$loop\nd =\nqueue_directory = /q\ne = $queue_directory/x\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "1, 2", "b": "1, 2 1, 2-1, 2$", "c": "${a?{x}:{y}} .", "d": "", "e": "/q/x", "smtp_host_lookup": "dns", "none": ""} {
		if got := p.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if n := len(p.Get("loop")); n > 1<<17 {
		t.Errorf("a parameter that refers to itself made %d bytes", n)
	}
	for _, bad := range []string{"  x = 1\n", "no equals\n", "two words = 1\n", "= 1\n", "a = " + strings.Repeat("x", 1<<20)} {
		if _, err := postfixconf.ParseParams(strings.NewReader(bad)); !errors.Is(err, postfixconf.ErrSyntax) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	if _, err := postfixconf.ParseServices(strings.NewReader("smtp unix - -\n"), postfixconf.Version{}); !errors.Is(err, postfixconf.ErrSyntax) {
		t.Errorf("a short line of master.cf: %v", err)
	}
}

// No text makes the rules panic, and no finding is without a text.
func FuzzCheck(f *testing.F) {
	f.Add(good, master, "3.7.11")
	f.Add("smtp_tls_policy_maps = inline:{{.a=b}} proxy:socketmap:unix:x:QUERY\nproxy_read_maps = ${a?b}\n", "smtp unix - - y - - smtp -o {a=$b} -o", "3.10-20240101")
	f.Fuzz(func(t *testing.T, mainCF, masterCF, version string) {
		p, err := postfixconf.ParseParams(strings.NewReader(mainCF))
		if err != nil {
			return
		}
		v, _ := postfixconf.ParseVersion(version)
		s, err := postfixconf.ParseServices(strings.NewReader(masterCF), v)
		if err != nil {
			return
		}
		in := &postfixconf.Input{Version: v, Params: p, Services: s, ReadTable: func(string) ([]byte, error) { return []byte(mainCF), nil }}
		for _, x := range postfixconf.Check(in) {
			if x.Why == "" || x.ID == "" {
				t.Errorf("%+v", x)
			}
		}
	})
}
