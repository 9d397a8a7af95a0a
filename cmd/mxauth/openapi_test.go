package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/httpdoor"
	"github.com/mxauth/mxauth/docs"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// An apiTest holds docs/openapi.yaml against a daemon.
type apiTest struct {
	*testing.T
	doc     *openapi3.T
	schemas *jsonschema.Compiler
	c       *httpClient
	seen    map[string]map[string]bool // statuses that were seen, by method and path
	details map[string]bool            // of problems that were seen
}

// loadAPI loads the description, and what it refers to, from the daemon.
func loadAPI(t *testing.T, c *httpClient) *openapi3.T {
	t.Helper()
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true
	loader.ReadFromURIFunc = func(_ *openapi3.Loader, u *url.URL) ([]byte, error) {
		status, body, _ := c.ask("GET", u.Path, "")
		if status != http.StatusOK {
			return nil, fmt.Errorf("%s: %d", u, status)
		}
		return []byte(body), nil
	}
	doc, err := loader.LoadFromURI(&url.URL{Scheme: "http", Host: "localhost", Path: "/openapi.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	// Examples are validated by [apiTest.valid]: kin-openapi does not follow the references
	// within a file of JSON Schema.
	if err := doc.Validate(t.Context(), openapi3.DisableExamplesValidation()); err != nil {
		t.Fatal(err)
	}
	return doc
}

// schemaBase is where the schemas are taken to be.
const schemaBase = "http://localhost/"

// loadSchemas loads the schemas from the daemon.
func loadSchemas(t *testing.T, c *httpClient) *jsonschema.Compiler {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for _, name := range docs.Schemas() {
		_, body, _ := c.ask("GET", "/"+name, "")
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
		if err == nil {
			err = compiler.AddResource(schemaBase+name, v)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return compiler
}

// valid holds a value against the schema that a media type refers to.
func (a *apiTest) valid(what string, media *openapi3.MediaType, body []byte) {
	a.Helper()
	if media == nil || media.Schema == nil {
		a.Errorf("%s: no schema", what)
		return
	}
	ref := media.Schema.Ref
	if ref == "" { // written out in the description
		b, err := media.Schema.MarshalJSON()
		if err != nil {
			a.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			a.Fatal(err)
		}
		ref = fmt.Sprintf("inline-%x", sha256.Sum256(b))
		_ = a.schemas.AddResource(schemaBase+ref, v) // added before
	}
	schema, err := a.schemas.Compile(schemaBase + strings.TrimPrefix(ref, "/"))
	if err != nil {
		a.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = schema.Validate(v)
	}
	if err != nil {
		a.Errorf("%s: %v\n%s", what, err, body)
	}
}

// check holds an answer against the description.
func (a *apiTest) check(method, path string, resp *http.Response) {
	a.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		a.Fatal(err)
	}
	item := a.doc.Paths.Value(path)
	op := item.GetOperation(method)
	key := method + " " + path
	if a.seen[key] == nil {
		a.seen[key] = map[string]bool{}
	}
	a.seen[key][strconv.Itoa(resp.StatusCode)] = true
	if op.Responses.Status(resp.StatusCode) == nil {
		a.Errorf("%s answers %d, which is not described: %s", key, resp.StatusCode, body)
		return
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		a.Errorf("%s: Cache-Control %q", key, got)
	}
	contentType := resp.Header.Get("Content-Type")
	if !strings.Contains(contentType, "json") || strings.Contains(contentType, "schema") {
		media := op.Responses.Status(resp.StatusCode).Value.Content.Get(contentType)
		if media == nil {
			a.Errorf("%s %d: the type %q is not described", key, resp.StatusCode, contentType)
		}
		return
	}
	media := op.Responses.Status(resp.StatusCode).Value.Content.Get(contentType)
	a.valid(fmt.Sprintf("%s %d", key, resp.StatusCode), media, body)
	a.example(key, media, body)
}

// example holds the fields of an answer of the same reason against those of the example.
func (a *apiTest) example(key string, media *openapi3.MediaType, body []byte) {
	a.Helper()
	if media == nil || media.Example == nil {
		a.Errorf("%s has no example", key)
		return
	}
	if text, err := json.Marshal(media.Example); err != nil {
		a.Fatal(err)
	} else {
		a.valid(key+", the example", media, text)
	}
	want, ok := media.Example.(map[string]any)
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil || !ok {
		a.Errorf("%s: %v", key, err)
		return
	}
	if detail, ok := got["detail"].(string); ok {
		a.details[detail] = true
	}
	if got["domain"] != want["domain"] || got["reason_id"] != want["reason_id"] || got["key"] != want["key"] || got["source"] != want["source"] {
		return
	}
	if want["status"] != nil {
		if got["title"] != want["title"] || fmt.Sprint(got["status"]) != fmt.Sprint(want["status"]) {
			a.Errorf("%s: the example is not what is answered: %s", key, body)
		}
		return
	}
	if g, w := shape(got, ""), shape(want, ""); !slices.Equal(g, w) {
		a.Errorf("%s: the fields differ from the example's:\n%q\n%q", key, g, w)
	}
}

// shape lists the fields of a value, those of the first item of a list.
func shape(v any, at string) (out []string) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			out = append(out, at+"."+name)
			out = append(out, shape(v[name], at+"."+name)...)
		}
	case []any:
		if len(v) > 0 && at != ".temps" {
			out = append(out, shape(v[0], at+"[]")...)
		}
	}
	return out
}

// faulty is a backend that has each of the faults that a daemon cannot be made to have.
type faulty struct {
	httpBackend
	panics bool
	plan   error
	ready  error
	block  chan struct{} // checks wait for it
}

func (f faulty) crash() {
	if f.panics {
		panic("a test")
	}
}

func (f faulty) Defaults() engine.Request { f.crash(); return engine.Request{} }
func (f faulty) Plan(context.Context, engine.Request) (*engine.Plan, error) {
	return nil, f.plan
}
func (f faulty) Check(context.Context, engine.Request) (mxauth.Verdict, error) {
	if f.block != nil {
		<-f.block
	}
	return mxauth.Verdict{}, f.plan
}
func (f faulty) Told(context.Context, mtapolicy.Form, string, string) answers.Event {
	f.crash()
	return answers.Event{}
}
func (f faulty) Ready() error { f.crash(); return f.ready }

type faultyRows struct{ httpRows }

func (faultyRows) Status(context.Context) any { panic("a test") }

// serveFaulty asks a server with a faulty backend.
func serveFaulty(f faulty, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	faultyServer(f).ServeHTTP(w, r)
	return w.Result()
}

func faultyServer(f faulty) *httpdoor.Server {
	return httpdoor.New(httpdoor.Config{Backend: f, Rows: faultyRows{}, Check: true,
		Metrics: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a test") })})
}

// settlePlan waits until the plan of the examples is kept. DANE decides it before the lookup
// of the MTA-STS record has ended, and until then it has other fields.
func settlePlan(t *testing.T, c *httpClient, header ...string) {
	t.Helper()
	eventually(t, "a kept plan of dane-ee.test", func() bool {
		_, body, _ := c.ask("GET", "/v1/plan?domain=dane-ee.test", "", header...)
		return strings.Contains(body, `"kept_until"`)
	})
}

const decideExample = `{"request":{"next_hop":"dane-ee.test"},"host":"mx.dane-ee.test","event":"no-starttls"}`

// TestOpenAPI holds every path, parameter, status and example of docs/openapi.yaml against
// the daemon, and what the daemon has against the file.
func TestOpenAPI(t *testing.T) {
	l := startLab(t, serveWorlds(t, "dane-ee", "sts-enforce"), nil)
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, strings.Repeat("0123456789abcdef", 2)+"\n")
	if err := os.Chmod(token, 0o600); err != nil {
		t.Fatal(err)
	}
	// A fixed clock: an answer says how long to wait for the next check.
	begun := time.Now()
	_, c := startHTTPAt(t, l, func() time.Time { return begun }, "")
	_, closed := startHTTP(t, l, fmt.Sprintf("token-file = %q\n", token))
	settlePlan(t, c)
	settlePlan(t, closed, "Authorization", "Bearer "+strings.Repeat("0123456789abcdef", 2))
	a := &apiTest{t, loadAPI(t, c), loadSchemas(t, c), c, map[string]map[string]bool{}, map[string]bool{}}

	t.Run("paths", func(t *testing.T) {
		var described []string
		for path := range a.doc.Paths.Map() {
			described = append(described, path)
		}
		slices.Sort(described)
		if got := faultyServer(faulty{}).Paths(); !slices.Equal(got, described) {
			t.Errorf("served:    %q\ndescribed: %q", got, described)
		}
	})
	for path, item := range a.doc.Paths.Map() {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			status, _, h := c.ask(method, path, "")
			if op := item.GetOperation(method); (op == nil) != (status == http.StatusMethodNotAllowed) {
				t.Errorf("%s %s: %d, described: %v", method, path, status, op != nil)
			}
			if status == http.StatusMethodNotAllowed && !strings.Contains(h.Get("Allow"), slices.Collect(maps.Keys(item.Operations()))[0]) {
				t.Errorf("%s %s: Allow %q", method, path, h.Get("Allow"))
			}
		}
		for method, op := range item.Operations() {
			a.parameters(path, op)
			a.statuses(method, path, op, closed)
		}
	}
	a.rare()
	for name, r := range a.doc.Components.Responses {
		example := r.Value.Content.Get("application/problem+json").Example.(map[string]any)
		if detail := example["detail"].(string); !a.details[detail] {
			t.Errorf("%s: no request was answered %q", name, detail)
		}
	}
	for path, item := range a.doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status := range op.Responses.Map() {
				if !a.seen[method+" "+path][status] {
					t.Errorf("%s %s: %s is described, and no request was answered so", method, path, status)
				}
			}
		}
	}
}

// do sends a request and holds the answer against the description.
func (a *apiTest) do(c *httpClient, method, path, query, body string, header ...string) {
	a.Helper()
	r, err := http.NewRequestWithContext(a.Context(), method, c.base+path+query, strings.NewReader(body))
	if err != nil {
		a.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		switch header[i] {
		case "Host":
			r.Host = header[i+1]
		case "Transfer-Encoding":
			r.ContentLength, r.Body = -1, io.NopCloser(strings.NewReader(body+" "))
		default:
			r.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := c.Do(r)
	if err != nil {
		a.Fatal(err)
	}
	a.check(method, path, resp)
}

// parameters holds the parameters of an operation against those that the daemon names, and
// tries the example of each.
func (a *apiTest) parameters(path string, op *openapi3.Operation) {
	a.Helper()
	var described []string
	required := ""
	for _, p := range op.Parameters {
		described = append(described, p.Value.Name)
		if p.Value.Required {
			required += "&" + p.Value.Name + "=" + url.QueryEscape(fmt.Sprint(p.Value.Example))
		}
	}
	method := "GET"
	if op.RequestBody != nil {
		method = "POST"
	}
	_, text, _ := a.c.ask(method, path+"?zz=1", strings.Repeat(decideExample, min(1, len(method)-3)))
	if _, list, ok := strings.Cut(text, "those of this path are "); ok != (len(described) > 0) || ok && strings.Join(described, ", ")+`","` != list[:strings.Index(list, `","`)+3] {
		a.Errorf("%s: described are %q, and the daemon says %s", path, described, text)
	}
	for _, p := range op.Parameters {
		query := "?" + strings.TrimPrefix(required, "&")
		if !p.Value.Required {
			query += "&" + p.Value.Name + "=" + url.QueryEscape(fmt.Sprint(p.Value.Example))
		}
		switch p.Value.Name {
		case "names":
			query += "&level=secure"
		case "host":
			query += "&form=exim"
		}
		if status, text, _ := a.c.ask("GET", path+query, ""); status != http.StatusOK {
			a.Errorf("%s%s: %d %s", path, query, status, text)
		}
		if s := p.Value.Schema.Value; s.Enum != nil || s.Type.Is("boolean") || s.Type.Is("integer") {
			for _, v := range s.Enum {
				if status, text, _ := a.c.ask("GET", path+"?"+required+"&"+p.Value.Name+"="+fmt.Sprint(v), ""); status != http.StatusOK {
					a.Errorf("%s: %s=%v is described: %d %s", path, p.Value.Name, v, status, text)
				}
			}
			if status, _, _ := a.c.ask("GET", path+"?"+required+"&"+p.Value.Name+"=zz", ""); status != http.StatusBadRequest {
				a.Errorf("%s: %s=zz is accepted", path, p.Value.Name)
			}
		}
		if status, _, _ := a.c.ask("GET", path+query+"&"+p.Value.Name+"=1", ""); status != http.StatusBadRequest {
			a.Errorf("%s: %s counts although it is given twice", path, p.Value.Name)
		}
	}
}

// statuses causes those that every daemon has.
func (a *apiTest) statuses(method, path string, op *openapi3.Operation, closed *httpClient) {
	a.Helper()
	query, body := "", ""
	for _, p := range op.Parameters {
		if p.Value.Required {
			query += "&" + p.Value.Name + "=" + url.QueryEscape(fmt.Sprint(p.Value.Example))
		}
	}
	if query != "" {
		query = "?" + query[1:]
	}
	if op.RequestBody != nil {
		b, err := json.Marshal(op.RequestBody.Value.Content.Get("application/json").Example)
		if err != nil {
			a.Fatal(err)
		}
		body = string(b)
		a.valid(path+", the example of the request", op.RequestBody.Value.Content.Get("application/json"), b)
	}
	a.do(a.c, method, path, query, body)
	if !a.seen[method+" "+path]["200"] {
		a.Errorf("%s %s: the example is not answered", method, path)
	}
	a.do(a.c, method, path, "?zz=1", body)
	a.do(closed, method, path, query, body)
	a.do(closed, method, path, query, body, "Authorization", "Bearer "+strings.Repeat("0123456789abcdef", 2))
	a.do(a.c, method, path, query, body, "Transfer-Encoding", "chunked")
	a.do(a.c, method, path, query, body, "Host", "attacker.example")
	if strings.HasPrefix(path, "/v1/") {
		a.do(a.c, method, path, query, body, "Sec-Fetch-Site", "cross-site")
	}
	if body != "" {
		a.do(a.c, method, path, query, body, "Content-Type", "text/plain")
		a.do(a.c, method, path, query, `{"request":"`+strings.Repeat("a", 1<<20)+`"}`)
		a.do(a.c, method, path, query, strings.Replace(body, `"v":1`, `"v":2`, 1))
	}
}

// rare causes the rest.
func (a *apiTest) rare() {
	a.do(a.c, "GET", "/v1/plan", "", "")
	a.do(a.c, "POST", "/v1/decide", "", strings.Replace(decideExample, "mx.dane", "mx9.dane", 1))
	a.do(a.c, "POST", "/v1/check", "", `{"request":{"next_hop":"dane-ee.test","port":8080}}`)
	for range 7 {
		a.do(a.c, "POST", "/v1/check", "", `{"request":{"next_hop":"dane-ee.test"}}`)
	}
	request := func(method, path, body string) *http.Request {
		r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if body == "" {
			r.Body, r.ContentLength = http.NoBody, 0
		}
		return r
	}
	const checkExample = `{"request":{"next_hop":"dane-ee.test"}}`
	for _, f := range []faulty{{panics: true}, {plan: context.DeadlineExceeded, ready: errUnproved}} {
		for _, x := range []struct{ method, path, query, body string }{
			{"GET", "/v1/plan", "?domain=a.test", ""}, {"GET", "/v1/policy", "?key=a.test", ""}, {"GET", "/v1/status", "", ""},
			{"POST", "/v1/decide", "", decideExample}, {"POST", "/v1/check", "", checkExample},
			{"GET", "/readyz", "", ""}, {"GET", "/metrics", "", ""},
		} {
			if f.panics || x.path != "/v1/policy" {
				a.check(x.method, x.path, serveFaulty(f, request(x.method, x.path+x.query, x.body)))
			}
		}
	}
	var busy *http.Response
	synctest.Test(a.T, func(*testing.T) {
		f := faulty{block: make(chan struct{}), plan: context.DeadlineExceeded}
		s := faultyServer(f)
		ask := func(i int) *http.Response {
			w, r := httptest.NewRecorder(), request("POST", "/v1/check", checkExample)
			r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1000", i)
			s.ServeHTTP(w, r)
			return w.Result()
		}
		for i := range 8 {
			go ask(i)
		}
		synctest.Wait()
		busy = ask(9) // after 30 s
		close(f.block)
	})
	if busy.StatusCode != http.StatusServiceUnavailable {
		a.Errorf("the ninth check: %d", busy.StatusCode)
	}
	a.check("POST", "/v1/check", busy)
}
