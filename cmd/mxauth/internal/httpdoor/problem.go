package httpdoor

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/mxauth/mxauth/internal/text"
)

// Ids of what is wrong with a request, or with this server. Those of deliveries are in
// docs/reasons.md.
const (
	idBadRequest       = "bad-request"       // the delivery is not one that can be planned
	idBadParameter     = "bad-parameter"     // of the query
	idBadBody          = "bad-body"          // not the JSON that is described
	idBodyTooLarge     = "body-too-large"    //
	idLengthRequired   = "length-required"   // a body without Content-Length
	idWrongType        = "wrong-media-type"  // a body that is not said to be JSON
	idUnauthorized     = "unauthorized"      // no bearer token, or not one of the file
	idCrossSite        = "cross-site"        // a page of another site sends it
	idNotOffered       = "check-not-offered" // this listener offers no checks
	idForbiddenPort    = "port-not-allowed"  // of a check
	idNotFound         = "not-found"         //
	idMethodNotAllowed = "method-not-allowed"
	idWrongHost        = "wrong-host" // the Host header does not name this server
	idTooMany          = "too-many-checks"
	idBusy             = "busy"
	idNotReady         = "not-ready"
	idLate             = "late"
	idInternal         = "internal-error"
)

// A problem is the answer to a request that has none (RFC 9457). Its type is about:blank: the
// status says what kind of problem it is, and the reason id which.
type problem struct {
	V        int    `json:"v"`
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	ReasonID string `json:"reason_id"`
}

// newProblem makes a problem. detail may hold what the client sent.
func newProblem(status int, id, detail string) *problem {
	return &problem{1, "about:blank", http.StatusText(status), status, text.Escape(strings.ToValidUTF8(detail, "\ufffd")), id}
}

// write answers a request with the problem.
func (p *problem) write(w http.ResponseWriter) {
	body, err := encode(p)
	if err != nil {
		panic(err) // strings and numbers
	}
	respond(w, p.Status, typeProblem, body)
}

// Header values, made once.
var (
	typeJSON    = []string{"application/json"}
	typeProblem = []string{"application/problem+json"}
	typeSchema  = []string{"application/schema+json"}
	typeYAML    = []string{"application/yaml"}
	typeText    = []string{"text/plain; charset=utf-8"}
	noStore     = []string{"no-store"}
	noSniff     = []string{"nosniff"}
)

// respond writes an answer.
func respond(w http.ResponseWriter, status int, mediaType []string, body []byte) {
	h := w.Header()
	h["Content-Type"], h["Cache-Control"], h["X-Content-Type-Options"] = mediaType, noStore, noSniff
	if status != http.StatusOK {
		w.WriteHeader(status)
	}
	_, _ = w.Write(body) // the client has left
}

// respondJSON writes a value.
func respondJSON(w http.ResponseWriter, v any) *problem {
	body, err := encode(v)
	if err != nil {
		return newProblem(http.StatusInternalServerError, idInternal, err.Error())
	}
	respond(w, http.StatusOK, typeJSON, body)
	return nil
}

// encode makes the JSON of a value, with one line end.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return text.JSON(b.Bytes()), nil
}
