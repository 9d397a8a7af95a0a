package hostile

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"

	"github.com/miekg/dns"
)

// trap makes the RDATA of junk records that have the key tag and the algorithm of the key:
// 63 DNSKEY records of 1 KB and 990 DS records.
func trap(k *key) map[uint16][][]byte {
	var keys, ds [][]byte
	tag := k.KeyTag()
	for i := range 63 {
		d := make([]byte, 994)
		d[0], d[1], d[2], d[3] = 1, 1, 3, k.Algorithm
		d[4], d[5] = 255, byte(i)
		at := len(d) - 2
		for tagOf(d) != tag { // the sum carries, so once is not always enough
			binary.BigEndian.PutUint16(d[at:], binary.BigEndian.Uint16(d[at:])+tag-tagOf(d))
		}
		keys = append(keys, d)
	}
	for i := range 990 {
		d := binary.BigEndian.AppendUint16(nil, tag)
		d = append(d, k.Algorithm, dns.SHA384)
		ds = append(ds, append(d, fmt.Sprintf("%048d", i)...))
	}
	return map[uint16][][]byte{dns.TypeDNSKEY: keys, dns.TypeDS: ds}
}

// tagOf is the key tag of RDATA (RFC 4034 appendix B).
func tagOf(data []byte) uint16 {
	var sum uint32
	for i, c := range data {
		sum += uint32(c) << (8 * (1 - i&1))
	}
	return uint16(sum + sum>>16)
}

// signTrap signs the set of a record and junk, and returns the junk as records.
func (w *World) signTrap(rr dns.RR, junk [][]byte, zone string) (*dns.RRSIG, [][]byte) {
	s := w.sign([]dns.RR{rr}, zone) // all but the signature holds for the whole set
	head, owner := packed(w, s), packedName(rr.Header().Name)
	sig, _ := base64.StdEncoding.DecodeString(s.Signature)
	data := dataOf(head)
	data = slices.Clone(data[:len(data)-len(sig)])
	set := append(slices.Clone(junk), dataOf(packed(w, rr)))
	slices.SortFunc(set, bytes.Compare)
	for _, d := range set {
		data = append(append(data, owner...), record(rr.Header(), d)[2:]...)
	}
	sum := sha256.Sum256(data)
	der, err := w.keyOf(zone).Private.Sign(rand.Reader, sum[:], nil)
	var rs struct{ R, S *big.Int }
	if err == nil {
		_, err = asn1.Unmarshal(der, &rs)
	}
	if err != nil {
		w.tb.Error(err)
		return s, nil
	}
	var raw [64]byte
	rs.R.FillBytes(raw[:32])
	rs.S.FillBytes(raw[32:])
	s.Signature = base64.StdEncoding.EncodeToString(raw[:])
	var more [][]byte
	for _, d := range junk {
		more = append(more, record(rr.Header(), d))
	}
	return s, more
}

// record is a record in wire form whose owner is the name of the question.
func record(h *dns.RR_Header, data []byte) []byte {
	b := []byte{0xc0, 12}
	b = binary.BigEndian.AppendUint16(b, h.Rrtype)
	b = binary.BigEndian.AppendUint16(b, h.Class)
	b = binary.BigEndian.AppendUint32(b, h.Ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// packed is a record in wire form.
func packed(w *World, rr dns.RR) []byte {
	b := make([]byte, 4096)
	n, err := dns.PackRR(rr, b, 0, nil, false)
	if err != nil {
		w.tb.Error(err)
	}
	return b[:n]
}

func packedName(name string) []byte {
	b := make([]byte, 255)
	n, _ := dns.PackDomainName(name, b, 0, nil, false)
	return b[:n]
}

// dataOf is the RDATA of a packed record.
func dataOf(b []byte) []byte {
	for b[0] != 0 {
		b = b[1+int(b[0]):]
	}
	return b[1+10:]
}

// ballast fills a message up to the largest size. Its names are pointers, and each expands
// to the name of the question.
func ballast() [][]byte {
	var out [][]byte
	for range 1000 {
		h := header("", dns.TypeNS)
		out = append(out, record(&h, []byte{0xc0, 12}))
	}
	for i := range 170 {
		h := header("", dns.TypeTXT)
		out = append(out, record(&h, append([]byte{240}, fmt.Sprintf("%0240d", i)...)))
	}
	return out
}
