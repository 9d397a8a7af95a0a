package peers_test

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/peers"
)

// A program of another release runs, with the libraries of that release.
func TestDebianRoot(t *testing.T) {
	root := peers.NewDebianRoot(t, "trixie", "openssl")
	got := peers.Run(t, "/", "chroot", root.Dir, "/usr/bin/openssl", "version")
	version, _, _ := strings.Cut(root.Versions["openssl"], "-")
	if version == "" || !strings.HasPrefix(got, "OpenSSL "+version+" ") {
		t.Errorf("%q; the package is %s", got, root.Versions["openssl"])
	}
	if peers.Run(t, "/", "chroot", root.Dir, "/usr/bin/openssl", "rand", "-hex", "8") == "" {
		t.Error("no random bytes")
	}
}

// The packages of Debian 12 have folders where the root has links.
func TestDebianRootLinks(t *testing.T) {
	root := peers.NewDebianRoot(t, "bookworm", "sed")
	if got := peers.Run(t, "/", "chroot", root.Dir, "/usr/bin/sed", "--version"); !strings.Contains(got, "GNU sed") {
		t.Errorf("%q", got)
	}
}
