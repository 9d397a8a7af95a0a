package main

import (
	"errors"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/engine"
)

// A verdict is the answer for one text that was asked: an error if it is no domain, else what
// the client found.
type verdict struct {
	mxauth.Verdict // of the verb plan: the plan alone
	asked          string
	err            error  // wraps engine.ErrRequest
	record         string // the TLSRPT record of the domain, if a collector wants to know
	verbose        bool   // print every step
}

// verdictOf makes a verdict of what a client returned. An error that is not about the text
// is returned.
func verdictOf(asked string, v mxauth.Verdict, err error) (*verdict, error) {
	switch {
	case errors.Is(err, engine.ErrRequest):
		return &verdict{asked: asked, err: err}, nil
	case err != nil:
		return nil, err
	}
	return &verdict{Verdict: v, asked: asked}, nil
}

// tls is the protocol version of the address that host i's row describes.
func (v *verdict) tls(i int) string {
	for _, a := range v.Hosts[i].Addresses {
		if a.Decision.Outcome == v.Hosts[i].Decision.Outcome && a.Peer.TLS != "" {
			return a.Peer.TLS
		}
	}
	return ""
}

// nameDoubted reports whether a host may have refused the name that was given in EHLO.
func (v *verdict) nameDoubted() bool {
	for _, h := range v.Hosts {
		for _, a := range h.Addresses {
			if a.NameDoubted {
				return true
			}
		}
	}
	return false
}

// exit is the exit status that the verdict asks for.
func (v *verdict) exit() int {
	switch s := v.Summary; {
	case v.err != nil:
		return exitUsage
	case s.Outcome == engine.Authenticated && s.EveryHost:
		return exitAuthenticated
	case s.Deliver:
		return exitDeliverable
	case s.Outcome == engine.Refused, s.Outcome == engine.Bounced:
		return exitRefused
	}
	return exitDeferred
}
