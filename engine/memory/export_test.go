package memory

import "github.com/mxauth/mxauth/store"

// RecodePast reads an entry of the memory and writes it again.
func RecodePast(e store.Entry) (store.Entry, bool) {
	p, err := decodePast(e)
	if err != nil {
		return store.Entry{}, false
	}
	return p.encode(e.Key, DefaultKeep), true
}
