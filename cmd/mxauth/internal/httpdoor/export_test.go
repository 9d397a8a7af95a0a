package httpdoor

import "github.com/mxauth/mxauth/engine"

type (
	DecideBody = decideBody
	Delivery   = engine.Request
)
