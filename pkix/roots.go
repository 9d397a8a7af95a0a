package pkix

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mxauth/mxauth/internal/fault"
)

// ErrNoRoots is wrapped by the errors of [SystemRoots] and [LoadRoots] that mean
// that no certificate was found.
var ErrNoRoots = fault.New("pkix", "no root certificates")

// maxBundle bounds the octets of a file of roots: the bundles of all public CAs
// have some 150 certificates in a quarter of a megabyte.
const maxBundle = 16 << 20

// Roots is a set of WebPKI root certificates. It is immutable and safe for
// concurrent use; the zero value and nil hold none.
type Roots struct {
	n         int
	bySubject map[string][]*Certificate // by raw subject
}

// NewRoots returns a set of the given certificates; nil ones and repetitions are
// left out.
func NewRoots(certs ...*x509.Certificate) *Roots {
	r := &Roots{bySubject: make(map[string][]*Certificate, len(certs))}
	for _, c := range certs {
		r.add(c)
	}
	return r
}

func (r *Roots) add(c *x509.Certificate) {
	if c == nil || r.contains(c) {
		return
	}
	r.bySubject[string(c.RawSubject)] = append(r.bySubject[string(c.RawSubject)], FromX509(c))
	r.n++
}

// Len counts the certificates of r.
func (r *Roots) Len() int {
	if r == nil {
		return 0
	}
	return r.n
}

// Equal reports whether two sets hold the same certificates.
func (r *Roots) Equal(o *Roots) bool {
	if r.Len() != o.Len() {
		return false
	}
	if r == nil {
		return true
	}
	for _, same := range r.bySubject {
		for _, c := range same {
			if !o.contains(c.view) {
				return false
			}
		}
	}
	return true
}

// withSubject returns the roots of this raw subject.
func (r *Roots) withSubject(subject []byte) []*Certificate {
	if r == nil {
		return nil
	}
	return r.bySubject[string(subject)]
}

func (r *Roots) contains(c *x509.Certificate) bool {
	for _, d := range r.withSubject(c.RawSubject) {
		if c.Equal(d.view) {
			return true
		}
	}
	return false
}

// Where systems keep the roots that their owner trusts, the first that is there
// counts. macOS has /etc/ssl/cert.pem too; Windows keeps no file.
var (
	systemFiles = []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Arch, Alpine
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL 7 and later
		"/etc/pki/tls/certs/ca-bundle.crt",                  // older Fedora and RHEL
		"/etc/ssl/ca-bundle.pem",                            // openSUSE
		"/etc/pki/tls/cacert.pem",
		"/etc/ssl/cert.pem", // Alpine, the BSDs, macOS
		"/usr/local/etc/ssl/cert.pem",
		"/usr/local/share/certs/ca-root-nss.crt", // older FreeBSD
		"/etc/openssl/certs/ca-certificates.crt", // NetBSD
	}
	systemDirs = []string{"/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/openssl/certs", "/var/ssl/certs"}
)

// SystemRoots reads the roots that this system trusts: the file named by the
// environment variable SSL_CERT_FILE and the folders in SSL_CERT_DIR (parted by
// colons) if one of them is set, else the file or folder in which systems of its
// kind keep them. The files are read again by each call. A certificate that does
// not parse is left out, as the system's other programs do. An error wraps
// [ErrNoRoots]; where the system keeps its roots in no file (Windows), the
// caller gives them to [LoadRoots].
func SystemRoots() (*Roots, error) {
	file, dirs := os.Getenv("SSL_CERT_FILE"), os.Getenv("SSL_CERT_DIR")
	files, folders := systemFiles, systemDirs
	if file != "" || dirs != "" {
		files, folders = nil, filepath.SplitList(dirs)
		if file != "" {
			files = []string{file}
		}
	}
	return systemRoots(files, folders)
}

func systemRoots(files, dirs []string) (*Roots, error) {
	r := NewRoots()
	for _, f := range files {
		if r.readFile(f, false) == nil {
			return r, nil
		}
	}
	for _, d := range dirs {
		if r.readDir(d) == nil && r.n > 0 {
			return r, nil
		}
	}
	return nil, fmt.Errorf("%w on this system; name a PEM file of them", ErrNoRoots)
}

// LoadRoots reads the PEM certificates of a file, or of the files of a folder
// (not of the folders in it). Other PEM blocks and other text in a file are left
// out; a certificate that does not parse is an error for a file, and left out in
// a folder. A file or folder without any certificate is an error that wraps
// [ErrNoRoots].
func LoadRoots(path string) (*Roots, error) {
	r := NewRoots()
	st, err := os.Stat(path)
	if err != nil {
		return nil, fault.Errorf("pkix", "%w", err)
	}
	if st.IsDir() {
		err = r.readDir(path)
	} else {
		err = r.readFile(path, true)
	}
	if err != nil {
		return nil, err
	}
	if r.n == 0 {
		return nil, fmt.Errorf("%w in %s", ErrNoRoots, path)
	}
	return r, nil
}

func (r *Roots) readDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fault.Errorf("pkix", "%w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
			continue // a dangling link, a folder, a socket
		}
		// Folders of certificates hold other files too: README, private keys.
		if err := r.readFile(path, false); err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, ErrNoRoots) {
			return err
		}
	}
	return nil
}

// readFile adds the certificates of a PEM file. If it is strict, one that does
// not parse is an error, and so is a file without any.
func (r *Roots) readFile(path string, strict bool) error {
	f, err := os.Open(path)
	if err != nil {
		return fault.Errorf("pkix", "%w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxBundle+1))
	if err != nil {
		return fault.Errorf("pkix", "%w", err)
	}
	if len(b) > maxBundle {
		return fault.Errorf("pkix", "%s is larger than %d octets", path, maxBundle)
	}
	found, other := 0, ""
	for n := 1; ; {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			other = block.Type
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			if strict {
				return fault.Errorf("pkix", "certificate %d of %s: %w", n, path, err)
			}
			continue
		}
		r.add(c)
		found++
		n++
	}
	switch {
	case found > 0:
		return nil
	case other != "":
		return fmt.Errorf("%w in %s: it holds a PEM block %q, not CERTIFICATE", ErrNoRoots, path, strings.ToValidUTF8(other, "?"))
	}
	return fmt.Errorf("%w in %s: it is not PEM", ErrNoRoots, path)
}
