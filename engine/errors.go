package engine

import (
	"github.com/mxauth/mxauth/internal/fault"
)

// Errors that a caller may branch on.
var (
	// ErrRequest is wrapped by every error of [Engine.Plan]: the request is not one that
	// can be planned, and the text names the option at fault. What DNS or a policy says
	// is never an error; it is in the plan.
	ErrRequest = fault.New("engine", "bad request")
	// ErrRefused is wrapped by the error with which a handshake ends that an [Attempt]'s
	// TLSConfig refused. The decision is that of [Attempt.Decision].
	ErrRefused = fault.New("engine", "the peer did not prove itself")
	// ErrInjected is wrapped by the error of Read on a watched connection where plaintext
	// followed the 220 reply to STARTTLS. The connection must be closed.
	ErrInjected = fault.New("engine", "unencrypted data after the reply to STARTTLS")
)
