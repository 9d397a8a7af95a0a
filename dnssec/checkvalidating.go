package dnssec

import (
	"context"
	"errors"
	"fmt"

	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

// CheckValidating asks the upstream for the keys of the root and reports whether it validates: a
// nil error means that the AD bit was set. The root is signed, so a validating
// resolver always sets it. An error wraps [ErrNotValidating] and names the server,
// or is a [*LookupError] if there was no answer at all.
//
// One question cannot show more: a resolver that sets AD on everything passes.
// Package probe asks the questions that catch it.
func (c StubConfig) CheckValidating(ctx context.Context) error {
	s := &Stub{up: c.Upstream, turns: newTurns(DefaultUnderWay)}
	q := Question{rfc6125.RootName(), TypeDNSKEY}
	share, ctx, cancel := shareFor(ctx, q)
	defer cancel()
	l := lookup{s: s, share: share, q: q, a: &Answer{}}
	m, err := l.send(ctx, q, false)
	if err != nil {
		return err
	}
	server := l.a.Server
	if m.Rcode == wire.RcodeServFail {
		if m, err = l.servFail(ctx, q, m); err != nil && errors.Is(err.Kind, ErrBogus) {
			return fmt.Errorf("%w: %s rejects the keys of the root", ErrRootRejected, server)
		}
		if err != nil {
			return err
		}
	}
	if m.Rcode != wire.RcodeNoError {
		return l.with(rcodeFailed(q, q, m.Rcode), m)
	}
	r, err := readChain(m, q.Name, q.Type)
	switch {
	case err != nil:
		return l.with(err, m)
	case r.kind != Data:
		return fmt.Errorf("%w: %s gives no keys of the root: it, or the server that it forwards to, does not support DNSSEC", ErrNotValidating, server)
	case !m.AuthenticData():
		return fmt.Errorf("%w: %s gives the keys of the root without the AD bit", ErrNotValidating, server)
	}
	return nil
}
