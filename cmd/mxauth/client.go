package main

import (
	"context"
	"log/slog"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/store"
)

// A client is an [mxauth.Client] as the shared flags say, with its store and with what
// failed of its lookups. Verbs get theirs from [env.open] and close it after use.
type client struct {
	*mxauth.Client
	config mxauth.Config // of Client
	store  store.Store
	faults *resolverFaults
}

// close closes the client and then its store.
func (c *client) close() {
	if c.Client != nil {
		_ = c.Client.Close() // what it could not write it has said before
	}
	if c.store != nil {
		_ = c.store.Close()
	}
}

// open makes a client as the shared flags say. config has what the verb adds to them; use
// says what it needs of the store. An error is a usage or configuration error.
func (e *env) open(ctx context.Context, use storeUse, config mxauth.Config) (_ *client, err error) {
	c := &client{config: config, faults: newResolverFaults()}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if err := e.configure(&c.config, "--resolver ADDR"); err != nil {
		return nil, err
	}
	t, err := e.readTrust("--ca-file")
	if err != nil {
		return nil, err
	}
	t.apply(&c.config)
	// This program ends, so the answer does not depend on what comes first.
	c.config.AwaitPolicies = true
	c.faults.servers, c.faults.fromFile = c.config.Servers, len(e.flags.resolvers) == 0
	c.config.Lookups.Asked = c.faults.asked
	if c.config.TrustAD {
		if err := e.checkTrustAD(ctx, &c.config); err != nil {
			return nil, err
		}
	}
	if c.store, err = e.openStore(use); err != nil {
		return nil, err
	}
	c.config.Store = c.store
	if c.config.Exceptions, err = e.exceptions(ctx); err != nil {
		return nil, err
	}
	if c.Client, err = mxauth.New(c.config); err != nil {
		return nil, err
	}
	c.faults.upstreams = c.Upstreams
	return c, nil
}

// configure puts the shared flags, without anchors and certification authorities, into the
// configuration of a client. resolver is how the operator names one.
func (e *env) configure(c *mxauth.Config, resolver string) error {
	set, err := e.flags.parse()
	if err != nil {
		return err
	}
	if c.Servers = set.servers; len(c.Servers) == 0 {
		if c.Servers, _, err = upstream.System(""); err != nil {
			return configError("name a resolver by "+resolver, "%w", err)
		}
	}
	c.TrustAD = e.flags.dnssec == modeTrustAD
	c.AllowAddresses, c.DenyAddresses = set.allow, set.deny
	c.HELO, c.Timeout, c.CheckTimeout = set.helo, e.flags.timeout, e.flags.probeTime
	c.Dial, c.Now, c.Logger = e.dial, e.now, e.logger()
	return nil
}

// logger logs to standard error if --verbose is set, or as a daemon does.
func (e *env) logger() *slog.Logger {
	if e.log != nil {
		return e.log
	}
	if !e.flags.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return e.out.logger(slog.LevelDebug)
}
