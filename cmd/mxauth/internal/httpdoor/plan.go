package httpdoor

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"weak"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/mxauth/mxauth/engine"
)

// Limits of the answers that are kept.
const (
	// maxPlanBodies is how many answers are kept, and maxPlanBody and maxPlanQuery bound each
	// of them: 16 MB in all. What is larger is made again each time.
	maxPlanBodies = 1024
	maxPlanBody   = 15 << 10
	maxPlanQuery  = 1 << 10
)

// planBodies keeps the answers to plans that the engine keeps: making the JSON costs many
// times what finding the plan does. An answer belongs to one plan, so that one that is made
// again has a new answer.
type planBodies struct {
	mu  sync.Mutex // guards lru
	lru *simplelru.LRU[string, *planBody]
}

// A planBody is the answer to a query.
type planBody struct {
	request engine.Request // as the query was read
	plan    weak.Pointer[engine.Plan]
	body    []byte
}

func newPlanBodies() *planBodies {
	lru, err := simplelru.NewLRU[string, *planBody](maxPlanBodies, nil)
	if err != nil {
		panic(err) // a constant
	}
	return &planBodies{lru: lru}
}

func (b *planBodies) get(query string) *planBody {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept, _ := b.lru.Get(query)
	return kept
}

func (b *planBodies) put(query string, k *planBody) {
	if len(query) > maxPlanQuery || len(k.body) > maxPlanBody {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lru.Add(query, k)
}

// servePlan says what each mail host of a domain must prove.
func (s *Server) servePlan(w http.ResponseWriter, r *http.Request) *problem {
	kept := s.plans.get(r.URL.RawQuery)
	var request engine.Request
	if kept != nil {
		request = kept.request
	} else {
		var p *problem
		if request, p = planRequest(r, s.c.Backend.Defaults()); p != nil {
			return p
		}
	}
	ctx, cancel := limited(r)
	defer cancel()
	plan, err := s.c.Backend.Plan(ctx, request)
	if err != nil {
		return planProblem(err)
	}
	if kept != nil && kept.plan.Value() == plan {
		respond(w, http.StatusOK, typeJSON, kept.body)
		return nil
	}
	body, err := encode(s.c.Rows.Plan(request.NextHop, plan))
	if err != nil {
		return newProblem(http.StatusInternalServerError, idInternal, err.Error())
	}
	if _, ok := plan.Keep(); ok {
		// The key must not keep the whole of the request alive.
		s.plans.put(strings.Clone(r.URL.RawQuery), &planBody{request, weak.Make(plan), body})
	}
	respond(w, http.StatusOK, typeJSON, body)
	return nil
}

// planProblem is the problem of a delivery that was not planned.
func planProblem(err error) *problem {
	if errors.Is(err, engine.ErrRequest) {
		return newProblem(http.StatusBadRequest, idBadRequest, strings.TrimPrefix(plain(err), "bad request: "))
	}
	return late(err)
}

// plain is the text of an error without the names of the packages that it went through.
func plain(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	for _, prefix := range []string{"engine: ", "rfc6125: ", "mtapolicy: "} {
		text = strings.ReplaceAll(text, prefix, "")
	}
	return text
}
