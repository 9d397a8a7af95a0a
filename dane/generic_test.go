package dane_test

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/pkix"
)

// TestVerifyGeneric holds the matcher for suites of RFC 6698 to what the published
// blocks do not show.
func TestVerifyGeneric(t *testing.T) {
	w := newWorld(t)
	stranger := issue(t, spec{cn: "Stranger", ca: true, key: 4}, nil)
	misnamed := issue(t, spec{dns: []string{"other.example"}, key: 2}, w.inter)
	cn := issue(t, spec{cn: "mx.sec.example", key: 2}, w.inter)
	whole, leafOnly := chain(w.leaf, w.inter, w.root), chain(w.leaf)
	unknownSelector, unknownMatching := w.leaf.record(1, 1, 1), w.leaf.record(1, 1, 1)
	unknownSelector.Selector, unknownMatching.MatchingType = 2, 3
	unknownMatching.Data = string(w.leaf.RawSubjectPublicKeyInfo)
	for _, c := range []struct {
		name  string
		rs    []dane.Record
		p     dane.Peer
		edit  func(*dane.GenericOptions)
		err   error
		depth int
	}{
		{"PKIX-EE", []dane.Record{w.leaf.record(1, 1, 1)}, whole, nil, nil, 0},
		{"PKIX-TA of the root", []dane.Record{w.root.record(0, 0, 1)}, whole, nil, nil, 2},
		{"PKIX-TA of the intermediate", []dane.Record{w.inter.record(0, 0, 1)}, whole, nil, nil, 1},
		{"PKIX-TA of the root, which is not sent", []dane.Record{w.root.record(0, 0, 1)}, chain(w.leaf, w.inter), nil, nil, 2},
		{"PKIX-TA of the leaf is none", []dane.Record{w.leaf.record(0, 0, 1)}, whole, nil, dane.ErrNoMatch, -1},
		{"PKIX-EE of the intermediate is none", []dane.Record{w.inter.record(1, 0, 1)}, whole, nil, dane.ErrNoMatch, -1},
		{"PKIX-EE that does not match, without a path", []dane.Record{stranger.record(1, 0, 1)}, leafOnly, nil, dane.ErrNoMatch, -1},
		{"PKIX-EE without a path", []dane.Record{w.leaf.record(1, 0, 1)}, leafOnly, nil, dane.ErrPath, 0},
		{"PKIX-TA without a path", []dane.Record{w.root.record(0, 0, 1)}, leafOnly, nil, dane.ErrPath, -1},
		{"the first of two alike failures", []dane.Record{w.leaf.record(1, 0, 1), w.root.record(0, 0, 1)}, leafOnly, nil, dane.ErrPath, 0},
		{"the more specific failure", []dane.Record{stranger.record(1, 0, 1), misnamed.record(1, 0, 1)}, chain(misnamed, w.inter), nil, dane.ErrName, 0},
		{"a wrong name", []dane.Record{w.root.record(0, 0, 1)}, chain(misnamed, w.inter), nil, dane.ErrName, 2},
		{"a Common Name is no name of PKIX", []dane.Record{w.root.record(0, 0, 1)}, chain(cn, w.inter), nil, dane.ErrName, 2},
		{"without roots", []dane.Record{w.leaf.record(1, 0, 1)}, whole, func(o *dane.GenericOptions) { o.Roots = nil }, dane.ErrPath, 0},
		{"an intermediate in DNS", []dane.Record{w.leaf.record(1, 1, 1), w.inter.record(0, 0, 0)}, leafOnly, nil, nil, 0},
		{"unknown selector and matching type", []dane.Record{unknownSelector, unknownMatching}, whole, nil, dane.ErrNoMatch, -1},
		{"DANE-TA does not rest on the roots", []dane.Record{w.root.record(2, 0, 1)}, chain(w.leaf, w.inter), nil, dane.ErrNoMatch, -1},
		{"DANE before PKIX", []dane.Record{w.leaf.record(1, 1, 1), w.root.record(2, 0, 1)}, whole, nil, nil, 2},
		{"DANE-EE asks for no name", []dane.Record{misnamed.record(3, 1, 1)}, chain(misnamed), nil, nil, 0},
		{"DANE-EE asked for a name", []dane.Record{misnamed.record(3, 1, 1)}, chain(misnamed), eeNames, dane.ErrName, 0},
		{"DANE-EE with its name", []dane.Record{w.leaf.record(3, 1, 1)}, leafOnly, eeNames, nil, 0},
		{"DANE-EE with a Common Name", []dane.Record{cn.record(3, 1, 1)}, chain(cn), eeNames, nil, 0},
		{"DANE-EE with a Common Name that does not count", []dane.Record{cn.record(3, 1, 1)}, chain(cn), func(o *dane.GenericOptions) { o.EENames, o.NoCNID = true, true }, dane.ErrName, 0},
		{"DANE-TA and names of DANE-EE", []dane.Record{w.root.record(2, 1, 1)}, whole, eeNames, nil, 2},
		{"a bare key", []dane.Record{w.leaf.record(3, 1, 1)}, dane.Peer{RawKey: w.leaf.RawSubjectPublicKeyInfo}, eeNames, nil, 0},
		{"a bare key and PKIX", []dane.Record{w.leaf.record(1, 1, 1)}, dane.Peer{RawKey: w.leaf.RawSubjectPublicKeyInfo}, nil, dane.ErrNoUsable, -1},
		{"nothing presented", []dane.Record{w.leaf.record(1, 1, 1)}, dane.Peer{}, nil, dane.ErrNoUsable, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := dane.GenericOptions{Options: options, Roots: pkix.NewRoots([]*x509.Certificate{w.root.Certificate}...)}
			if c.edit != nil {
				c.edit(&o)
			}
			res, err := dane.VerifyGeneric(c.rs, c.p, o)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || res.Depth != c.depth || res.OK != (c.err == nil) {
				t.Errorf("%v at depth %d, OK %t; want %v at %d", err, res.Depth, res.OK, c.err, c.depth)
			}
		})
	}
}

func eeNames(o *dane.GenericOptions) { o.EENames = true }
