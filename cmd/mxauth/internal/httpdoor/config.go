// Package httpdoor answers questions about deliveries over HTTP, in JSON:
//
//	GET /v1/plan?domain=example.org HTTP/1.1
//	Host: localhost
//
//	HTTP/1.1 200 OK
//	Content-Type: application/json
//	Cache-Control: no-store
//
//	{"v":1,"domain":"example.org","level":"default","hosts":[...],...}
//
// docs/openapi.yaml describes every path, and GET /openapi.yaml returns that file. Nothing
// that a client sends changes the state of the daemon: a request may cause lookups, whose
// answers are kept as after a question of a mail server, and no more.
//
// The package has no mail logic. A [Backend] plans, checks and decides, and [Rows] makes the
// JSON of what it returns.
package httpdoor

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// A Backend is the daemon as the handlers see it. Its methods are called by many goroutines
// at once, and return soon after ctx ends.
type Backend interface {
	// Defaults returns what a request has beyond its next hop unless the client says
	// otherwise: the level and the options of this mail server. The caller may change it.
	Defaults() engine.Request
	// Plan returns the plan of a delivery. An error wraps [engine.ErrRequest], or is ctx's.
	// The same plan is the same pointer as long as it is kept; it must not be changed.
	Plan(ctx context.Context, r engine.Request) (*engine.Plan, error)
	// Check plans a delivery, speaks with each mail host up to STARTTLS and decides. It
	// connects to public addresses only, and to those that the configuration allows, and
	// remembers nothing of what the hosts showed. An error wraps [engine.ErrRequest], or is
	// ctx's.
	Check(ctx context.Context, r engine.Request) (mxauth.Verdict, error)
	// Decide judges what a connection to host i of a plan showed. It does no lookups.
	Decide(p *engine.Plan, i int, peer engine.Peer) engine.Decision
	// Told returns what a mail server that asks for key in this form would be told now. host
	// is for [mtapolicy.PerHost]; "" is the domain as a whole. It is neither counted nor
	// logged. A lookup that takes longer than the patience of the daemon goes on, and the
	// reply is then TryLater.
	Told(ctx context.Context, form mtapolicy.Form, key, host string) answers.Event
	// Ready returns nil if answers can be relied on, else why they cannot: no chain from the
	// trust anchor was proved yet, or the store is lost. It does no lookups.
	Ready() error
}

// Rows makes the JSON objects of answers, as docs/*.schema.json describe them.
type Rows interface {
	Plan(asked string, p *engine.Plan) any                 // plan.schema.json
	Check(asked string, v *mxauth.Verdict) any             // check.schema.json
	Decision(p *engine.Plan, i int, d engine.Decision) any // decision.schema.json
	Told(e *answers.Event) any                             // policy.schema.json
	Status(ctx context.Context) any                        // status.schema.json
}

// Config of a [Server]. Backend and Rows are required.
type Config struct {
	Backend Backend
	Rows    Rows
	// Page serves every path that is neither one of this package nor below /v1/; nil: they are 404. It is called
	// after the checks of the Host header and of the token, and does its own of where a
	// request comes from: [SameSite] is the check of this package.
	Page http.Handler
	// Metrics serves /metrics; nil: that is 404.
	Metrics http.Handler

	// Check offers POST /v1/check.
	Check bool
	// Unix says that the listeners are unix sockets, which no browser reaches: then a Host
	// header may have any name without a dot.
	Unix bool
	// Names are further names that a Host header may have, lower case.
	Names []string
	// Access is who may ask; nil: everyone who reaches the listener.
	Access *Access
	// TLS is for listeners with TLS; nil: there are none.
	TLS *tls.Config

	// Observe is called after each answer with the path, or "other", and the status; nil: it
	// is not called. It must not block.
	Observe func(path string, status int)

	MaxConns int              // 0: DefaultMaxConns
	Now      func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: discard
}
