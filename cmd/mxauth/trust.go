package main

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/pkix"
)

// trust holds the anchors of DNSSEC and the certification authorities. A daemon reads them
// again when it reloads.
type trust struct {
	anchors []anchor.Anchor
	roots   *pkix.Roots
	pool    *x509.CertPool // the same for resolvers; nil: the system's
}

// apply puts t into the configuration of a client.
func (t *trust) apply(c *mxauth.Config) {
	c.Anchors, c.Roots, c.ResolverRoots = t.anchors, t.roots, t.pool
}

func (t *trust) equal(o *trust) bool {
	return reflect.DeepEqual(t.anchors, o.anchors) && t.roots.Equal(o.roots)
}

// readTrust reads --trust-anchor and --ca-file, or takes the keys of the root and the
// certification authorities of the system. caFile is how the operator names a file of these.
func (e *env) readTrust(caFile string) (t trust, err error) {
	if t.roots, err = e.openRoots(); err != nil {
		return t, err
	}
	if t.anchors, err = e.anchors(); err != nil {
		return t, err
	}
	if t.pool, err = e.certPool(); err != nil {
		return t, err
	}
	if t.roots == nil {
		if t.roots, err = pkix.SystemRoots(); err != nil {
			return t, configError("name a PEM file of certification authorities by "+caFile, "%w", err)
		}
	}
	return t, nil
}

// openRoots reads --ca-file; nil if it is not given.
func (e *env) openRoots() (*pkix.Roots, error) {
	if e.flags.caFile == "" {
		return nil, nil
	}
	r, err := pkix.LoadRoots(e.flags.caFile)
	if err != nil {
		return nil, configError("--ca-file needs a file of PEM certificates (-----BEGIN CERTIFICATE-----)", "--ca-file: %w", err)
	}
	return r, nil
}

// anchors reads --trust-anchor; nil, which means the root's built-in keys, if it is not
// given.
func (e *env) anchors() ([]anchor.Anchor, error) {
	if e.flags.trustAnchor == "" {
		return nil, nil
	}
	const hint = "--trust-anchor needs a file with DS or DNSKEY records of a zone file, one a line"
	f, err := os.Open(e.flags.trustAnchor)
	if err != nil {
		return nil, configError(hint, "--trust-anchor: %w", err)
	}
	defer f.Close()
	a, err := anchor.Parse(f)
	if err != nil {
		return nil, configError(hint, "--trust-anchor: %s: %w", e.flags.trustAnchor, err)
	}
	return a, nil
}

// maxPEM bounds a file of certificates; the bundles of all public CAs have 250 kB.
const maxPEM = 16 << 20

// certPool is --ca-file in the form that TLS to resolvers wants; nil, the system's, if
// it is not given.
func (e *env) certPool() (*x509.CertPool, error) {
	if e.flags.caFile == "" {
		return nil, nil
	}
	files := []string{e.flags.caFile}
	if st, err := os.Stat(e.flags.caFile); err == nil && st.IsDir() {
		if files, err = filepath.Glob(filepath.Join(e.flags.caFile, "*")); err != nil {
			return nil, configError("", "--ca-file: %w", err)
		}
	}
	pool := x509.NewCertPool()
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, configError("", "--ca-file: %w", err)
		}
		b, err := io.ReadAll(io.LimitReader(f, maxPEM))
		_ = f.Close()
		if err == nil {
			pool.AppendCertsFromPEM(b)
		}
	}
	return pool, nil
}

// checkTrustAD asks each server for the keys of the root: one that does not validate is
// a mistake of configuration, found before it makes everything look insecure. One
// that does not answer is left to the lookups, which say what is wrong.
func (e *env) checkTrustAD(ctx context.Context, c *mxauth.Config) error {
	var g errgroup.Group
	for _, srv := range c.Servers {
		g.Go(func() error {
			one, err := mxauth.New(mxauth.Config{Servers: []upstream.Server{srv}, TrustAD: true, Anchors: c.Anchors, Roots: c.Roots,
				ResolverRoots: c.ResolverRoots, Timeout: c.Timeout, Now: c.Now, Logger: c.Logger})
			if err != nil {
				return err
			}
			defer one.Close()
			err = dnssec.StubConfig{Upstream: one}.CheckValidating(ctx)
			switch {
			case errors.Is(err, dnssec.ErrRootRejected):
				return configError(rootRejectedCure, "%w", err)
			case errors.Is(err, dnssec.ErrNotValidating):
				return configError(notValidatingCure, "%w", err)
			}
			return nil
		})
		if !srv.IsLoopback() && !srv.IsAuthenticated() {
			e.out.Notef("trust-ad believes %s and everybody on the network path to it", srv)
		}
	}
	return g.Wait()
}
