package dnssec_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
)

// memory answers from what a tree has said once, with no work of its own, and lets every
// question for a name below fresh<n>.test. be one of example.test.'s kind.
type memory struct {
	answers map[string][]byte
	tr      *tree
}

func (m *memory) Exchange(ctx context.Context, query []byte) (dnssec.Response, error) {
	// The OPT record is behind the question; id apart, the question is the key.
	b, ok := m.answers[string(query[2:])]
	if !ok {
		r, err := m.tr.Exchange(ctx, query)
		if err != nil {
			return r, err
		}
		b = r.Message
		m.answers[string(query[2:])] = b
	}
	out := append([]byte(nil), b...)
	binary.BigEndian.PutUint16(out, binary.BigEndian.Uint16(query))
	return dnssec.Response{Message: out, Server: "memory"}, nil
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkValidatorFresh proves a TLSA answer of a zone that was not seen before, root
// and TLD known, the upstream answering from memory; beside it three bare P-256 checks,
// which are the least that such a proof costs.
func BenchmarkValidatorFresh(b *testing.B) {
	const zones = 64
	tr := newTree(b)
	for i := range zones {
		tr.zone(fmt.Sprintf("fresh%d.test.", i), "_25._tcp.mx TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000\nmx A 192.0.2.1")
	}
	mem := &memory{answers: map[string][]byte{}, tr: tr}
	names := make([]dnssec.Question, zones)
	for i := range names {
		names[i] = question(b, fmt.Sprintf("_25._tcp.mx.fresh%d.test.", i), dnssec.TypeTLSA)
	}
	ctx := context.Background()
	warm := func() *dnssec.Validator {
		v := tr.validator(func(c *dnssec.ValidatorConfig) { c.Upstream = mem })
		if _, err := v.Resolve(ctx, question(b, "mx.example.test.", dnssec.TypeA)); err != nil {
			b.Fatal(err)
		}
		return v
	}
	all := func(v *dnssec.Validator) {
		for _, q := range names {
			if a, err := v.Resolve(ctx, q); err != nil || a.Status != dnssec.Secure {
				b.Fatal(a.Status, err)
			}
		}
	}
	all(warm()) // now everything is in memory
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256([]byte("x"))
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	var ours, theirs time.Duration
	b.ReportAllocs()
	for b.Loop() {
		v := warm()
		start := cpu()
		all(v)
		mid := cpu()
		for range 3 * zones {
			if !ecdsa.VerifyASN1(&key.PublicKey, sum[:], sig) {
				b.Fatal("bad signature")
			}
		}
		ours, theirs = ours+mid-start, theirs+cpu()-mid
	}
	b.ReportMetric(float64(ours)/float64(theirs), "x-three-P256-cpu")
	b.ReportMetric(float64(ours.Microseconds())/float64(b.N*zones), "us-cpu/answer")
	_ = dns.TypeA
}
