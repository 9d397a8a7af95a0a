package httpdoor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/engine"
)

// readBody reads the JSON of a request into v. Names that v does not have, names that come
// twice and whatever follows the value are errors.
func readBody(w http.ResponseWriter, r *http.Request, v any) *problem {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return newProblem(http.StatusUnsupportedMediaType, idWrongType, "send Content-Type: application/json")
	}
	if _, p := query(r); p != nil {
		return p
	}
	tooLarge := newProblem(http.StatusRequestEntityTooLarge, idBodyTooLarge, fmt.Sprintf("a body has at most %d bytes", maxBody))
	if r.ContentLength > maxBody {
		w.Header().Set("Connection", "close")
		return tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return tooLarge
	case err != nil:
		w.Header().Set("Connection", "close")
		return newProblem(http.StatusBadRequest, idBadBody, "the body did not arrive in full")
	}
	if err := decodeStrict(body, v); err != nil {
		return newProblem(http.StatusBadRequest, idBadBody, "the body is not as described: "+plain(err))
	}
	return nil
}

// maxDepth bounds how deep values lie within each other; those of this package lie three
// deep.
const maxDepth = 8

// decodeStrict is json.Unmarshal with everything an error that it would pass over: unknown
// names, names that differ in case, names that come twice, a second value.
func decodeStrict(body []byte, v any) error {
	if err := checkNames(body); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the value")
	}
	return nil
}

// checkNames holds the names of every object of a text to be different, and in the letters
// that our names have: package json takes a name for another that differs in case.
func checkNames(body []byte) error {
	type level struct {
		object, name bool // the next token is a name
		seen         []string
	}
	var stack []level
	d := json.NewDecoder(bytes.NewReader(body))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var top *level
		if len(stack) > 0 {
			top = &stack[len(stack)-1]
		}
		if name, ok := token.(string); ok && top != nil && top.object && top.name {
			if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
				return fmt.Errorf("unknown field %.40q", name)
			}
			if slices.Contains(top.seen, name) {
				return fmt.Errorf("%.40q is given more than once", name)
			}
			if len(top.seen) >= len(parameters)+maxDepth {
				return errors.New("too many fields")
			}
			top.seen, top.name = append(top.seen, name), false
			continue
		}
		if top != nil {
			top.name = true
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if len(stack) == maxDepth {
				return fmt.Errorf("values are nested more than %d deep", maxDepth)
			}
			stack = append(stack, level{object: token == json.Delim('{'), name: true})
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
	}
}

// versioned refuses a body of another version than 1; one that says none is of version 1.
func versioned(v *int) *problem {
	if v != nil && *v != 1 {
		return newProblem(http.StatusBadRequest, idBadBody, fmt.Sprintf("v is %d, and this server knows 1 alone", *v))
	}
	return nil
}

// withDefaults is what a request in JSON is read into.
func (s *Server) withDefaults() engine.Request {
	r := s.c.Backend.Defaults()
	r.Options.Names = slices.Clone(r.Options.Names) // which a decoder writes into
	return r
}

// A checkBody is the body of POST /v1/check.
type checkBody struct {
	V       *int           `json:"v"`
	Request engine.Request `json:"request"`
}

// checkPorts are the ports that a check may connect to: those of mail between servers and of
// submission.
var checkPorts = []uint16{25, 465, 587}

// serveCheck checks a delivery.
func (s *Server) serveCheck(w http.ResponseWriter, r *http.Request) *problem {
	if !s.c.Check {
		return newProblem(http.StatusForbidden, idNotOffered, "this listener offers no checks; the listener needs check = true")
	}
	b := checkBody{Request: s.withDefaults()}
	if p := readBody(w, r, &b); p != nil {
		return p
	}
	if p := versioned(b.V); p != nil {
		return p
	}
	port, err := b.Request.MailPort()
	if err != nil {
		return planProblem(err)
	}
	if !slices.Contains(checkPorts, port) {
		return newProblem(http.StatusForbidden, idForbiddenPort, fmt.Sprintf("a check connects to the ports 25, 465 and 587 alone, not to %d", port))
	}
	if wait := s.checks.take(clientOf(r), s.c.Now()); wait > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(wait.Seconds())+1))
		return newProblem(http.StatusTooManyRequests, idTooMany, fmt.Sprintf("a client may begin %d checks a minute; wait %d seconds", checksPerMinute, int(wait.Seconds())+1))
	}
	ctx, cancel := limited(r)
	defer cancel()
	if err := turn(ctx, s.probes); err != nil {
		return newProblem(http.StatusServiceUnavailable, idBusy, "too many checks are under way; ask again")
	}
	defer func() { <-s.probes }()
	v, err := s.c.Backend.Check(ctx, b.Request)
	if err != nil {
		return planProblem(err)
	}
	return respondJSON(w, s.c.Rows.Check(b.Request.NextHop, &v))
}
