package valkey

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/mxauth/mxauth/store"
)

// The value on the server, numbers big-endian:
//
//	4 octets  CRC-32C of the key and all that follows
//	1 octet   version, 1
//	1 octet   class
//	8 octets  expires, Unix nanoseconds
//	the rest  value
const (
	valueVersion = 1
	valueHead    = 4 + 1 + 1 + 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key string, rest []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(key), castagnoli), castagnoli, rest)
}

func encode(e store.Entry) []byte {
	b := make([]byte, valueHead, valueHead+len(e.Value))
	b[4], b[5] = valueVersion, byte(e.Class)
	binary.BigEndian.PutUint64(b[6:], uint64(e.Expires.UnixNano()))
	b = append(b, e.Value...)
	binary.BigEndian.PutUint32(b, checksum(e.Key, b[4:]))
	return b
}

func decode(key string, b []byte) (store.Entry, error) {
	if len(b) < valueHead || b[4] != valueVersion || b[5] >= store.Classes || binary.BigEndian.Uint32(b) != checksum(key, b[4:]) {
		return store.Entry{}, fmt.Errorf("%w: the value of %.80q on the server is not what was stored", store.ErrDamaged, key)
	}
	return store.Entry{Key: key, Value: slices.Clone(b[valueHead:]), Class: store.Class(b[5]), Expires: time.Unix(0, int64(binary.BigEndian.Uint64(b[6:])))}, nil
}
