package valkey

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/mxauth/mxauth/store"
)

// ErrRefused is wrapped by the error of a server that can be reached and does not take this
// client: a wrong password, a right that its user lacks, a certificate that does not prove
// the server, TLS on one side only. Waiting does not help. It wraps [store.ErrUnavailable].
var ErrRefused = fmt.Errorf("%w: refused", store.ErrUnavailable)

// refusals are the first words of answers of a server, and what they mean.
var refusals = []struct{ word, meaning string }{
	{"WRONGPASS", "the server does not accept the user or the password"},
	{"NOAUTH", "the server requires a password, and the URL has none"},
	{"NOPERM", "the user has no permission for this at the server"},
	{"READONLY", "the server is a replica, which cannot be written"},
	{"MOVED", "the server is part of a cluster, which cannot be reached by this URL"},
	{"AUTH <password> called", "the server has no password, and the URL has one"},
	{"Client sent AUTH", "the server has no password, and the URL has one"},
	{"DB index is out of range", "the server does not have the database of the URL"},
	{"SELECT is not allowed in cluster mode", "the URL names a database, and a cluster has only one"},
	{"DENIED", "the server runs in protected mode: without a password it serves its own machine only"},
}

// refusal returns an error of a server, or of the way to it, that says why the client is not
// taken; else err.
func refusal(err error) error {
	if err == nil || errors.Is(err, ErrRefused) {
		return err
	}
	var answer *valkey.ValkeyError
	if errors.As(err, &answer) {
		for _, r := range refusals {
			if strings.HasPrefix(answer.Error(), r.word) {
				return fmt.Errorf("%w: %s: %w", ErrRefused, r.meaning, err)
			}
		}
	}
	var unproved *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &unproved), errors.As(err, &authority), errors.As(err, &host):
		return fmt.Errorf("%w: the certificate of the server: %w", ErrRefused, err)
	case errors.As(err, &plain):
		return fmt.Errorf("%w: the server does not speak TLS at this port: %w", ErrRefused, err)
	}
	return err
}

// Check connects and tries once each kind of command that the store needs, on keys that no
// entry has. The error wraps [ErrRefused] if the server can be reached and does not take
// this client, else [store.ErrUnavailable].
func (s *Store) Check(ctx context.Context) error {
	err := s.check(ctx)
	if err == nil || errors.Is(err, ErrRefused) {
		return err
	}
	switch closed := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET); {
	case closed && s.option.TLSConfig == nil:
		return fmt.Errorf("%w (the server closed the connection at once: perhaps it speaks TLS at this port, rediss://)", err)
	case s.option.TLSConfig != nil && errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w (no answer to TLS: perhaps the server does not speak it at this port)", err)
	}
	return err
}

func (s *Store) check(ctx context.Context) error {
	const name = "check"
	if _, _, err := s.Fresh(ctx, name); err != nil {
		return err
	}
	l, ok, err := s.Lock(ctx, name, time.Second)
	if err != nil {
		return err
	}
	if ok { // else another process checks now
		if _, err := l.Renew(ctx, time.Second); err != nil {
			return err
		}
		if err := l.Unlock(ctx); err != nil {
			return err
		}
	}
	if err := s.Delete(ctx, name); err != nil {
		return err
	}
	return s.do(ctx, func(ctx context.Context, c valkey.Client) error {
		servers, err := primaries(ctx, c)
		if err != nil {
			return err
		}
		for _, server := range servers {
			if _, _, _, err := s.scan(ctx, server, c, 0, globEscape(s.entries+name)); err != nil {
				return err
			}
		}
		return nil
	})
}
