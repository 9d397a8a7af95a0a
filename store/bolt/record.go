package bolt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/mxauth/mxauth/store"
)

// A record is what stands under a key of the bucket of entries, all numbers big-endian:
//
//	8 octets  checksum of the key and all that follows
//	1 octet   version, 1
//	1 octet   class
//	8 octets  expires, Unix nanoseconds
//	8 octets  number of the transaction that wrote it
//	the rest  value
const (
	recordVersion = 1
	recordHead    = 8 + 1 + 1 + 8 + 8
)

// checksum is two CRC-32 of different polynomials: both are computed by the processor,
// and together they miss random damage once in 2^64.
func checksum(key, rest []byte) uint64 {
	c := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, rest)
	i := crc32.Update(crc32.ChecksumIEEE(key), crc32.IEEETable, rest)
	return uint64(c)<<32 | uint64(i)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodeRecord(e store.Entry, tx uint64) (value []byte, sum uint64) {
	b := make([]byte, recordHead, recordHead+len(e.Value))
	b[8], b[9] = recordVersion, byte(e.Class)
	binary.BigEndian.PutUint64(b[10:], uint64(e.Expires.UnixNano()))
	binary.BigEndian.PutUint64(b[18:], tx)
	b = append(b, e.Value...)
	sum = checksum([]byte(e.Key), b[8:])
	binary.BigEndian.PutUint64(b, sum)
	return b, sum
}

// A record read back. Value points into what was read.
type record struct {
	class   store.Class
	expires int64
	tx      uint64
	sum     uint64
	value   []byte
}

// decodeRecord checks the checksum and reads a record.
func decodeRecord(key, v []byte) (record, error) {
	if len(v) < recordHead || v[8] != recordVersion || v[9] >= store.Classes {
		return record{}, fmt.Errorf("%w: the record of %.80q has no sound form", store.ErrDamaged, key)
	}
	r := record{
		sum:     binary.BigEndian.Uint64(v),
		class:   store.Class(v[9]),
		expires: int64(binary.BigEndian.Uint64(v[10:])),
		tx:      binary.BigEndian.Uint64(v[18:]),
		value:   v[recordHead:],
	}
	if checksum(key, v[8:]) != r.sum {
		return record{}, fmt.Errorf("%w: the checksum of the record of %.80q is wrong", store.ErrDamaged, key)
	}
	return r, nil
}

// entry copies a record out of the file.
func (r record) entry(key []byte) store.Entry {
	return store.Entry{Key: string(key), Value: append([]byte(nil), r.value...), Class: r.class, Expires: time.Unix(0, r.expires)}
}

// Totals are kept in the file beside the entries and changed with every transaction, so
// that a record which is lost as a whole (a page that damage has cut off the tree) is
// missed when the file is opened: a checksum a record can not tell that.
type totals struct {
	entries uint64
	bytes   uint64 // of keys and values
	sum     uint64 // of all checksums, modulo 2^64
}

const totalsLen = 3*8 + 8

func (t *totals) add(key []byte, r record) {
	t.entries++
	t.bytes += uint64(len(key) + len(r.value))
	t.sum += r.sum
}

func (t *totals) sub(key []byte, r record) {
	t.entries--
	t.bytes -= uint64(len(key) + len(r.value))
	t.sum -= r.sum
}

func (t totals) encode() []byte {
	b := make([]byte, 0, totalsLen)
	b = binary.BigEndian.AppendUint64(b, t.entries)
	b = binary.BigEndian.AppendUint64(b, t.bytes)
	b = binary.BigEndian.AppendUint64(b, t.sum)
	return binary.BigEndian.AppendUint64(b, checksum(keyTotals, b))
}

func decodeTotals(b []byte) (totals, error) {
	if len(b) != totalsLen || binary.BigEndian.Uint64(b[24:]) != checksum(keyTotals, b[:24]) {
		return totals{}, fmt.Errorf("%w: the totals are broken", store.ErrDamaged)
	}
	return totals{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])}, nil
}
