package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/internal/servetest"
)

// benchSurvey in the environment makes the test program a survey to measure: the address of the
// policy hosts, the delay of a round trip, and one in how many policy hosts hangs (0: none;
// less than 0: it accepts the connection and sends nothing). benchAlone makes it ask the same questions alone.
const (
	benchSurvey = "MXAUTH_BENCH_SURVEY"
	benchAlone  = "MXAUTH_BENCH_ALONE"
)

// A surveyWorld is a resolver and policy hosts for any number of domains dN.example. Each has a
// mail host of its own, and every fourth a policy, at an address of its own in 10.0.0.0/8.
type surveyWorld struct {
	delay    time.Duration
	resolver netip.AddrPort
	policies string // address of the listener
	ca       string // PEM file

	questions atomic.Int64 // that came
}

// bareNumber is the number of a domain, and the name before it.
func bareNumber(name string) (n int, kind string) {
	name = strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(name), "."), ".example")
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		kind, name = name[:i], name[i+1:]
	}
	n, err := strconv.Atoi(strings.TrimPrefix(name, "d"))
	if err != nil {
		return -1, kind
	}
	return n, kind
}

const policyEvery = 4

// policyAddress is the address of the policy host of a domain.
func policyAddress(n int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n+1))
	b[0] = 10
	return netip.AddrFrom4(b)
}

// ServeDNS answers as a resolver that validates. Nothing but the root is signed.
func (w *surveyWorld) ServeDNS(rw dns.ResponseWriter, q *dns.Msg) {
	w.questions.Add(1)
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	m.SetEdns0(1232, true)
	name := q.Question[0].Name
	n, kind := bareNumber(name)
	h := dns.RR_Header{Name: name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 3600}
	switch t := h.Rrtype; {
	case name == ".":
		m.AuthenticatedData = true
		m.Answer = []dns.RR{&dns.DNSKEY{Hdr: h, Flags: 257, Protocol: 3, Algorithm: 13, PublicKey: "AAAA"}}
	case n < 0:
		m.Rcode = dns.RcodeNameError
	case t == dns.TypeMX && kind == "":
		m.Answer = []dns.RR{&dns.MX{Hdr: h, Preference: 10, Mx: "mx." + name}}
	case t == dns.TypeA && kind == "mx":
		m.Answer = []dns.RR{&dns.A{Hdr: h, A: net.IPv4(192, 0, 2, 1)}}
	case t == dns.TypeA && kind == "mta-sts":
		m.Answer = []dns.RR{&dns.A{Hdr: h, A: policyAddress(n).AsSlice()}}
	case t == dns.TypeTXT && kind == "_mta-sts" && n%policyEvery == 0:
		m.Answer = []dns.RR{&dns.TXT{Hdr: h, Txt: []string{"v=STSv1; id=1;"}}}
	}
	if len(m.Answer) == 0 {
		m.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: "example.", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 3600}, Ns: "ns.example.", Mbox: "a.example.", Minttl: 3600}}
	}
	if w.delay > 0 {
		<-time.After(w.delay) // each question has a goroutine of its own
	}
	_ = rw.WriteMsg(m)
}

// startSurveyWorld starts the servers.
func startSurveyWorld(t testing.TB, delay time.Duration) *surveyWorld {
	t.Helper()
	w := &surveyWorld{delay: delay}
	addr, stop, err := dnsfake.Serve(netip.MustParseAddrPort("127.0.0.1:0"), w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop() })
	w.resolver = addr

	ca := certtest.NewCA()
	w.ca = t.TempDir() + "/ca.pem"
	if err := os.WriteFile(w.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.DER}), 0o600); err != nil {
		t.Fatal(err)
	}
	key := certtest.NewKey()
	config := &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{ca.Issue(certtest.New(hello.ServerName, key.SPKI))}, PrivateKey: key.Private}, nil
	}}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	w.policies = l.Addr().String()
	servetest.Connections(t, l, func(c net.Conn) { servePolicy(c.(*tls.Conn)) })
	return w
}

// servePolicy answers one request.
func servePolicy(c *tls.Conn) {
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if line == "\r\n" {
			break
		}
	}
	domain := strings.TrimPrefix(c.ConnectionState().ServerName, "mta-sts.")
	body := "version: STSv1\r\nmode: enforce\r\nmx: mx." + domain + "\r\nmax_age: 604800\r\n"
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
}

// farDialer leads connections to policy hosts to the listener, over round trips of delay. One in
// hang policy hosts does not answer, or, where hang is negative, accepts and sends nothing.
func farDialer(listener string, delay time.Duration, hang int) func(context.Context, netip.AddrPort) (net.Conn, error) {
	return func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
		b := addr.Addr().As4()
		b[0] = 0
		n := int(binary.BigEndian.Uint32(b[:])) - 1
		if hang > 0 && n%(policyEvery*hang) == 0 {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		if hang < 0 && n%(policyEvery*hang) == 0 {
			near, far := net.Pipe()
			go io.Copy(io.Discard, far)
			return near, nil
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", listener)
		if err != nil || delay == 0 {
			return c, err
		}
		<-time.After(delay)
		return &farConn{Conn: c}, nil
	}
}

// mainBenchSurvey is a program to measure; it returns if there is none.
func mainBenchSurvey() {
	f := strings.Fields(os.Getenv(benchSurvey))
	if len(f) != 3 {
		return
	}
	delay, _ := time.ParseDuration(f[1])
	hang, _ := strconv.Atoi(f[2])
	dial := farDialer(f[0], delay, hang)
	if f := strings.Fields(os.Getenv(benchAlone)); len(f) == 2 {
		if err := surveyAlone(f[0], f[1], dial); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	e := newEnv(os.Stdin, os.Stdout, os.Stderr, os.Getenv)
	e.dial = dial
	code := run(ctx, os.Args[1:], e)
	stop()
	os.Exit(code)
}

// surveyAlone asks the questions of a survey, 64 domains side by side, each question as soon as
// what it depends on is answered, and does nothing with the answers.
func surveyAlone(resolver, ca string, dial func(context.Context, netip.AddrPort) (net.Conn, error)) error {
	text, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	domains := make(chan string)
	errs := make(chan error, 64)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for d := range domains {
				if err := askAlone(resolver, d, roots, dial); err != nil {
					errs <- fmt.Errorf("%s: %w", d, err)
					return
				}
			}
		})
	}
	s := bufio.NewScanner(os.Stdin)
	for s.Scan() {
		select {
		case domains <- s.Text():
		case err := <-errs:
			return err
		}
	}
	close(domains)
	wg.Wait()
	close(errs)
	return <-errs
}

func askAlone(resolver, domain string, roots *x509.CertPool, dial func(context.Context, netip.AddrPort) (net.Conn, error)) error {
	ask := func(name string, types ...uint16) ([]dns.RR, error) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		var all []dns.RR
		var failed error
		for _, t := range types {
			wg.Go(func() {
				q := new(dns.Msg).SetQuestion(name, t)
				q.SetEdns0(1232, true)
				m, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(q, resolver)
				mu.Lock()
				defer mu.Unlock()
				if failed = err; err == nil {
					all = append(all, m.Answer...)
				}
			})
		}
		wg.Wait()
		return all, failed
	}
	var wg sync.WaitGroup
	var mxErr, stsErr error
	wg.Go(func() {
		var mx []dns.RR
		if mx, mxErr = ask(domain+".", dns.TypeMX); mxErr == nil {
			_, mxErr = ask(mx[0].(*dns.MX).Mx, dns.TypeA, dns.TypeAAAA)
		}
	})
	wg.Go(func() {
		txt, err := ask("_mta-sts."+domain+".", dns.TypeTXT)
		if stsErr = err; err != nil || len(txt) == 0 {
			return
		}
		host := "mta-sts." + domain
		addrs, err := ask(host+".", dns.TypeA, dns.TypeAAAA)
		if stsErr = err; err != nil {
			return
		}
		a, _ := netip.AddrFromSlice(addrs[0].(*dns.A).A.To4())
		c, err := dial(context.Background(), netip.AddrPortFrom(a, 443))
		if stsErr = err; err != nil {
			return
		}
		defer c.Close()
		s := tls.Client(c, &tls.Config{ServerName: host, RootCAs: roots})
		_, stsErr = fmt.Fprintf(s, "GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: %s\r\n\r\n", host)
		if b, err := io.ReadAll(s); err != nil || len(b) == 0 {
			stsErr = fmt.Errorf("%d bytes: %w", len(b), err)
		}
	})
	wg.Wait()
	if mxErr != nil {
		return mxErr
	}
	return stsErr
}

// surveyed is what one run came to.
type surveyed struct {
	rate float64 // domains a second
	rss  float64 // the most memory, in MB
	cpu  float64 // processor time of a domain, in ms
}

// measure runs a survey of n domains, or asks alone, as a program of its own.
func (w *surveyWorld) measure(b *testing.B, n, hang int, alone bool) surveyed {
	b.Helper()
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	var list strings.Builder
	for i := range n {
		fmt.Fprintf(&list, "d%d.example\n", i)
	}
	cmd := exec.Command(program, "survey", "--resolver", w.resolver.String(), "--dnssec", "trust-ad", "--ca-file", w.ca, "--allow-address", "10.0.0.0/8", "--json", "-")
	cmd.Env = append(os.Environ(), asMxauth+"=1", fmt.Sprintf("%s=%s %v %d", benchSurvey, w.policies, w.delay, hang))
	if alone {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%s %s", benchAlone, w.resolver, w.ca))
	}
	cmd.Stdin, cmd.Stderr = strings.NewReader(list.String()), os.Stderr
	var out countingWriter
	cmd.Stdout = &out
	begun := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatal(err)
	}
	took := time.Since(begun).Seconds()
	if !alone && (out.lines != n || out.enforced < n/policyEvery*95/100) {
		b.Fatalf("%d rows, %d with MTA-STS, of %d", out.lines, out.enforced, n)
	}
	p := cmd.ProcessState
	return surveyed{float64(n) / took, float64(p.SysUsage().(*syscall.Rusage).Maxrss) / 1024, (p.UserTime() + p.SystemTime()).Seconds() * 1000 / float64(n)}
}

// A countingWriter counts lines and those with MTA-STS.
type countingWriter struct{ lines, enforced int }

func (c *countingWriter) Write(b []byte) (int, error) {
	c.lines += strings.Count(string(b), "\n")
	c.enforced += strings.Count(string(b), `"mechanism":"mta-sts"`)
	return len(b), nil
}

// BenchmarkSurvey measures surveys of 10,000 domains, of which every fourth has a policy, in
// interleaved rounds: the rate against that of a program that asks the same and does nothing else
// (over round trips of 20 ms, of nothing, and with one policy host in a hundred that takes no
// connection, or takes it and sends nothing), and
// the memory, also for 100,000 domains. MXAUTH_BENCH_DOMAINS changes the number.
//
//	go test ./cmd/mxauth -run '^$' -bench 'Survey$' -benchtime 1x
func BenchmarkSurvey(b *testing.B) {
	n, rounds := 10_000, 3
	if r := os.Getenv("MXAUTH_BENCH_ROUNDS"); r != "" {
		rounds, _ = strconv.Atoi(r)
	}
	if s := os.Getenv("MXAUTH_BENCH_DOMAINS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	far, near := startSurveyWorld(b, roundTrip), startSurveyWorld(b, 0)
	for b.Loop() {
		values := map[string][]float64{}
		add := func(name string, v float64) {
			values[name] = append(values[name], v)
			b.Logf("%s %.2f", name, v)
		}
		for range rounds {
			alone, own, hanging := far.measure(b, n, 0, true), far.measure(b, n, 0, false), far.measure(b, n, 100, false)
			add("far-alone/s", alone.rate)
			add("far/s", own.rate)
			add("far", own.rate/alone.rate)
			add("hang", hanging.rate/alone.rate)
			add("silent", far.measure(b, n, -100, false).rate/alone.rate)
			add("MB", own.rss)
			add("hang-MB", hanging.rss)
			add("far-cpu", own.cpu/alone.cpu)
			add("ms", own.cpu)
			bare, quick := near.measure(b, n, 0, true), near.measure(b, n, 0, false)
			add("near/s", quick.rate)
			add("near", quick.rate/bare.rate)
			add("near-MB", quick.rss)
		}
		if n == 10_000 {
			long := near.measure(b, 10*n, 100, false)
			add("long-MB", long.rss)
		}
		for name, list := range values {
			b.ReportMetric(median(list), name)
		}
	}
}
