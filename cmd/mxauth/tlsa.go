package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// newTLSA makes the verb tlsa.
func newTLSA(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "tlsa",
		Short: "Make TLSA records, check published ones, plan a change of key",
		Long: `Tlsa is for those who publish DANE records: make prints the records of a certificate or
key ready to paste into a zone, check holds published records against what the mail
hosts show, and against the certificate that is to come next, next plans the change to it
with dates.`,
	}, newTLSAMake(e), newTLSACheck(e), newTLSANext(e))
}

// tlsaMakeFlags are the flags of tlsa make, as typed.
type tlsaMakeFlags struct {
	usage, selector, matching string
	hosts                     []string
	port                      uint16
	ttl                       time.Duration
	format                    string
	forms                     [len(tlsaForms)]bool // --zone and its like, as tlsaForms
}

// tlsaForms are the forms in which tlsa make prints records.
var tlsaForms = [...]string{"zone", "rfc3597", "nsupdate", "json"}

// form is the form that the flags ask for.
func (f *tlsaMakeFlags) form(jsonFlag, formatSet bool) (string, error) {
	var asked []string
	if formatSet {
		form := f.format
		if form == "generic" { // what rfc3597 was called first
			form = "rfc3597"
		}
		if !slices.Contains(tlsaForms[:], form) {
			return "", notWord("format", f.format, tlsaForms[:]...)
		}
		asked = append(asked, form)
	}
	for i, form := range tlsaForms {
		if (f.forms[i] || form == "json" && jsonFlag) && !slices.Contains(asked, form) {
			asked = append(asked, form)
		}
	}
	switch len(asked) {
	case 0:
		return tlsaForms[0], nil
	case 1:
		return asked[0], nil
	}
	return "", usageError("%s and %s are two forms; ask for one", asked[0], asked[1])
}

func newTLSAMake(e *env) *cobra.Command {
	var f tlsaMakeFlags
	cmd := &cobra.Command{
		Use:   "make FILE|HOST[:PORT]|-",
		Short: "Print the TLSA records of a certificate or key, ready to paste",
		Long: `Make reads a certificate, a chain, a certificate request or a key from a file (PEM or DER;
"-" is standard input), or asks a mail host what it shows, and prints its TLSA record.

The record is "3 1 1", the digest of the server's key, unless flags say otherwise; with
--usage 2 it is "2 0 1", the digest of the authority's certificate, the last one of a
chain. The owner is the name in the certificate, or --host.

Publish the record of a new key next to the present one, wait for two TTLs, switch, and
then take the old record away; mxauth tlsa next says when.

Forms: --zone is a line of a zone file (the default), --rfc3597 the same for name servers
that do not know TLSA, --nsupdate commands for nsupdate that add the records to those
that are there, --json one object a line.`,
		Example: `  mxauth tlsa make /etc/postfix/mx.pem
  mxauth tlsa make --host mx.example.org --ttl 1h next-key.pem
  mxauth tlsa make --nsupdate mx.pem | nsupdate -k update.key
  mxauth tlsa make --usage 2 --rfc3597 mx.example.org`,
		Args: arguments(1, 1),
	}
	fl := cmd.Flags()
	fl.StringVar(&f.usage, "usage", "3", "certificate `USAGE`: 3 (DANE-EE) or 2 (DANE-TA)")
	fl.StringVar(&f.selector, "selector", "", "`SELECTOR`: 0 (Cert) or 1 (SPKI); default 1, with --usage 2 it is 0")
	fl.StringVar(&f.matching, "matching-type", "1", "matching `TYPE`: 0 (Full), 1 (SHA2-256) or 2 (SHA2-512)")
	fl.StringArrayVar(&f.hosts, "host", nil, "`NAME` of the mail host, the base domain of the record (repeatable; default: the names in the certificate)")
	fl.Uint16Var(&f.port, "port", dane.DefaultPort, "`PORT` of the service")
	fl.DurationVar(&f.ttl, "ttl", 0, "`TTL` to print, such as 1h (default: none)")
	fl.StringVar(&f.format, "format", "zone", "`FORM` to print: zone, rfc3597, nsupdate or json")
	fl.BoolVar(&f.forms[0], "zone", false, "print lines of a zone file")
	fl.BoolVar(&f.forms[1], "rfc3597", false, "print TYPE52 lines, for name servers that do not know TLSA (RFC 3597)")
	fl.BoolVar(&f.forms[2], "nsupdate", false, "print commands for nsupdate, which add the records (TTL 1h unless --ttl says another)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return runTLSAMake(cmd.Context(), e, &f, cmd.Flags().Changed("format"), args[0])
	}
	return cmd
}

// recipe reads the three fields.
func (f *tlsaMakeFlags) recipe() (dane.Recipe, error) {
	var u dane.Usage
	if err := u.Set(f.usage); err != nil {
		return dane.Recipe{}, usageError("--usage: %w", err)
	}
	r := dane.Recommended(u)
	r.Usage = u
	if f.selector != "" {
		if err := r.Selector.Set(f.selector); err != nil {
			return r, usageError("--selector: %w", err)
		}
	}
	if err := r.MatchingType.Set(f.matching); err != nil {
		return r, usageError("--matching-type: %w", err)
	}
	return r, nil
}

func runTLSAMake(ctx context.Context, e *env, f *tlsaMakeFlags, formatSet bool, arg string) error {
	recipe, err := f.recipe()
	if err != nil {
		return err
	}
	format, err := f.form(e.flags.json, formatSet)
	if err != nil {
		return err
	}
	if f.port == 0 {
		return usageError("--port: 0 is no port")
	}
	if err := checkTTL(f.ttl); err != nil {
		return err
	}
	var owners []rfc6125.Host
	for _, s := range f.hosts {
		h, err := rfc6125.ParseHost(s)
		if err != nil {
			return usageError("--host: %w", err)
		}
		owners = append(owners, h)
	}
	all, live, err := e.material(ctx, f, arg)
	if err != nil {
		return err
	}
	if len(owners) == 0 && live.IsValid() {
		owners = []rfc6125.Host{live}
	}
	if len(owners) == 0 {
		if owners = hostNames(all[0]); len(owners) == 0 {
			return &exitError{code: exitUsage, err: fmt.Errorf("%.200q: the %s names no host", arg, all[0].Kind), hint: "name the mail host by --host"}
		}
	}
	var recs []dane.Record
	for _, m := range all {
		rec, err := m.Generate(recipe)
		if err != nil {
			return usageError("%w", err)
		}
		if slices.Contains(recs, rec) {
			continue // of the authority of both keys
		}
		recs = append(recs, rec)
		e.remark(m, rec, live)
	}
	if len(recs) > 1 {
		e.out.Notef("%s has two certificates, with keys of two kinds (RSA and ECDSA), and each needs its record", live)
	}
	for _, h := range owners {
		owner, err := dane.Owner(h, f.port)
		if err != nil {
			return usageError("%w", err)
		}
		for _, rec := range recs {
			e.printEntry(dane.Entry{Owner: owner, TTL: f.ttl, Record: rec}, format)
		}
	}
	if format == "nsupdate" {
		e.out.Linef("send")
	}
	return nil
}

// maxTLSATTL is the largest TTL there is (RFC 2181 section 8).
const maxTLSATTL = (1<<31 - 1) * time.Second

// checkTTL says that --ttl is no TTL.
func checkTTL(ttl time.Duration) error {
	if ttl < 0 || ttl > maxTLSATTL {
		return usageError("--ttl: %v is not between 0 and %d seconds (RFC 2181 section 8)", ttl, maxTLSATTL/time.Second)
	}
	return nil
}

// material reads arg, a file or standard input, or asks the host of that name, which it
// then returns.
func (e *env) material(ctx context.Context, f *tlsaMakeFlags, arg string) ([]dane.Material, rfc6125.Host, error) {
	if isFile(arg) {
		m, err := e.readMaterial(arg)
		return []dane.Material{m}, rfc6125.Host{}, err
	}
	next, err := bracketed(arg, f.port)
	if err != nil {
		x := &exitError{code: exitUsage, err: fmt.Errorf("%.200q is neither a file nor a host: %w", arg, err)}
		var meant *meantError
		if errors.As(noDomain(arg), &meant) && meant.domain != "" {
			x.hint = "type mxauth tlsa make " + meant.domain + ", with the name of the mail host"
		}
		return nil, rfc6125.Host{}, x
	}
	c, err := e.open(ctx, storeSpare, mxauth.Config{Certificates: probe.CertificatesAll})
	if err != nil {
		return nil, rfc6125.Host{}, err
	}
	defer c.close()
	p, err := c.Plan(ctx, engine.Request{NextHop: next, Level: engine.LevelOpportunistic})
	if err != nil {
		return nil, rfc6125.Host{}, usageError("%w", err)
	}
	defer c.faults.complain(e.out)
	h := p.Hosts[0]
	f.port = h.Port
	v, err := c.Probe(ctx, p)
	if err != nil {
		return nil, rfc6125.Host{}, err
	}
	err = &exitError{code: c.faults.status(exitDeferred), err: errors.New(noAddress(h, arg))}
	for _, a := range v.Hosts[0].Addresses {
		peer := a.Peer
		if c := peer.Certificates(); peer.Event == engine.HandshakeDone && len(c) > 0 {
			if note := ownNote(a.Decision); note != "" {
				e.out.Notef("%s", note)
			}
			out := []dane.Material{{Chain: c, SPKI: c[0].SPKI(), Kind: "certificate"}}
			if peer.Other != nil {
				c := peer.Other.Certificates()
				out = append(out, dane.Material{Chain: c, SPKI: c[0].SPKI(), Kind: "certificate"})
			}
			return out, h.Name, nil
		}
		if o := peer.OwnTLS; o != nil && len(o.Chain) > 0 {
			e.out.Notef("%s", ownNote(a.Decision))
			c := pkix.ReadChain(o.Chain)
			return []dane.Material{{Chain: c, SPKI: c[0].SPKI(), Kind: "certificate"}}, h.Name, nil
		}
		err = &exitError{code: exitDeferred, err: fmt.Errorf("%s at %s shows no certificate (%s): %s", arg, peer.Address, peer.Event, peer.Detail)}
	}
	return nil, rfc6125.Host{}, err
}

// isFile reports whether arg is meant to be a file: there is one, or it looks like the
// name of one and of no host.
func isFile(arg string) bool {
	if arg == "-" || strings.ContainsRune(arg, os.PathSeparator) {
		return true
	}
	if _, err := os.Stat(arg); err == nil {
		return true
	}
	for _, end := range []string{".pem", ".crt", ".cer", ".der", ".key", ".csr", ".pub"} {
		if strings.HasSuffix(strings.ToLower(arg), end) {
			return true
		}
	}
	return false
}

// readMaterial reads a file, or standard input for "-". Its errors take one line.
func (e *env) readMaterial(name string) (dane.Material, error) {
	in, err := e.input(name)
	var b []byte
	if err == nil {
		defer in.Close()
		b, err = io.ReadAll(io.LimitReader(in, dane.MaxMaterial+1))
	}
	if err != nil {
		return dane.Material{}, usageError("%w; expected a certificate or key, PEM or DER", err)
	}
	if name == "-" {
		name = "standard input"
	}
	m, err := dane.ReadMaterial(name, b)
	if err != nil {
		return m, usageError("%w", err)
	}
	return m, nil
}

// bracketed makes of HOST, HOST:PORT or [HOST]:PORT a next hop without MX lookup.
func bracketed(arg string, port uint16) (string, error) {
	if strings.HasPrefix(arg, "[") {
		return arg, nil
	}
	name, digits, ok := strings.Cut(arg, ":")
	if !ok {
		digits = fmt.Sprint(port)
	}
	h, err := rfc6125.ParseHost(name)
	if err != nil {
		return "", err
	}
	return "[" + h.String() + "]:" + digits, nil
}

// hostNames are the names in the first certificate that can be a base domain.
func hostNames(m dane.Material) []rfc6125.Host {
	if len(m.Chain) == 0 {
		return nil
	}
	var out []rfc6125.Host
	for _, n := range m.Chain[0].View().DNSNames {
		if h, err := rfc6125.ParseHost(n); err == nil && !strings.HasPrefix(n, "*") && !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out
}

// remark says on standard error what the publisher should know of a record.
func (e *env) remark(m dane.Material, r dane.Record, live rfc6125.Host) {
	if live.IsValid() {
		e.out.Notef("this is what %s shows to this machine; an attacker on the network could have replaced it: compare it with the server's own file before you publish it", live.String())
	}
	if key, err := pkix.ReadKey(m.SPKI); err == nil && r.Usage == dane.DANEEE {
		if err := pkix.CheckKey(key); err != nil {
			e.out.Notef("senders do not accept this key (%s): make a new one", err)
		}
	}
	for _, c := range m.Chain {
		if faults := c.Faults(); len(faults) > 0 {
			e.out.Notef("senders whose TLS library is Go's cannot read the certificate of %s (%s) and refuse the whole chain; one that is issued again without this fault has no such problem", c, faults[0])
			break
		}
	}
	if r.Usage == dane.DANETA && len(m.Chain) > 0 {
		top := m.Chain[len(m.Chain)-1].View()
		if !top.IsCA && !bytes.Equal(top.RawSubject, top.RawIssuer) {
			e.out.Notef("the certificate of this record is no authority (it is for %s): give the file of the authority, or use --usage 3", strings.Join(top.DNSNames, ", "))
		} else {
			e.out.Notef("the server must send the certificate of this authority in its chain (RFC 7671 section 5.2.2)")
		}
	}
	if r.MatchingType == dane.Full {
		e.out.Notef("Full(0) records are large, and RFC 7671 section 10.1.2 advises against them")
	}
}

func (e *env) printEntry(entry dane.Entry, format string) {
	switch format {
	case "json":
		e.printJSON(entry)
	case "rfc3597":
		e.out.Linef("%s", entry.Generic())
	case "nsupdate":
		// nsupdate wants a TTL (nsupdate(1)).
		ttl := cmp.Or(entry.TTL, time.Hour)
		e.out.Linef("update add %s %d IN TLSA %s", entry.Owner.FQDN(), int64(ttl/time.Second), entry.Record)
	default:
		e.out.Linef("%s", entry.Zone())
	}
}

// noAddress says why a host has no address to connect to.
func noAddress(h engine.Host, arg string) string {
	for _, l := range []dane.Lookup{h.DANE.A, h.DANE.AAAA} {
		if l.Err != nil {
			return explain.LookupFault(l.Err, "the addresses of "+arg)
		}
	}
	return arg + " has no address record (A or AAAA)"
}
