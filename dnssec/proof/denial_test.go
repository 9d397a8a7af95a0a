package proof_test

import (
	"bytes"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/dnssec/wire"
)

// records builds the denial records of example. from lines "owner next types" for NSEC.
func nsecs(tb testing.TB, lines ...string) *proof.Records {
	tb.Helper()
	r := &proof.Records{Zone: name(tb, "example."), MaxIterations: 150}
	for _, l := range lines {
		f := strings.Fields(l)
		rr := record(tb, fmt.Sprintf("%s 300 IN NSEC %s", f[0], strings.Join(f[1:], " ")))
		r.Add(&proof.RRset{Owner: rr.Owner, Type: rr.Type, Data: [][]byte{rr.Data}})
	}
	return r
}

// An n3 is one NSEC3 record: of a name, or of a gap around one.
type n3 struct {
	match, cover string
	types        string
	optOut       bool
	flags        uint8
	hash         uint8
	iterations   uint16
	salt         string
}

func nsec3s(tb testing.TB, recs ...n3) *proof.Records {
	tb.Helper()
	r := &proof.Records{Zone: name(tb, "example."), MaxIterations: 150}
	for _, x := range recs {
		n := x.match
		if n == "" {
			n = x.cover
		}
		salt := []byte(x.salt)
		h := proof.HashName(name(tb, n), x.iterations, salt)
		from, to := h, h
		step(to[:], 1)
		if x.cover != "" {
			step(from[:], -1)
		}
		alg := x.hash
		if alg == 0 {
			alg = 1
		}
		flags := x.flags
		if x.optOut {
			flags |= 1
		}
		data := []byte{alg, flags, byte(x.iterations >> 8), byte(x.iterations), byte(len(salt))}
		data = append(data, salt...)
		data = append(append(data, 20), to[:]...)
		rr := record(tb, "x. 300 IN NSEC a. "+x.types)
		_, types, err := wire.NameAt(rr.Data)
		if err != nil {
			tb.Fatal(err)
		}
		owner, err := r.Zone.Child(base32.HexEncoding.EncodeToString(from[:]))
		if err != nil {
			tb.Fatal(err)
		}
		r.Add(&proof.RRset{Owner: owner, Type: wire.TypeNSEC3, Data: [][]byte{append(data, types...)}})
	}
	return r
}

// step adds to a hash as a number.
func step(h []byte, by int64) {
	for i := len(h) - 8; ; {
		v := binary.BigEndian.Uint64(h[i:])
		binary.BigEndian.PutUint64(h[i:], uint64(int64(v)+by))
		return
	}
}

func say(d proof.Denial, err error) string {
	switch {
	case errors.Is(err, proof.ErrBudget):
		return "budget"
	case errors.Is(err, proof.ErrNotDenied):
		return "no"
	case err != nil:
		return err.Error()
	}
	var w []string
	for _, x := range []struct {
		ok   bool
		word string
	}{{d.NXDomain, "nxdomain"}, {!d.NXDomain && !d.Iterations, "nodata"}, {d.Delegation, "delegation"}, {d.OptOut, "opt-out"}, {d.WildcardOpen, "open"}, {d.Iterations, "iterations"}} {
		if x.ok {
			w = append(w, x.word)
		}
	}
	return strings.Join(w, " ")
}

type denialCase struct {
	id   string
	recs *proof.Records
	q    string // "name TYPE"
	want string
}

func runDenials(t *testing.T, cases []denialCase) {
	for _, c := range cases {
		t.Run(c.id, func(t *testing.T) {
			n, typ, _ := strings.Cut(c.q, " ")
			got := say(c.recs.Deny(name(t, n), dns.StringToType[typ], proof.NewBudget()))
			if got != c.want {
				t.Errorf("%s: got %q, want %q", c.q, got, c.want)
			}
		})
	}
}

func TestDenyNSEC(t *testing.T) {
	mx := "mx.example. ns.example. A RRSIG NSEC"
	apex := "example. a.example. NS SOA RRSIG NSEC DNSKEY"
	runDenials(t, []denialCase{
		{"DNSSEC4035-5.4-01 NODATA", nsecs(t, mx), "mx.example. TLSA", "nodata"},
		{"DNSSEC4035-5.4-01 the type is there", nsecs(t, mx), "mx.example. A", "no"},
		{"DNSSEC4035-5.4-01 NXDOMAIN", nsecs(t, apex, mx), "n.example. A", "nxdomain"},
		{"DNSSEC4035-5.4-01 NXDOMAIN needs the wildcard", nsecs(t, mx), "n.example. A", "no"},
		{"DNSSEC4035-5.4-01 NXDOMAIN needs the name", nsecs(t, apex), "n.example. A", "no"},
		{"DNSSEC4035-5.4-01 one record for both", nsecs(t, "example. b.example. NS SOA"), "a.example. A", "nxdomain"},
		{"empty non-terminal", nsecs(t, "mx.example. a.b.n.example. A"), "n.example. A", "nodata"},
		{"empty non-terminal in between", nsecs(t, "mx.example. a.b.n.example. A"), "b.n.example. A", "nodata"},
		{"the wildcard has the type", nsecs(t, "*.example. a.example. A", mx), "n.example. A", "no"},
		{"the wildcard has not the type", nsecs(t, "*.example. a.example. A", mx), "n.example. MX", "nodata"},
		{"the wildcard has CNAME", nsecs(t, "*.example. a.example. CNAME", mx), "n.example. MX", "no"},
		{"the wildcard is a cut", nsecs(t, "*.example. a.example. NS", mx), "n.example. MX", "no"},
		{"the wildcard is an empty non-terminal", nsecs(t, "example. x.*.example. SOA NS", mx), "n.example. MX", "nodata"},
		{"deep: wildcard at the encloser", nsecs(t, mx, "example. a.example. SOA NS"), "x.y.n.example. A", "nxdomain"},
		{"deep: wildcard elsewhere", nsecs(t, "example. a.example. SOA NS", "a.b.example. c.b.example. A"), "b.b.b.example. A", "no"},
		{"the last record points to the apex", nsecs(t, "mx.example. example. A", apex), "zz.example. A", "nxdomain"},
		{"a record that points back elsewhere", nsecs(t, "mx.example. b.example. A", apex), "zz.example. A", "no"},
		{"next name of another zone", nsecs(t, "mx.example. zz. A", apex), "n.example. A", "no"},
		{"name of another zone", nsecs(t, mx), "mx.test. A", "no"},
		{"owner equal to next", nsecs(t, "example. example. SOA NS"), "n.example. A", "nxdomain"},
		{"the name itself is not covered by its own record", nsecs(t, "mx.example. ns.example. A", apex), "mx.example. A", "no"},
		{"the next name exists", nsecs(t, "mx.example. ns.example. A", apex), "ns.example. A", "no"},
		{"DNSSEC4035-5.4-04 bits for NSEC and RRSIG do not matter", nsecs(t, "mx.example. ns.example. A"), "mx.example. TXT", "nodata"},
		{"DNSSEC6840-4.3-01 CNAME bit", nsecs(t, "mx.example. ns.example. CNAME RRSIG NSEC"), "mx.example. TLSA", "no"},
		{"DNSSEC6840-4.1-01 the parent's record at the cut", nsecs(t, "sub.example. t.example. NS RRSIG NSEC"), "sub.example. A", "no"},
		{"DNSSEC6840-4.1-01 the parent's record below the cut", nsecs(t, "sub.example. t.example. NS RRSIG NSEC", apex), "x.sub.example. TLSA", "no"},
		{"DNSSEC6840-4.1-02 below a DNAME", nsecs(t, "sub.example. t.example. DNAME RRSIG NSEC", apex), "x.sub.example. TLSA", "no"},
		{"DNSSEC6840-4.1-01 an apex may deny below itself", nsecs(t, "example. t.example. NS SOA RRSIG NSEC"), "a.example. TLSA", "nxdomain"},
		{"DNSSEC6840-4.4-01 delegation without DS", nsecs(t, "sub.example. t.example. NS RRSIG NSEC"), "sub.example. DS", "nodata delegation"},
		{"DNSSEC6840-4.4-01 DS is there", nsecs(t, "sub.example. t.example. NS DS RRSIG NSEC"), "sub.example. DS", "no"},
		{"DNSSEC6840-4.4-01 SOA is there", nsecs(t, "sub.example. t.example. NS SOA RRSIG NSEC"), "sub.example. DS", "no"},
		{"DNSSEC6840-4.4-01 without NS it is no delegation", nsecs(t, "sub.example. t.example. A RRSIG NSEC"), "sub.example. DS", "nodata"},
		{"DNSSEC4035-5.2-03 the child's apex", nsecs(t, "example. a.example. NS SOA RRSIG NSEC"), "example. DS", "no"},
		{"DNSSEC4035-5.3.2-01 sets of two sides are never mixed", nsecs(t, "sub.example. t.example. NS RRSIG NSEC", "sub.example. a.sub.example. NS SOA RRSIG NSEC"), "b.sub.example. A", "no"},
	})
	t.Run("the root has no parent", func(t *testing.T) {
		r := &proof.Records{Zone: name(t, ".")}
		rr := record(t, ". 300 IN NSEC a. NS SOA")
		r.Add(&proof.RRset{Owner: rr.Owner, Type: rr.Type, Data: [][]byte{rr.Data}})
		if got := say(r.Deny(name(t, "."), wire.TypeDS, proof.NewBudget())); got != "nodata" {
			t.Error(got)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		if got := say(nsecs(t).Deny(name(t, "a.example."), 1, proof.NewBudget())); got != "no" {
			t.Error(got)
		}
	})
}

func TestDenyNSEC3(t *testing.T) {
	apex := n3{match: "example.", types: "NS SOA RRSIG DNSKEY NSEC3PARAM"}
	cover := func(n string) n3 { return n3{cover: n, types: "A RRSIG"} }
	optOut := func(n string) n3 { return n3{cover: n, types: "A RRSIG", optOut: true} }
	match := func(n, types string) n3 { return n3{match: n, types: types} }
	runDenials(t, []denialCase{
		{"NSEC3-5155-8.4-01 NXDOMAIN", nsec3s(t, apex, cover("n.example."), cover("*.example.")), "n.example. A", "nxdomain"},
		{"NSEC3-5155-8.4-01 without the encloser", nsec3s(t, cover("n.example."), cover("*.example.")), "n.example. A", "no"},
		{"NSEC3-5155-8.4-01 without the next closer name", nsec3s(t, apex, cover("*.example.")), "n.example. A", "no"},
		{"NSEC3-5155-8.4-01 without the wildcard", nsec3s(t, apex, cover("n.example.")), "n.example. A", "no"},
		{"NSEC3-5155-8.3-01 the next closer name, not the name", nsec3s(t, apex, cover("a.n.example."), cover("*.example.")), "a.n.example. A", "no"},
		{"NSEC3-5155-8.3-01 deep", nsec3s(t, apex, cover("n.example."), cover("*.example.")), "a.b.n.example. A", "nxdomain"},
		{"NSEC3-5155-8.3-01 the longest match counts", nsec3s(t, apex, match("n.example.", "A"), cover("n.example."), cover("*.example.")), "a.n.example. A", "no"},
		{"NSEC3-5155-8.3-02 the encloser has DNAME", nsec3s(t, match("n.example.", "DNAME"), cover("a.n.example."), cover("*.n.example.")), "a.n.example. A", "no"},
		{"NSEC3-5155-8.3-02 the encloser is a cut", nsec3s(t, match("n.example.", "NS"), cover("a.n.example."), cover("*.n.example.")), "a.n.example. A", "no"},
		{"NSEC3-5155-8.3-02 NS with SOA is an apex", nsec3s(t, apex, cover("a.example."), cover("*.example.")), "a.example. A", "nxdomain"},
		{"NSEC3-5155-8.5-01 NODATA", nsec3s(t, match("mx.example.", "A RRSIG")), "mx.example. TLSA", "nodata"},
		{"NSEC3-5155-8.5-01 type bit", nsec3s(t, match("mx.example.", "A RRSIG")), "mx.example. A", "no"},
		{"NSEC3-5155-8.5-01 CNAME bit", nsec3s(t, match("mx.example.", "CNAME")), "mx.example. A", "no"},
		{"NSEC3-5155-8.5-01 empty non-terminal under opt-out", nsec3s(t, apex, optOut("n.example.")), "n.example. A", "nodata opt-out open"},
		{"NSEC3-5155-8.5-01 the parent's record", nsec3s(t, match("sub.example.", "NS")), "sub.example. A", "no"},
		{"NSEC3-5155-8.6-01 no DS at a match", nsec3s(t, match("sub.example.", "NS")), "sub.example. DS", "nodata delegation"},
		{"NSEC3-5155-8.6-01 DS bit", nsec3s(t, match("sub.example.", "NS DS")), "sub.example. DS", "no"},
		{"NSEC3-5155-8.6-01 CNAME bit", nsec3s(t, match("sub.example.", "CNAME")), "sub.example. DS", "no"},
		{"NSEC3-5155-8.6-01 cover with opt-out", nsec3s(t, apex, optOut("sub.example.")), "sub.example. DS", "nodata opt-out"},
		{"NSEC3-5155-8.6-01 cover without opt-out", nsec3s(t, apex, cover("sub.example.")), "sub.example. DS", "no"},
		{"NSEC3-5155-8.6-01 a name that does not exist", nsec3s(t, apex, cover("sub.example."), cover("*.example.")), "sub.example. DS", "nxdomain"},
		{"NSEC3-5155-8.7-01 wildcard NODATA", nsec3s(t, apex, cover("n.example."), match("*.example.", "A")), "n.example. TLSA", "nodata"},
		{"NSEC3-5155-8.7-01 type bit", nsec3s(t, apex, cover("n.example."), match("*.example.", "A")), "n.example. A", "no"},
		{"NSEC3-5155-8.7-01 CNAME bit", nsec3s(t, apex, cover("n.example."), match("*.example.", "CNAME")), "n.example. A", "no"},
		{"NSEC3-5155-8.7-01 without the cover", nsec3s(t, apex, match("*.example.", "A")), "n.example. TLSA", "no"},
		{"NSEC3-5155-8.9-01 referral", nsec3s(t, match("sub.example.", "NS RRSIG")), "sub.example. DS", "nodata delegation"},
		{"NSEC3-5155-8.9-01 SOA bit", nsec3s(t, match("sub.example.", "NS SOA")), "sub.example. DS", "no"},
		{"NSEC3-5155-8.9-01 without NS it is no delegation", nsec3s(t, match("sub.example.", "A")), "sub.example. DS", "nodata"},
		{"NSEC3-5155-9.2-01 opt-out NXDOMAIN", nsec3s(t, apex, optOut("n.example."), cover("*.example.")), "n.example. A", "nxdomain opt-out"},
		{"NSEC3-5155-9.2-01 opt-out wildcard NODATA", nsec3s(t, apex, optOut("n.example."), match("*.example.", "A")), "n.example. MX", "nodata opt-out"},
		{"NSEC3-5155-8.1-01 unknown hash", nsec3s(t, n3{match: "mx.example.", types: "A", hash: 2}), "mx.example. MX", "no"},
		{"NSEC3-5155-8.2-01 flags 2", nsec3s(t, n3{match: "mx.example.", types: "A", flags: 2}), "mx.example. MX", "no"},
		{"NSEC3-5155-8.2-01 flags 1", nsec3s(t, n3{match: "mx.example.", types: "A", flags: 1}), "mx.example. MX", "nodata"},
		{"NSEC3-5155-8.2-02 two salts", nsec3s(t, match("mx.example.", "A"), n3{cover: "a.example.", types: "A", salt: "x"}), "mx.example. MX", "no"},
		{"NSEC3-5155-8.2-02 two counts", nsec3s(t, match("mx.example.", "A"), n3{cover: "a.example.", types: "A", iterations: 3}), "mx.example. MX", "no"},
		{"NSEC3-9276-3.2-01 at the limit", nsec3s(t, n3{match: "mx.example.", types: "A", iterations: 150}), "mx.example. MX", "nodata"},
		{"NSEC3-9276-3.2-01 above the limit", nsec3s(t, n3{match: "mx.example.", types: "A", iterations: 151}), "mx.example. MX", "iterations"},
	})
	t.Run("NSEC3-5155-8.8-01 wildcard answers", func(t *testing.T) {
		for _, c := range []struct {
			recs *proof.Records
			want string
		}{
			{nsec3s(t, cover("n.example.")), "nodata"},
			{nsec3s(t, optOut("n.example.")), "nodata opt-out"},
			{nsec3s(t, cover("a.n.example.")), "no"},
			{nsec3s(t, match("n.example.", "A")), "no"},
			{nsec3s(t, n3{cover: "n.example.", types: "A", iterations: 151}), "iterations"},
			{nsecs(t, "mx.example. ns.example. A"), "nodata"},
			{nsecs(t, "mx.example. a.n.example. A"), "no"}, // then n.example. exists
			{nsecs(t, "a.example. b.example. A"), "no"},
			{nsecs(t), "no"},
		} {
			if got := say(c.recs.DenyCloser(name(t, "a.n.example."), name(t, "example."), proof.NewBudget())); got != c.want {
				t.Errorf("%+v: got %q, want %q", c.recs, got, c.want)
			}
		}
	})
	t.Run("hashes cost", func(t *testing.T) {
		deep := name(t, strings.Repeat("a.", 60)+"example.")
		recs := nsec3s(t, n3{match: "example.", types: "SOA NS", iterations: 150}, n3{cover: "a.example.", types: "A", iterations: 150}, n3{cover: "*.example.", types: "A", iterations: 150})
		b := proof.NewBudget()
		if got := say(recs.Deny(deep, 1, b)); got != "nxdomain" || b.HashRounds != proof.MaxHashRounds-62*151 {
			t.Errorf("%s, %d rounds left", got, b.HashRounds)
		}
		b = &proof.Budget{HashRounds: 62*151 - 1}
		if got := say(recs.Deny(deep, 1, b)); got != "budget" {
			t.Error(got)
		}
	})
	t.Run("a proof has so many records at most", func(t *testing.T) {
		r := nsec3s(t)
		for i := range 200 {
			one := nsec3s(t, cover(fmt.Sprintf("a%d.example.", i)))
			r.NSEC3 = append(r.NSEC3, one.NSEC3...)
			if len(r.NSEC3) > 64 {
				break
			}
		}
		before := len(r.NSEC3)
		rr := record(t, "example. 300 IN NSEC a.example. A")
		r.Add(&proof.RRset{Owner: rr.Owner, Type: rr.Type, Data: [][]byte{rr.Data}})
		if len(r.NSEC) != 0 || len(r.NSEC3) != before {
			t.Errorf("%d and %d records", len(r.NSEC), len(r.NSEC3))
		}
	})
	t.Run("owners that are no hash", func(t *testing.T) {
		good := nsec3s(t, match("a.example.", "A"))
		data := []byte{1, 0, 0, 0, 0, 20}
		data = append(data, good.NSEC3[0].Next[:]...)
		for _, owner := range []string{"example.", "abc.example.", strings.Repeat("z", 32) + ".example.", strings.Repeat("0", 32) + ".a.example."} {
			if _, ok := proof.ParseNSEC3(name(t, "example."), name(t, owner), data); ok {
				t.Errorf("%s is taken for a hash", owner)
			}
		}
		for _, bad := range [][]byte{nil, data[:4], data[:10], append(slices.Clone(data), 0), {1, 0, 0, 0, 0, 19, 1}} {
			if _, ok := proof.ParseNSEC3(name(t, "example."), name(t, strings.Repeat("0", 32)+".example."), bad); ok {
				t.Errorf("%x is taken for a record", bad)
			}
		}
		if n, ok := proof.ParseNSEC3(name(t, "example."), name(t, strings.Repeat("0", 32)+".example."), data); !ok || n.Hash != [20]byte{} {
			t.Errorf("%v %v", n, ok)
		}
	})
}

func TestHash(t *testing.T) {
	// RFC 5155 appendix A: 12 iterations, salt aabbccdd.
	for n, want := range map[string]string{
		"example":       "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom",
		"a.example":     "35mthgpgcu1qg68fab165klnsnk3dpvl",
		"ai.example":    "gjeqe526plbf1g8mklp59enfd789njgi",
		"ns1.example":   "2t7b4g4vsa5smi47k61mv5bv1a22bojr",
		"NS2.Example":   "q04jkcevqvmu85r014c7dkba38o0ji5r",
		"w.example":     "k8udemvp1j2f7eg6jebps17vp3n8i58h",
		"*.w.example":   "r53bq7cc2uvmubfu5ocmm6pers9tk9en",
		"x.w.example":   "b4um86eghhds6nea196smvmlo4ors995",
		"y.w.example":   "ji6neoaepv8b5o6k4ev33abha8ht9fgc",
		"x.y.w.example": "2vptu5timamqttgl4luu9kg21e0aor3s",
		"xx.example":    "t644ebqk9bibcna874givr6joj62mlhv",
	} {
		t.Run("NSEC3-5155-5-01 "+n, func(t *testing.T) {
			if got := proof.HashString(proof.HashName(name(t, n), 12, []byte{0xaa, 0xbb, 0xcc, 0xdd})); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestTypes(t *testing.T) {
	has := func(b []byte, typ uint16) string {
		m, ok := proof.ParseTypes(b)
		if !ok {
			return "malformed"
		}
		return fmt.Sprint(m.Has(typ))
	}
	for _, id := range []string{"DNSSEC4034-4.1.2-01", "NSEC3-5155-3.2.1-01"} {
		t.Run(id+" bit maps", func(t *testing.T) {
			for _, c := range []struct {
				b    []byte
				typ  uint16
				want string
			}{
				{[]byte{0, 1, 0x40}, 1, "true"},
				{[]byte{0, 1, 0x40}, 2, "false"},
				{[]byte{0, 1, 0xff}, 0, "false"}, // type 0
				{append([]byte{0, 32}, bytes.Repeat([]byte{0xff}, 32)...), dns.TypeOPT, "false"}, // pseudo-types
				{append([]byte{0, 32}, bytes.Repeat([]byte{0xff}, 32)...), dns.TypeANY, "false"},
				{append([]byte{0, 32}, bytes.Repeat([]byte{0xff}, 32)...), 128, "false"},
				{append([]byte{0, 32}, bytes.Repeat([]byte{0xff}, 32)...), 127, "true"},
				{[]byte{0, 1, 0x40}, 52, "false"}, // octets that are missing
				{[]byte{0, 7, 0, 0, 0, 0, 0, 0, 8}, 52, "true"},
				{[]byte{0, 1, 0x40, 1, 1, 0x40}, 257, "true"},
				{[]byte{1, 1, 0x40}, 1, "false"},
				{nil, 1, "false"},
				{[]byte{0}, 1, "malformed"},
				{[]byte{0, 0}, 1, "malformed"},
				{[]byte{0, 2, 1}, 1, "malformed"},
				{append([]byte{0, 33}, make([]byte, 33)...), 1, "malformed"},
				{[]byte{1, 1, 1, 0, 1, 1}, 1, "malformed"},
				{[]byte{0, 1, 1, 0, 1, 1}, 1, "malformed"},
			} {
				if got := has(c.b, c.typ); got != c.want {
					t.Errorf("%x type %d: got %s, want %s", c.b, c.typ, got, c.want)
				}
			}
		})
	}
	t.Run("DNSSEC4034-6.1-01 canonical order", func(t *testing.T) {
		order := []string{"example", "a.example", "yljkjljk.a.example", "Z.a.example", "zABC.a.EXAMPLE", "z.example", `\001.z.example`, "*.z.example", `\200.z.example`}
		for i := range order {
			for j := range order {
				if got, want := name(t, order[i]).Compare(name(t, order[j])), i-j; (got < 0) != (want < 0) || (got > 0) != (want > 0) {
					t.Errorf("%s and %s: %d", order[i], order[j], got)
				}
			}
		}
	})
}

// FuzzDeny lets denial records be anything: nothing panics, and no proof costs more than
// its budget.
func FuzzDeny(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 20}, []byte("mx.example."), uint16(1), true)
	f.Add([]byte{0, 0, 1, 0x40}, []byte("a.b.c."), uint16(43), false)
	f.Fuzz(func(t *testing.T, data, owner []byte, typ uint16, hashed bool) {
		o := name(t, "example.")
		if n, err := o.Child(string(owner[:min(len(owner), 63)])); err == nil {
			o = n
		}
		r := &proof.Records{Zone: name(t, "example."), MaxIterations: 150}
		set := &proof.RRset{Owner: o, Type: wire.TypeNSEC, Data: [][]byte{data}}
		if hashed {
			set.Type = wire.TypeNSEC3
		}
		for range 3 {
			r.Add(set)
		}
		b := proof.NewBudget()
		q := name(t, "a.b.c.example.")
		d, err := r.Deny(q, typ, b)
		if err != nil && d != (proof.Denial{}) {
			t.Errorf("%+v beside %v", d, err)
		}
		if _, err := r.DenyCloser(q, name(t, "example."), b); err != nil && b.HashRounds < 0 {
			t.Error("more than the budget")
		}
	})
}

// TestCovers tries the ends of a gap, and the last gap of a zone.
func TestCovers(t *testing.T) {
	n := name(t, "n.example.")
	h := proof.HashName(n, 0, nil)
	at := func(by int64) [20]byte { x := h; step(x[:], by); return x }
	for _, c := range []struct {
		owner, next [20]byte
		want        bool
	}{
		{at(-1), at(1), true}, {at(-1), h, false}, {h, at(1), false}, {at(1), at(2), false}, {at(-2), at(-1), false},
		{at(2), at(1), true}, {at(-1), at(-2), true}, {at(1), at(-1), false}, {at(1), h, false}, {h, at(-1), false}, {at(1), at(1), true}, {h, h, false},
	} {
		data := append([]byte{1, 0, 0, 0, 0, 20}, c.next[:]...)
		owner, err := name(t, "example.").Child(base32.HexEncoding.EncodeToString(c.owner[:]))
		if err != nil {
			t.Fatal(err)
		}
		r, ok := proof.ParseNSEC3(name(t, "example."), owner, data)
		if !ok || r.CoversName(n) != c.want {
			t.Errorf("%x to %x: %t", c.owner, c.next, r.CoversName(n))
		}
	}
}

func TestTypesRaw(t *testing.T) {
	for _, c := range []struct {
		types proof.Types
		typ   uint16
		want  bool
	}{
		{proof.Types{0, 2, 0xff}, 8, false}, {proof.Types{0, 3, 0xff}, 16, false}, {proof.Types{0, 1, 0xff, 0x80, 1, 0xff}, 8, false},
		{proof.Types{0}, 1, false}, {proof.Types{0, 1}, 1, false}, {proof.Types{1, 1}, 1, false}, {proof.Types{1, 5, 0, 0, 1, 0x40}, 1, false},
		{proof.Types{0, 1, 0x40, 1, 1, 0x40}, 257, true}, {proof.Types{0, 1, 0x40, 1, 1, 0x40}, 1, true}, {proof.Types{0, 2, 0, 0x80}, 8, true}, {proof.Types{0, 2, 0, 0x01}, 15, true},
	} {
		if got := c.types.Has(c.typ); got != c.want {
			t.Errorf("%x, type %d: %t", []byte(c.types), c.typ, got)
		}
	}
	if _, ok := proof.ParseTypes([]byte{0, 1, 1, 5}); ok {
		t.Error("a window of one octet")
	}
}
