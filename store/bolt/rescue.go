package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mxauth/mxauth/store"
)

// Rescue copies every sound record that it finds anywhere in the file from into a new
// store at to, which must not exist, and returns how many there were. It looks at each
// page by itself, whatever the tree says, so it also finds older states of an entry, of
// which it takes the newest, and entries that had been replaced by nothing: what was
// deleted may come back. That errs on the side of remembering. Expired entries are left
// out. It changes nothing in from, which no process may have open ([ErrLocked]) and no
// other user may be able to write to ([ErrExposed]).
func Rescue(ctx context.Context, from string, c Config) (n int, err error) {
	f, err := os.Open(from)
	if err != nil {
		return 0, unavailable(err)
	}
	defer f.Close()
	if held, err := lock(f); err != nil {
		return 0, unavailable(err)
	} else if held {
		return 0, fmt.Errorf("store %s: %w", from, ErrLocked)
	}
	if st, err := f.Stat(); err != nil {
		return 0, unavailable(err)
	} else if err := exposed(st, othersWrite); err != nil {
		return 0, fmt.Errorf("store %s: %w", from, err)
	}
	if _, err := os.Lstat(c.Path); !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%w: %s exists already", store.ErrUnavailable, c.Path)
	}
	found, err := salvage(f)
	if err != nil {
		return 0, unavailable(err)
	}
	s, err := Open(c)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	es := make([]store.Entry, 0, len(found))
	now := s.now()
	for _, r := range found {
		if now.Before(r.entry.Expires) {
			es = append(es, r.entry)
		}
	}
	if err := s.PutAll(ctx, es); err != nil {
		return 0, err
	}
	return len(es), nil
}

type salvaged struct {
	entry store.Entry
	tx    uint64
}

// salvage reads what it can of every leaf page.
func salvage(f *os.File) (map[string]salvaged, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	found := map[string]salvaged{}
	ps := int64(os.Getpagesize())
	if r, err := newReader(f, st.Size()); err == nil {
		ps = int64(r.meta.pageSize)
	}
	head := make([]byte, pageHead)
	for off := int64(0); off+ps <= st.Size(); off += ps {
		if _, err := f.ReadAt(head, off); err != nil {
			return nil, err
		}
		if order.Uint16(head[8:]) != flagLeaf {
			continue
		}
		length := min((1+int64(order.Uint32(head[12:])))*ps, st.Size()-off, store.MaxValue+store.MaxKey+store.MaxGroup+recordHead+2*maxPageSize)
		page := make([]byte, length)
		if _, err := f.ReadAt(page, off); err != nil {
			return nil, err
		}
		salvagePage(page, found, true)
	}
	return found, nil
}

// salvagePage reads the sound records of one leaf page, and of a small bucket that is
// inside it.
func salvagePage(page []byte, found map[string]salvaged, inline bool) {
	for i := range int(order.Uint16(page[10:])) {
		k, v, bucket, ok := leafElement(page, i)
		if !ok {
			continue
		}
		if bucket {
			if inline && len(v) >= bucketHead+pageHead && order.Uint64(v) == 0 {
				salvagePage(v[bucketHead:], found, false)
			}
			continue
		}
		r, err := decodeRecord(k, v)
		if err != nil {
			continue
		}
		if old, ok := found[string(k)]; !ok || r.tx > old.tx {
			if e := r.entry(k); e.Check() == nil {
				found[e.Key] = salvaged{e, r.tx}
			}
		}
	}
}

// leafElement reads one element of a leaf page that may be damaged.
func leafElement(p []byte, i int) (key, value []byte, bucket, ok bool) {
	at := uint64(pageHead + i*elemSize)
	if at+elemSize > uint64(len(p)) {
		return nil, nil, false, false
	}
	b := p[at:]
	start := at + uint64(order.Uint32(b[4:]))
	k, v := uint64(order.Uint32(b[8:])), uint64(order.Uint32(b[12:]))
	if start+k+v > uint64(len(p)) {
		return nil, nil, false, false
	}
	return p[start : start+k], p[start+k : start+k+v], order.Uint32(b) == elemBucket, true
}
