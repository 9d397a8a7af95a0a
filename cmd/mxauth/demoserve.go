package main

import (
	"context"
	"encoding/pem"
	"os"
	"path/filepath"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/conformance/lab"
)

// runDemoServe runs mxauth serve about the domains of the demo, until ctx ends.
func runDemoServe(ctx context.Context, e *env, listen []string, control string, worlds []lab.World) error {
	s := settings.Defaults()
	for _, text := range listen {
		l, err := settings.ParseListen(text)
		if err != nil {
			return usageError("--serve: %w", err)
		}
		l.Page = l.Door == "http" // the demo is there to be looked at
		s.Listen = append(s.Listen, l)
	}
	s.Control, s.Allow = control, []string{"127.0.0.0/8"}
	l, err := lab.Start(ctx, lab.Config{Worlds: worlds, Now: e.now})
	if err != nil {
		return err
	}
	defer l.Close()
	dir, err := os.MkdirTemp("", "mxauth-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s.TrustAnchor, s.CAFile = filepath.Join(dir, "root.ds"), filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(s.TrustAnchor, []byte(l.TrustAnchor()), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(s.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.CA().Raw}), 0o600); err != nil {
		return err
	}
	s.DNSSEC, s.Servers = e.flags.dnssec, []string{l.Plain().String()}
	if s.DNSSEC == modeTrustAD {
		s.Servers[0] = l.Resolver().String()
	}
	e.dial = l.Dial
	e.flags.apply(s)
	d, err := openDaemon(ctx, e, s, false)
	if err != nil {
		return err
	}
	defer d.close()
	d.load = func() (*settings.Settings, error) { return s, nil }
	return d.serve(ctx)
}
