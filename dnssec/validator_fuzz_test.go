package dnssec_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
)

// An editor is an upstream that edits what another one says.
type editor struct {
	up   dnssec.Upstream
	edit func(b []byte) []byte
}

func (e *editor) Exchange(ctx context.Context, q []byte) (dnssec.Response, error) {
	r, err := e.up.Exchange(ctx, q)
	if err == nil {
		r.Message = e.edit(append([]byte(nil), r.Message...))
	}
	return r, err
}

var fuzzTree = sync.OnceValue(func() *tree { return newTree(&quiet{}) })

// quiet is a testing.TB for a tree that outlives one test.
type quiet struct{ testing.TB }

func (quiet) Helper()           {}
func (quiet) Fatal(args ...any) { panic(args) }

// The questions of FuzzValidator, and what a validator may make of them: the truth, or
// less.
var fuzzQuestions = []struct {
	name string
	typ  dnssec.Type
	kind dnssec.Kind
}{
	{"mx.example.test.", dnssec.TypeA, dnssec.Data},
	{"_25._tcp.mx.example.test.", dnssec.TypeTLSA, dnssec.Data},
	{"alias.example.test.", dnssec.TypeA, dnssec.Data},
	{"nowhere.example.test.", dnssec.TypeA, dnssec.NXDomain},
	{"mx.hashed.test.", dnssec.TypeTXT, dnssec.NoData},
	{"nowhere.hashed.test.", dnssec.TypeA, dnssec.NXDomain},
	{"foo.wild.example.test.", dnssec.TypeA, dnssec.Data},
	{"www.d.example.test.", dnssec.TypeA, dnssec.Data},
}

// FuzzValidator edits valid responses at random. Whatever it does, what comes out as
// secure is the truth, nothing signed comes out as insecure, and the work is bounded.
func FuzzValidator(f *testing.F) {
	f.Add(uint8(0), uint16(0), []byte{0, 40, 1})
	f.Add(uint8(1), uint16(1), []byte{0, 3, 2, 0, 60, 0xff})
	f.Add(uint8(3), uint16(0), []byte{0, 7, 1})
	f.Add(uint8(5), uint16(2), []byte{0, 9, 0xff, 0, 90, 4})
	f.Fuzz(func(t *testing.T, which uint8, message uint16, edits []byte) {
		q := fuzzQuestions[int(which)%len(fuzzQuestions)]
		question := dnssec.Question{Name: name(t, q.name), Type: q.typ}
		tr := fuzzTree()
		truth, err := tr.validator().Resolve(context.Background(), question)
		if err != nil || truth.Status != dnssec.Secure || truth.Kind != q.kind {
			t.Fatalf("unedited: %s", outcome(truth, err))
		}
		var mu sync.Mutex
		n := 0
		up := &editor{tr, func(b []byte) []byte {
			mu.Lock()
			mine := uint16(n)%4 == message%4
			n++
			mu.Unlock()
			for e := edits; mine && len(e) >= 3; e = e[3:] {
				b[int(binary.BigEndian.Uint16(e))%len(b)] ^= e[2]
			}
			return b
		}}
		v := tr.validator(func(c *dnssec.ValidatorConfig) { c.Upstream = up })
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		a, err := v.Resolve(ctx, question)
		if n > dnssec.DefaultMaxQueries {
			t.Errorf("%d questions", n)
		}
		if err != nil {
			var l *dnssec.LookupError
			if !errors.As(err, &l) || l.Kind == nil || a.Status >= dnssec.Insecure || len(a.Records) > 0 {
				t.Errorf("%v beside %s", err, outcome(a, nil))
			}
			return
		}
		if a.Status != dnssec.Secure {
			t.Fatalf("signed, and said to be %s (%s)", a.Status, a.Reason)
		}
		if a.Kind != truth.Kind || a.Final != truth.Final || len(a.Records) != len(truth.Records) {
			t.Fatalf("secure, and not the truth: %s %s", a.Kind, a.Final)
		}
		for i := range a.Records {
			if string(a.Records[i].Data) != string(truth.Records[i].Data) {
				t.Fatalf("secure, and not the truth: %x", a.Records[i].Data)
			}
		}
		if a.Expires.After(truth.Expires) {
			t.Errorf("lives until %s, longer than %s", a.Expires, truth.Expires)
		}
	})
}

// FuzzValidatorNoise lets an upstream answer anything.
func FuzzValidatorNoise(f *testing.F) {
	m := new(dns.Msg)
	m.SetQuestion("mx.example.test.", dns.TypeA)
	m.Response = true
	b, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("noise"))
	f.Fuzz(func(t *testing.T, noise []byte) {
		tr := fuzzTree()
		up := &answers{noise}
		v := tr.validator(func(c *dnssec.ValidatorConfig) { c.Upstream = up })
		a, err := v.Resolve(context.Background(), dnssec.Question{Name: name(t, "mx.example.test."), Type: dnssec.TypeA})
		if err == nil || a.Status >= dnssec.Insecure {
			t.Errorf("%s", outcome(a, err))
		}
	})
}

type answers struct{ b []byte }

func (a *answers) Exchange(_ context.Context, q []byte) (dnssec.Response, error) {
	b := append([]byte(nil), a.b...)
	if len(b) > 2 {
		copy(b, q[:2])
	}
	return dnssec.Response{Message: b}, nil
}
