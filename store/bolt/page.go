package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"

	"github.com/mxauth/mxauth/store"
)

// This file reads bbolt's file format by itself, because bbolt trusts its file, and the
// promise of this package (damage is an error, never a dead process and never fewer entries
// than there were) cannot be kept by bbolt's own means. Before bbolt sees a file that exists,
// it is walked through here: both meta pages, the tree of every bucket, the list of free
// pages, that every page is used exactly once, the order of all keys, the checksum of every
// record, and the totals over all records.
//
// What was tried instead, on 500 damaged files (TestBBoltAlone, with
// MXAUTH_BOLT_TEST_LONG=1): bbolt v1.5.0 opens the file for reading, Tx.Check runs, all
// records are read, checksums and totals are compared, and panics and faults are caught. 374
// are refused and 115 are rightly taken, but
//   - 4 end the process: Tx.Check runs in a goroutine of its own, and there a page number that
//     leads out of the mapped memory is a fault that cannot be caught. A library cannot start
//     a child to die in its place.
//   - 7 are taken although damaged. With one bit of the last meta page changed, bbolt goes
//     back to the state before the last transaction, which was acknowledged, and says nothing:
//     no checksum of a record or total can show that, both are sound in that state.
//
// An append-only log with a checksum for each record would need no such walk, but a second
// place for its length, since a log that is cut off between two records looks whole; and the
// files that exist would still have to be read, by this reader.
//
// The walk reads the whole file once. It happens under the file's lock, before bbolt
// maps the file, so that nothing can change between the check and the use.

// The file format of bbolt: a page header of 16 octets (id, flags, count, overflow), then
// elements of 16 octets, then their keys and values. Numbers are in the byte order of
// the machine.
const (
	pageHead = 16
	elemSize = 16

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10

	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	metaSize     = 64
	bucketHead   = 16
	elemBucket   = 0x01       // a leaf element that holds a bucket
	noFreelist   = ^uint64(0) // the list of free pages is not kept
	countInFirst = 0xFFFF     // the count of a freelist is in its first element

	minPageSize = 1 << 10
	maxPageSize = 64 << 10

	// maxDepth bounds the height of a tree: with two keys a page it would hold 2^32.
	maxDepth = 32
)

var order = binary.NativeEndian

var errNoStore = fmt.Errorf("%w: not a store file", store.ErrDamaged)

func damaged(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{store.ErrDamaged}, a...)...)
}

type meta struct {
	pageSize uint32
	root     uint64
	freelist uint64
	high     uint64 // pages from here on are not in use
	tx       uint64
}

// readMeta reads a meta page.
func readMeta(p []byte, id uint64) (meta, error) {
	if len(p) < pageHead+metaSize || order.Uint64(p) != id || order.Uint16(p[8:]) != flagMeta {
		return meta{}, fmt.Errorf("meta page %d has no sound header", id)
	}
	b := p[pageHead:]
	h := fnv.New64a()
	h.Write(b[:metaSize-8])
	switch {
	case order.Uint32(b) != metaMagic:
		return meta{}, fmt.Errorf("meta page %d has no magic number", id)
	case order.Uint32(b[4:]) != metaVersion:
		return meta{}, fmt.Errorf("meta page %d has version %d", id, order.Uint32(b[4:]))
	case order.Uint64(b[metaSize-8:]) != h.Sum64():
		return meta{}, fmt.Errorf("the checksum of meta page %d is wrong", id)
	}
	return meta{pageSize: order.Uint32(b[8:]), root: order.Uint64(b[16:]), freelist: order.Uint64(b[32:]), high: order.Uint64(b[40:]), tx: order.Uint64(b[48:])}, nil
}

// A reader reads pages of a file and notes which are in use.
type reader struct {
	src  io.ReaderAt
	size int64
	meta meta
	used []byte // by page: 0, useTree or useFree
	buf  []byte // what was read last
}

const (
	useTree = 1
	useFree = 2
)

// newReader reads the meta pages. Both must be sound: bbolt would fall back to the older
// one, and with it to the state before the last transaction, which was acknowledged.
func newReader(src io.ReaderAt, size int64) (*reader, error) {
	head := make([]byte, minPageSize)
	if _, err := io.ReadFull(io.NewSectionReader(src, 0, size), head); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("%w: it has %d octets", errNoStore, size)
		}
		return nil, err
	}
	m0, err := readMeta(head, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoStore, err)
	}
	if m0.pageSize < minPageSize || m0.pageSize > maxPageSize || m0.pageSize&(m0.pageSize-1) != 0 {
		return nil, damaged("page size %d", m0.pageSize)
	}
	r := &reader{src: src, size: size, meta: m0}
	p, err := r.read(1, 1)
	if err != nil {
		return nil, err
	}
	m1, err := readMeta(p, 1)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	if m1.pageSize != m0.pageSize {
		return nil, damaged("two page sizes, %d and %d", m0.pageSize, m1.pageSize)
	}
	if m1.tx > m0.tx {
		r.meta = m1
	}
	if d := int64(m0.tx - m1.tx); d != 1 && d != -1 {
		return nil, damaged("the meta pages are of transactions %d and %d", m0.tx, m1.tx)
	}
	if r.meta.high < 3 || r.meta.high > uint64(size)/uint64(m0.pageSize) {
		return nil, damaged("%d pages are in use in a file of %d octets", r.meta.high, size)
	}
	r.used = make([]byte, r.meta.high)
	r.used[0], r.used[1] = useTree, useTree
	return r, nil
}

// read returns n pages from id on. They are good until the next read.
func (r *reader) read(id, n uint64) ([]byte, error) {
	ps := int64(r.meta.pageSize)
	off, length := int64(id)*ps, int64(n)*ps
	if id > uint64(r.size)/uint64(ps) || n > uint64(r.size)/uint64(ps) || off+length > r.size {
		return nil, damaged("page %d and the %d after it reach beyond the file", id, n-1)
	}
	if int64(cap(r.buf)) < length {
		r.buf = make([]byte, length)
	}
	r.buf = r.buf[:length]
	if _, err := r.src.ReadAt(r.buf, off); err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return r.buf, nil
}

// page reads the page id with its overflow and notes that it is used.
func (r *reader) page(id uint64, want uint16) ([]byte, error) {
	if id < 2 || id >= r.meta.high {
		return nil, damaged("page %d is not among the %d in use", id, r.meta.high)
	}
	p, err := r.read(id, 1)
	if err != nil {
		return nil, err
	}
	if order.Uint64(p) != id {
		return nil, damaged("page %d calls itself %d", id, order.Uint64(p))
	}
	flags, overflow := order.Uint16(p[8:]), uint64(order.Uint32(p[12:]))
	if flags&want == 0 || flags&^want != 0 || flags&(flags-1) != 0 {
		return nil, damaged("page %d is of kind %#x", id, flags)
	}
	if overflow >= r.meta.high-id {
		return nil, damaged("page %d overflows beyond the pages in use", id)
	}
	for i := id; i <= id+overflow; i++ {
		if r.used[i] != 0 {
			return nil, damaged("page %d is used twice", i)
		}
		r.used[i] = useTree
	}
	if overflow == 0 {
		return p, nil
	}
	return r.read(id, 1+overflow)
}

// An element of a leaf or branch page.
type element struct {
	flags      uint32
	key, value []byte
	child      uint64
}

// elements reads those of a page; keys and values point into p.
func elements(p []byte, id uint64) ([]element, error) {
	n := int(order.Uint16(p[10:]))
	if pageHead+n*elemSize > len(p) {
		return nil, damaged("page %d has no room for its %d elements", id, n)
	}
	leaf := order.Uint16(p[8:]) == flagLeaf
	es := make([]element, n)
	end := uint64(len(p))
	for i := range es {
		at := uint64(pageHead + i*elemSize)
		b := p[at:][:elemSize]
		var pos, klen, vlen uint64
		if leaf {
			es[i].flags = order.Uint32(b)
			pos, klen, vlen = uint64(order.Uint32(b[4:])), uint64(order.Uint32(b[8:])), uint64(order.Uint32(b[12:]))
		} else {
			pos, klen = uint64(order.Uint32(b)), uint64(order.Uint32(b[4:]))
			es[i].child = order.Uint64(b[8:])
		}
		start := at + pos
		if start < uint64(pageHead+n*elemSize) || start+klen+vlen > end {
			return nil, damaged("element %d of page %d reaches beyond it", i, id)
		}
		es[i].key, es[i].value = p[start:start+klen], p[start+klen:start+klen+vlen]
	}
	return es, nil
}

// tree walks through the tree at id in the order of keys, which all lie in [low, high);
// a nil high has no bound. It calls f for each element of a leaf.
func (r *reader) tree(id uint64, low, high []byte, depth int, f func(element) error) error {
	if depth > maxDepth {
		return damaged("a tree is higher than %d pages", maxDepth)
	}
	p, err := r.page(id, flagLeaf|flagBranch)
	if err != nil {
		return err
	}
	es, err := elements(p, id)
	if err != nil {
		return err
	}
	leaf := order.Uint16(p[8:]) == flagLeaf
	if !leaf {
		if len(es) == 0 {
			return damaged("branch page %d is empty", id)
		}
		// The page is read over by its children: keep what is needed of it.
		for i := range es {
			es[i].key = bytes.Clone(es[i].key)
		}
	}
	if err := inOrder(es, low, high, id); err != nil {
		return err
	}
	for i, e := range es {
		if leaf {
			if err := f(e); err != nil {
				return err
			}
			continue
		}
		end := high
		if i+1 < len(es) {
			end = es[i+1].key
		}
		if err := r.tree(e.child, e.key, end, depth+1, f); err != nil {
			return err
		}
	}
	return nil
}

func inOrder(es []element, low, high []byte, id uint64) error {
	for i, e := range es {
		if i == 0 && bytes.Compare(e.key, low) < 0 || i > 0 && bytes.Compare(es[i-1].key, e.key) >= 0 ||
			high != nil && bytes.Compare(e.key, high) >= 0 {
			return damaged("the keys of page %d are out of order", id)
		}
	}
	return nil
}

// bucket walks through a bucket: v is the value of its element in the tree above.
func (r *reader) bucket(v []byte, f func(element) error) error {
	if len(v) < bucketHead {
		return damaged("a bucket of %d octets", len(v))
	}
	if root := order.Uint64(v); root != 0 {
		return r.tree(root, nil, nil, 0, f)
	}
	// A small bucket is a leaf page inside the value.
	p := v[bucketHead:]
	if len(p) < pageHead || order.Uint16(p[8:]) != flagLeaf {
		return damaged("an inline bucket has no sound page")
	}
	es, err := elements(p, 0)
	if err == nil {
		err = inOrder(es, nil, nil, 0)
	}
	for i := 0; err == nil && i < len(es); i++ {
		err = f(es[i])
	}
	return err
}

// free reads the list of free pages.
func (r *reader) free() error {
	if r.meta.freelist == noFreelist {
		return damaged("the list of free pages is not there")
	}
	p, err := r.page(r.meta.freelist, flagFreelist)
	if err != nil {
		return err
	}
	ids, n := p[pageHead:], uint64(order.Uint16(p[10:]))
	if n == countInFirst {
		if len(ids) < 8 {
			return damaged("the list of free pages has no room for its length")
		}
		n, ids = order.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids))/8 {
		return damaged("the list of free pages has no room for its %d numbers", n)
	}
	for i := range n {
		id := order.Uint64(ids[i*8:])
		if id < 2 || id >= r.meta.high {
			return damaged("free page %d is not among the %d in use", id, r.meta.high)
		}
		if r.used[id] != 0 {
			return damaged("page %d is free and in use, or free twice", id)
		}
		r.used[id] = useFree
	}
	return nil
}

// verify walks through the whole file.
func verify(src io.ReaderAt, size int64) error {
	r, err := newReader(src, size)
	if err != nil {
		return err
	}
	// The buckets are gathered first: their trees are read over what is read now.
	buckets := map[string][]byte{}
	if err := r.tree(r.meta.root, nil, nil, 0, func(e element) error {
		if e.flags != elemBucket {
			return damaged("something that is no bucket, named %.40q", e.key)
		}
		buckets[string(e.key)] = bytes.Clone(e.value)
		return nil
	}); err != nil {
		return err
	}
	if len(buckets) != 2 {
		return damaged("%d buckets, not 2", len(buckets))
	}
	var want, got totals
	format := ""
	if err := r.bucket(buckets[string(bucketAbout)], func(e element) (err error) {
		switch {
		case e.flags != 0:
			err = damaged("a bucket where none belongs")
		case bytes.Equal(e.key, keyFormat):
			format = string(e.value)
		case bytes.Equal(e.key, keyTotals):
			want, err = decodeTotals(e.value)
		default:
			err = damaged("an unknown mark %.40q", e.key)
		}
		return err
	}); err != nil {
		return err
	}
	if format != formatName && format != formatName1 {
		return damaged("the format is %.40q, not %q", format, formatName)
	}
	if err := r.bucket(buckets[string(bucketEntries)], func(e element) error {
		if e.flags != 0 {
			return damaged("a bucket where none belongs")
		}
		rec, err := decodeRecord(e.key, e.value)
		if err == nil {
			got.add(e.key, rec)
		}
		return err
	}); err != nil {
		return err
	}
	if got != want {
		return damaged("%d entries of %d octets are there, and %d of %d were stored", got.entries, got.bytes, want.entries, want.bytes)
	}
	if err := r.free(); err != nil {
		return err
	}
	for id, use := range r.used {
		if use == 0 {
			return damaged("page %d is neither free nor in use", id)
		}
	}
	return nil
}
