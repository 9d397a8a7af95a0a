package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/postfixconf"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
)

// A postfixSource says where the configuration of Postfix comes from: the program postconf of
// this machine, or files.
type postfixSource struct {
	postconf string // file in place of `postconf -n`; "": the program
	master   string // file in place of `postconf -M`
	version  string // in place of mail_version
	dir      string // configuration folder of Postfix, as postconf -c has it
	chroot   string // "yes", "no" or "" to read it from master.cf
}

func (p *postfixSource) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&p.postconf, "postconf", "", "`FILE` with what postconf -n prints, or main.cf; - is standard input; in place of the Postfix of this machine")
	fs.StringVar(&p.master, "master", "", "`FILE` with what postconf -M prints, or master.cf")
	fs.StringVar(&p.version, "version", "", "`VERSION` of Postfix, such as 3.7.11, in place of that of postconf mail_version")
	fs.StringVar(&p.dir, "postfix-dir", "", "configuration `FOLDER` of Postfix, as postconf -c takes it")
	fs.StringVar(&p.chroot, "chroot", "", "`WORD`: yes or no, whether smtp is chrooted, in place of what master.cf says")
}

// Bounds of running postconf.
const (
	postconfTime = 20 * time.Second
	maxTableFile = 4 << 20
)

// errNoPostfix: there is no program postconf.
var errNoPostfix = errors.New("there is no Postfix on this machine (no program postconf)")

// postconfPath finds postconf also where /usr/sbin is in no PATH.
func postconfPath() (string, error) {
	for _, name := range []string{"postconf", "/usr/sbin/postconf", "/usr/local/sbin/postconf"} {
		if p, err := exec.LookPath(name); err == nil {
			return p, nil
		}
	}
	return "", errNoPostfix
}

// runPostconf runs postconf and returns what it prints.
func (p *postfixSource) runPostconf(ctx context.Context, args ...string) ([]byte, error) {
	program, err := postconfPath()
	if err != nil {
		return nil, configError("name a file with its settings by --postconf FILE, and its version by --version", "%w", err)
	}
	if p.dir != "" {
		args = append([]string{"-c", p.dir}, args...)
	}
	ctx, cancel := context.WithTimeout(ctx, postconfTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, configError("", "postconf %s: %w: %.300s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// files reports whether the settings are those of files, not of this machine.
func (p *postfixSource) files() bool { return p.postconf != "" }

// read reads the configuration. s has the sockets and options of mxauth.
func (e *env) readPostfix(ctx context.Context, p *postfixSource, s *settings.Settings) (*postfixconf.Input, error) {
	in := &postfixconf.Input{InsecureMX: s.InsecureMX, NoMinTLS: s.MinTLS == "off", CAFile: caBundle(), ReadTable: readTable}
	for _, l := range s.Listen {
		if l.Door == "socketmap" {
			in.Listen = append(in.Listen, postfixconf.Listener{Address: l.Address})
		}
	}
	if p.files() {
		in.ReadTable = nil
	}
	if p.chroot != "" && p.chroot != "yes" && p.chroot != "no" {
		return nil, usageError("--chroot: %.20q is neither yes nor no", p.chroot)
	}
	if err := e.postfixVersion(ctx, p, in); err != nil {
		return nil, err
	}
	text, err := e.postfixText(ctx, p.postconf, p.files(), "-n", p)
	if err != nil {
		return nil, err
	}
	if in.Params, err = postfixconf.ParseParams(bytes.NewReader(text)); err != nil {
		return nil, configError("", "%s: %w", nameOf(p.postconf, "postconf -n"), err)
	}
	if !p.files() {
		text = p.mainCF(ctx)
	}
	if in.Repeated, err = postfixconf.Repeated(bytes.NewReader(text)); err != nil {
		return nil, configError("", "%s: %w", nameOf(p.postconf, "main.cf"), err)
	}
	if text, err = e.postfixText(ctx, p.master, p.files(), "-M", p); err != nil {
		return nil, err
	}
	if text != nil {
		if in.Services, err = postfixconf.ParseServices(bytes.NewReader(text), in.Version); err != nil {
			return nil, configError("", "%s: %w", nameOf(p.master, "postconf -M"), err)
		}
	}
	switch {
	case p.chroot != "" && len(in.Services) == 0:
		in.Services = []postfixconf.Service{{Name: "smtp", Type: "unix", Chroot: p.chroot == "yes"}}
	case p.chroot != "":
		for i := range in.Services {
			in.Services[i].Chroot = p.chroot == "yes"
		}
	}
	return in, nil
}

// mainCF returns the text of main.cf itself, which shows what postconf -n hides; nil if it
// cannot be read.
func (p *postfixSource) mainCF(ctx context.Context) []byte {
	dir, err := p.runPostconf(ctx, "-h", "config_directory")
	if err != nil {
		return nil
	}
	text, err := readTable(filepath.Join(strings.TrimSpace(string(dir)), "main.cf"))
	if err != nil {
		return nil
	}
	return text
}

func nameOf(file, program string) string {
	switch file {
	case "":
		return program
	case "-":
		return "standard input"
	}
	return file
}

// postfixText reads a file, or runs postconf where there are no files at all.
func (e *env) postfixText(ctx context.Context, file string, files bool, option string, p *postfixSource) ([]byte, error) {
	switch {
	case file != "":
		in, err := e.input(file)
		if err != nil {
			return nil, usageError("%w", err)
		}
		defer in.Close()
		return readBounded(in)
	case files:
		return nil, nil
	}
	return p.runPostconf(ctx, option)
}

// postfixVersion finds the version; with files alone it may stay unknown.
func (e *env) postfixVersion(ctx context.Context, p *postfixSource, in *postfixconf.Input) (err error) {
	text := p.version
	if text == "" {
		if p.files() {
			return nil
		}
		out, err := p.runPostconf(ctx, "mail_version")
		if err != nil {
			return err
		}
		text = string(out)
	}
	if in.Version, err = postfixconf.ParseVersion(text); err != nil {
		return usageError("--version: %w", err)
	}
	return nil
}

func readBounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxTableFile+1))
	if err == nil && len(b) > maxTableFile {
		err = fmt.Errorf("longer than %d bytes", maxTableFile)
	}
	return b, err
}

// readTable reads the text of a table.
func readTable(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f)
}

// caBundles are where systems keep their authorities in one file.
var caBundles = []string{postfixconf.DefaultCAFile, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem", "/usr/local/share/certs/ca-root-nss.crt"}

// caBundle is the file of this machine; "" if none is found.
func caBundle() string {
	i := slices.IndexFunc(caBundles, func(name string) bool {
		st, err := os.Stat(name)
		return err == nil && st.Mode().IsRegular()
	})
	if i < 0 {
		return ""
	}
	return caBundles[i]
}

// chrootFile is a file of the host as a chrooted smtp sees it.
func chrootFile(in *postfixconf.Input, name string) string {
	return filepath.Join(in.Params.Get("queue_directory"), name)
}
