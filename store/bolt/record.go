package bolt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/mxauth/mxauth/store"
)

// A record is the value of a key of the bucket of entries, all numbers big-endian:
//
//	8 octets  checksum of the key and all that follows
//	1 octet   version, 2
//	1 octet   class
//	8 octets  expires, Unix nanoseconds
//	8 octets  number of the transaction that wrote it
//	4 octets  hours from 1970 to the last use that was noted
//	1 octet   length of the group, then the group
//	the rest  value
//
// Version 1, which is still read, has neither use nor group.
const (
	recordVersion1 = 1
	recordVersion  = 2
	recordHead1    = 8 + 1 + 1 + 8 + 8
	recordHead     = recordHead1 + 4 + 1
)

// checksum is two CRC-32 of different polynomials: both are computed by the processor,
// and together they miss random damage once in 2^64.
func checksum(key, rest []byte) uint64 {
	c := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, rest)
	i := crc32.Update(crc32.ChecksumIEEE(key), crc32.IEEETable, rest)
	return uint64(c)<<32 | uint64(i)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// hourOf is a time as it is noted in a record.
func hourOf(t time.Time) uint32 { return uint32(max(1, t.Unix()/3600)) }

func timeOf(hour uint32) time.Time { return time.Unix(int64(hour)*3600, 0) }

func encodeRecord(e store.Entry, tx uint64, used uint32) (value []byte, sum uint64) {
	b := make([]byte, recordHead1, recordHead+len(e.Group)+len(e.Value))
	b[8], b[9] = recordVersion, byte(e.Class)
	binary.BigEndian.PutUint64(b[10:], uint64(e.Expires.UnixNano()))
	binary.BigEndian.PutUint64(b[18:], tx)
	b = binary.BigEndian.AppendUint32(b, used)
	b = append(append(b, byte(len(e.Group))), e.Group...)
	b = append(b, e.Value...)
	sum = checksum([]byte(e.Key), b[8:])
	binary.BigEndian.PutUint64(b, sum)
	return b, sum
}

// A record read back. Value and group point into what was read.
type record struct {
	class   store.Class
	expires int64
	tx      uint64
	sum     uint64
	used    uint32 // 0: not known
	group   []byte
	value   []byte
}

// decodeRecord checks the checksum and reads a record.
func decodeRecord(key, v []byte) (record, error) {
	r, err := readRecord(key, v)
	if err == nil && checksum(key, v[8:]) != r.sum {
		return record{}, fmt.Errorf("%w: the checksum of the record of %.80q is wrong", store.ErrDamaged, key)
	}
	return r, err
}

// readRecord reads a record and does not check its checksum, which would read all octets of
// all values: for the choice of what is dropped.
func readRecord(key, v []byte) (record, error) {
	unsound := len(v) < recordHead1 || v[9] >= store.Classes
	if !unsound {
		switch v[8] {
		case recordVersion1:
		case recordVersion:
			unsound = len(v) < recordHead || len(v) < recordHead+int(v[recordHead-1])
		default:
			unsound = true
		}
	}
	if unsound {
		return record{}, fmt.Errorf("%w: the record of %.80q has no sound form", store.ErrDamaged, key)
	}
	r := record{
		sum:     binary.BigEndian.Uint64(v),
		class:   store.Class(v[9]),
		expires: int64(binary.BigEndian.Uint64(v[10:])),
		tx:      binary.BigEndian.Uint64(v[18:]),
		value:   v[recordHead1:],
	}
	if v[8] == recordVersion {
		r.used = binary.BigEndian.Uint32(v[recordHead1:])
		n := recordHead + int(v[recordHead-1])
		r.group, r.value = v[recordHead:n], v[n:]
	}
	return r, nil
}

// entry copies a record out of the file.
func (r record) entry(key []byte) store.Entry {
	e := store.Entry{Key: string(key), Value: append([]byte(nil), r.value...), Class: r.class, Expires: time.Unix(0, r.expires), Group: string(r.group)}
	if r.used != 0 {
		e.Used = timeOf(r.used)
	}
	return e
}

// stale reports whether a use at now is to be noted.
func (r record) stale(now time.Time) bool {
	return r.used == 0 || now.Sub(timeOf(r.used)) >= store.UsePrecision || timeOf(r.used).After(now)
}

// Totals are kept in the file with the entries and changed with every transaction, so
// that a record which is lost as a whole (a page that damage has cut off the tree) is
// missed when the file is opened: a checksum a record cannot show that.
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
