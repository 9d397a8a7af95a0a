package policies

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/mxauth/mxauth/conformance/sets"
	"github.com/mxauth/mxauth/conformance/vectors/mtasts"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/dnsfake"
	mxpkix "github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// fetchTimeout bounds one fetch of a row.
const fetchTimeout = 5 * time.Second

// runFetches plays the policy host of each row, over TLS on loopback, and judges what a
// client makes of it.
func runFetches(ctx context.Context, dir string) ([]sets.Result, error) {
	good, err := newAuthority("policy hosts")
	if err != nil {
		return nil, err
	}
	other, err := newAuthority("nobody trusts")
	if err != nil {
		return nil, err
	}
	return sets.Table(dir, "fetch.jsonl", mtasts.ReadFetches, func(i int, row mtasts.Fetch) sets.Result {
		res := sets.Result{Case: fmt.Sprintf("fetch %d %s", i+1, row.Source), Want: row.Result}
		got, err := fetchRow(ctx, row, good, other)
		if res.Got = got; err != nil {
			res.Got = err.Error()
		}
		if row.BodyBytes > sts.MaxPolicySize && row.Result == "policy-invalid" && res.Got == "fetch-error" {
			res.Skip = "of a body over 64 KiB that was not read to its end nothing can be said but that the fetch failed, as other rows have it"
		}
		return res
	})
}

// fetchRow looks up the domain of a row with nothing cached, and puts the outcome into the
// words of the rows.
func fetchRow(ctx context.Context, row mtasts.Fetch, good, other *certtest.Pair) (string, error) {
	name := strings.TrimPrefix(row.Host, "mta-sts.")
	if name == "" {
		name = "example.org"
	}
	domain, err := rfc6125.ParseHost(name)
	if err != nil {
		return "", err
	}
	cert, err := forRow(row, "mta-sts."+name, good, other)
	if err != nil {
		return "", err
	}
	dns := dnsfake.New()
	dns.SetClock(time.Now)
	txt := "_mta-sts." + name
	switch row.DNS {
	case "":
		dns.Add(txt+`. 300 IN TXT "v=STSv1; id=one;"`, "mta-sts."+name+". 300 IN A 192.88.98.1")
	case "timeout":
		dns.Fail(txt, dnssec.TypeTXT, dnssec.ErrTimeout)
	case "SERVFAIL":
		dns.Fail(txt, dnssec.TypeTXT, dnssec.ErrServFail)
	case "NXDOMAIN":
	default:
		return "", fmt.Errorf("a DNS outcome that is not known: %.40q", row.DNS)
	}
	server, err := servePolicy(answer(row), cert)
	if err != nil {
		return "", err
	}
	defer server.close()
	c, err := sts.NewClient(sts.Config{Resolver: dns, Roots: mxpkix.NewRoots(good.Cert), Dial: server.dial, Timeout: fetchTimeout})
	if err != nil {
		return "", err
	}
	defer c.Close()
	r := c.Lookup(ctx, domain)
	var fe *sts.FetchError
	switch {
	case r.Policy != nil:
		return "ok", nil
	case errors.Is(r.TXTErr, sts.ErrNoRecord):
		return "no-policy", nil
	case errors.Is(r.FetchErr, sts.ErrPolicy):
		return "policy-invalid", nil
	case errors.As(r.FetchErr, &fe) && fe.Status == http.StatusNotFound:
		// The rows set 404 apart: the host says that it has no policy.
		return "no-policy", nil
	}
	return "fetch-error", nil
}

// answer is the handler that a row describes.
func answer(row mtasts.Fetch) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case !row.HasContentType:
			w.Header().Set("Content-Type", "text/plain")
		case row.ContentType != nil:
			w.Header().Set("Content-Type", *row.ContentType)
		default:
			w.Header()["Content-Type"] = nil
		}
		if row.Location != "" {
			w.Header().Set("Location", row.Location)
		}
		body := strings.Repeat("x", row.BodyBytes)
		if row.Body != nil {
			body = *row.Body
		}
		if row.Transfer != "chunked" {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		w.WriteHeader(row.Status)
		_, _ = io.WriteString(w, body)
	}
}

// A policyServer serves HTTPS on a free port of loopback.
type policyServer struct {
	addr net.Addr
	srv  *http.Server
	done sync.WaitGroup
}

func servePolicy(h http.Handler, cert tls.Certificate) (*policyServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &policyServer{addr: l.Addr(), srv: &http.Server{
		Handler: h, ReadHeaderTimeout: fetchTimeout, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
	}}
	p.done.Go(func() { _ = p.srv.ServeTLS(l, "", "") })
	return p, nil
}

// dial takes the place of the connection to the address that the row's DNS names.
func (p *policyServer) dial(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, p.addr.Network(), p.addr.String())
}

func (p *policyServer) close() {
	_ = p.srv.Close()
	p.done.Wait()
}

// newAuthority makes a root that is valid for two years around now.
func newAuthority(name string) (*certtest.Pair, error) {
	template := certtest.Authority(name)
	template.NotBefore, template.NotAfter = time.Now().AddDate(-2, 0, 0), time.Now().AddDate(2, 0, 0)
	return certtest.Sign(template, nil, nil)
}

// forRow issues the certificate that a row describes in words.
func forRow(row mtasts.Fetch, own string, a, other *certtest.Pair) (tls.Certificate, error) {
	names, end := []string{own}, a.Cert.NotAfter
	switch c := row.Cert; {
	case c == "" || c == "valid":
	case strings.HasPrefix(c, "valid for "):
		names = []string{strings.TrimPrefix(c, "valid for ")}
	case strings.HasPrefix(c, "trusted, names only "):
		names = []string{strings.TrimPrefix(c, "trusted, names only ")}
	case c == "expired":
		end = time.Now().AddDate(-1, 0, 0)
	case strings.Contains(c, "self-signed"), strings.Contains(c, "untrusted"), strings.Contains(c, "unknown"):
		a = other
	default:
		return tls.Certificate{}, fmt.Errorf("a certificate that is not known: %.60q", c)
	}
	template := certtest.Server(names...)
	template.NotBefore, template.NotAfter = a.Cert.NotBefore, end
	p, err := certtest.Sign(template, nil, a)
	if err != nil {
		return tls.Certificate{}, err
	}
	return p.TLS(), nil
}
