// Command mxconform runs mxauth against published test vectors, and any program against
// the lab's worlds.
//
// Some published chains and zones have RSA keys of 512 to 1023 bits, which crypto/rsa
// refuses by default. Only this program takes them, for the vectors alone.

//go:debug rsa1024min=0
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
