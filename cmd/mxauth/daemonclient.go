package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// A daemonClient speaks with a running daemon at its control socket.
type daemonClient struct {
	path string
	http *http.Client
}

// Limits of the client.
const (
	dialControl = 2 * time.Second
	// answerControl bounds the wait for the beginning of an answer: the daemon may look up a plan first.
	answerControl = time.Minute
	// answerStatus bounds the wait for a status, for which the daemon looks up nothing.
	answerStatus = 5 * time.Second
	// maxControlError bounds the text of an error.
	maxControlError = 4 << 10
)

// newDaemonClient connects to nothing.
func newDaemonClient(path string) *daemonClient {
	return &daemonClient{path: path, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			d := net.Dialer{Timeout: dialControl}
			return d.DialContext(ctx, "unix", path)
		},
		DisableKeepAlives:     true,
		ResponseHeaderTimeout: answerControl,
	}}}
}

// daemonFlags are the flags of verbs that speak with a daemon.
type daemonFlags struct{ control string }

// addDaemonFlags defines them.
func (e *env) addDaemonFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&e.daemonFlags.control, "control", "", "`PATH` of the daemon's control socket, in place of serve.control of the configuration")
}

// daemon finds a running daemon, and returns it with the settings; nil if there is none. A socket that
// may not be used is an error: without it another answer would come out.
func (e *env) daemon() (*settings.Settings, *daemonClient, error) {
	s := e.set
	path := s.Control
	if e.daemonFlags.control != "" {
		path = e.daemonFlags.control
	}
	if path == "" {
		return s, nil, nil
	}
	c := newDaemonClient(path)
	conn, err := net.DialTimeout("unix", path, dialControl)
	switch {
	case err == nil:
		conn.Close()
		return s, c, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		if e.daemonFlags.control != "" {
			return nil, nil, configError("is mxauth serve running, and serve.control this path?", "%w %s", errNoDaemon, path)
		}
		return s, nil, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, configError("the control socket belongs to the user of the daemon: use sudo", "%s: %w", path, fs.ErrPermission)
	}
	return nil, nil, configError("", "%w", err)
}

// holds reports whether the daemon has a store open, which --store has named.
func (c *daemonClient) holds(ctx context.Context, where string) bool {
	row, err := c.status(ctx)
	return err == nil && row.Store.Where == withoutPassword(where)
}

// status asks how the daemon is doing.
func (c *daemonClient) status(ctx context.Context) (row statusRow, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerStatus)
	defer cancel()
	return row, c.get(ctx, "/v1/status", &row)
}

// errNotKeptThere is what a daemon says of what it does not have.
var errNotKeptThere = errors.New("nothing is kept")

// do asks and decodes the answer into v, unless v is nil.
func (c *daemonClient) do(ctx context.Context, method, path string, body io.Reader, v any) error {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if v == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return configError("is this path serve.control of mxauth serve?", "the daemon's answer at %s cannot be read: %w", c.path, err)
	}
	return nil
}

func (c *daemonClient) get(ctx context.Context, path string, v any) error {
	return c.do(ctx, http.MethodGet, path, nil, v)
}

// send asks; an answer that is none of success is an error.
func (c *daemonClient) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://mxauth"+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set(whoHeader, who())
	var connected, answered atomic.Bool // the transport's goroutines set them
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(httptrace.GotConnInfo) { connected.Store(true) },
		GotFirstResponseByte: func() { answered.Store(true) },
	}))
	resp, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			return nil, configError("its process may be stopped or stuck: restart it", "the daemon at %s does not answer", c.path)
		}
		// The error differs with the moment at which the peer closes: EOF, a reset, a broken pipe.
		if connected.Load() && !answered.Load() && ctx.Err() == nil {
			err = errors.New("the connection was closed before an answer came")
		}
		return nil, configError("is this path serve.control of mxauth serve?", "the daemon at %s: %w", c.path, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxControlError))
	text := strings.TrimSpace(string(b))
	switch resp.StatusCode {
	case http.StatusNotFound:
		return nil, fmt.Errorf("%w: %s", errNotKeptThere, text)
	case http.StatusBadRequest:
		return nil, usageError("%s", text)
	case http.StatusServiceUnavailable:
		return nil, configError("", "%w: %s", store.ErrUnavailable, text)
	}
	return nil, fmt.Errorf("the daemon at %s: %s", c.path, text)
}

// A policyBook is what cache works on: the policies of a store, or those of a daemon.
type policyBook interface {
	List(ctx context.Context, f func(sts.Item) bool) error
	Show(ctx context.Context, domain rfc6125.Host) (sts.Item, bool, error)
	Export(ctx context.Context, w io.Writer) (int, error)
	Import(ctx context.Context, r io.Reader, who string) (sts.Imported, error)
	Delete(ctx context.Context, domain rfc6125.Host, who string) (bool, error)
}

// remotePolicies are those of a daemon.
type remotePolicies struct{ c *daemonClient }

func (p remotePolicies) List(ctx context.Context, f func(sts.Item) bool) error {
	var list []sts.Item
	if err := p.c.get(ctx, "/v1/policies", &list); err != nil {
		return err
	}
	for _, i := range list {
		if !f(i) {
			break
		}
	}
	return nil
}

func (p remotePolicies) Show(ctx context.Context, domain rfc6125.Host) (i sts.Item, ok bool, err error) {
	ok, err = there(p.c.get(ctx, "/v1/policies/"+domain.String(), &i))
	return i, ok, err
}

// there turns the error about what is not kept into a false.
func there(err error) (bool, error) {
	if errors.Is(err, errNotKeptThere) {
		return false, nil
	}
	return err == nil, err
}

func (p remotePolicies) Export(ctx context.Context, w io.Writer) (int, error) {
	resp, err := p.c.send(ctx, http.MethodGet, "/v1/export", nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n := &lineCounter{w: w}
	if _, err := io.Copy(n, resp.Body); err != nil {
		return n.lines, err
	}
	if text := resp.Trailer.Get(errorTrailer); text != "" {
		return n.lines, fmt.Errorf("%w: %s", store.ErrUnavailable, text)
	}
	return n.lines, nil
}

// A lineCounter counts the lines that pass.
type lineCounter struct {
	w     io.Writer
	lines int
}

func (l *lineCounter) Write(b []byte) (int, error) {
	l.lines += strings.Count(string(b), "\n")
	return l.w.Write(b)
}

func (p remotePolicies) Import(ctx context.Context, r io.Reader, _ string) (sts.Imported, error) {
	var row importedRow
	if err := p.c.do(ctx, http.MethodPost, "/v1/import", r, &row); err != nil {
		return sts.Imported{}, err
	}
	switch {
	case row.Line:
		return row.Imported, fmt.Errorf("%w: %s", sts.ErrImport, strings.TrimPrefix(row.Error, sts.ErrImport.Error()+": "))
	case row.Error != "":
		return row.Imported, errors.New(row.Error)
	}
	return row.Imported, nil
}

func (p remotePolicies) Delete(ctx context.Context, domain rfc6125.Host, _ string) (bool, error) {
	return there(p.c.do(ctx, http.MethodDelete, "/v1/policies/"+domain.String(), nil, nil))
}

// A memoryBook is what memory works on.
type memoryBook interface {
	All(ctx context.Context, f func(memory.Past) bool) error
	Past(ctx context.Context, domain rfc6125.Host, port uint16) (memory.Past, bool, error)
	Forget(ctx context.Context, domain rfc6125.Host, port uint16) (bool, error)
}

// remoteMemory is that of a daemon.
type remoteMemory struct{ c *daemonClient }

func (m remoteMemory) All(ctx context.Context, f func(memory.Past) bool) error {
	var list []memory.Past
	if err := m.c.get(ctx, "/v1/memory", &list); err != nil {
		if errors.Is(err, errNotKeptThere) {
			return nil
		}
		return err
	}
	for _, p := range list {
		if !f(p) {
			break
		}
	}
	return nil
}

func memoryPath(domain rfc6125.Host, port uint16) string {
	return fmt.Sprintf("/v1/memory/%s?port=%d", domain, port)
}

func (m remoteMemory) Past(ctx context.Context, domain rfc6125.Host, port uint16) (p memory.Past, ok bool, err error) {
	ok, err = there(m.c.get(ctx, memoryPath(domain, port), &p))
	return p, ok, err
}

func (m remoteMemory) Forget(ctx context.Context, domain rfc6125.Host, port uint16) (bool, error) {
	return there(m.c.do(ctx, http.MethodDelete, memoryPath(domain, port), nil, nil))
}
