package bolt

import (
	"bytes"

	"go.etcd.io/bbolt"
)

// Verify walks through a file that is in memory.
func Verify(b []byte) error { return verify(bytes.NewReader(b), int64(len(b))) }

// Used marks the octets of a sound file that mean something, but for a few of bbolt's own
// that are never read: the sequence number of a bucket, and the id and overflow of a page
// inside another.
func Used(b []byte) []bool {
	r, err := newReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		panic(err)
	}
	used := make([]bool, len(b))
	mark := func(from, n int) {
		for i := from; i < from+n; i++ {
			used[i] = true
		}
	}
	ps := int(r.meta.pageSize)
	mark(0, pageHead+metaSize)
	mark(ps, pageHead+metaSize)
	for _, off := range []int{10, ps + 10} { // count and overflow of meta pages
		for i := range 6 {
			used[off+i] = false
		}
	}
	markPage := func(id uint64) []byte {
		off := int(id) * ps
		n := 1 + int(order.Uint32(b[off+12:]))
		mark(off, pageHead)
		return b[off : off+n*ps]
	}
	free := markPage(r.meta.freelist)
	mark(int(r.meta.freelist)*ps+pageHead, 8*int(order.Uint16(free[10:])))
	for i := range 4 { // overflow of a list of one page
		used[int(r.meta.freelist)*ps+12+i] = true
	}
	var tree func(id uint64)
	elem := func(base int, p []byte, e element) {
		if at := bytes.Index(p, e.key); at >= 0 && len(e.key) > 0 {
			mark(base+at, len(e.key)+len(e.value))
			if e.flags == elemBucket {
				seq := base + at + len(e.key) + 8
				for i := range 8 {
					used[seq+i] = false
				}
				if root := order.Uint64(e.value); root != 0 {
					tree(root)
				} else {
					for _, i := range []int{0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15} {
						used[base+at+len(e.key)+bucketHead+i] = false
					}
				}
			}
		}
	}
	tree = func(id uint64) {
		p := markPage(id)
		es, err := elements(p, id)
		if err != nil {
			panic(err)
		}
		mark(int(id)*ps+pageHead, len(es)*elemSize)
		for _, e := range es {
			if order.Uint16(p[8:]) == flagLeaf {
				elem(int(id)*ps, p, e)
			} else {
				at := bytes.Index(p, e.key)
				mark(int(id)*ps+at, len(e.key))
				tree(e.child)
			}
		}
	}
	tree(r.meta.root)
	return used
}

// InUse is how many octets of a sound file are in use; behind them is room to grow.
func InUse(b []byte) int {
	r, err := newReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		panic(err)
	}
	return int(r.meta.high) * int(r.meta.pageSize)
}

// CheckRecords reads all records by bbolt, and compares them with their checksums and with
// the totals.
func CheckRecords(tx *bbolt.Tx) error {
	want, err := readTotals(tx)
	if err != nil {
		return err
	}
	var got totals
	err = tx.Bucket(bucketEntries).ForEach(func(k, v []byte) error {
		r, err := decodeRecord(k, v)
		if err == nil {
			got.add(k, r)
		}
		return err
	})
	if err == nil && got != want {
		err = damaged("totals differ")
	}
	return err
}

// Branch is where the branch page at the top of the entries begins.
func Branch(b []byte) int {
	r, err := newReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		panic(err)
	}
	at := -1
	if err := r.tree(r.meta.root, nil, nil, 0, func(e element) error {
		if string(e.key) == string(bucketEntries) {
			at = int(order.Uint64(e.value)) * int(r.meta.pageSize)
		}
		return nil
	}); err != nil || order.Uint16(b[at+8:]) != flagBranch {
		panic("no branch page")
	}
	return at
}
