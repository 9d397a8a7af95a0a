package sts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
)

// Keys in the store. The prefix is followed by the domain's A-labels.
const (
	policyPrefix  = "sts/p/"
	backoffPrefix = "sts/b/"
)

// errEntry: what the store gave back under a key is not what this package keeps there.
var errEntry = fmt.Errorf("%w: not an entry of package sts", store.ErrDamaged)

// A storedPolicy is a policy as it is in the store, or the mark that it was deleted.
type storedPolicy struct {
	id       string
	fetched  time.Time // the last successful HTTPS fetch
	tried    time.Time // the last refresh that was tried; zero if none since fetched
	failures uint16    // refreshes that failed since fetched
	deleted  string    // who deleted it; "" if it is there
	text     string    // the policy body
	expires  time.Time // of the store's entry
	mode     Mode      // by the store's class
}

// The value of an entry, all numbers big-endian:
//
//	1 octet   version, 1
//	1 octet   flags: 1 = deleted
//	8 octets  fetched, Unix nanoseconds
//	8 octets  tried, Unix nanoseconds, 0 for never
//	2 octets  failures
//	1 octet   length of the id, then the id (of who, if deleted)
//	the rest  the policy body
const (
	entryVersion = 1
	entryHead    = 1 + 1 + 8 + 8 + 2 + 1
	flagDeleted  = 1
	maxWho       = 255
)

func (k storedPolicy) encode(domain rfc6125.Host) store.Entry {
	head := k.id
	flags := byte(0)
	if k.deleted != "" {
		flags, head = flagDeleted, k.deleted[:min(len(k.deleted), maxWho)]
	}
	b := make([]byte, 0, entryHead+len(head)+len(k.text))
	b = append(b, entryVersion, flags)
	b = binary.BigEndian.AppendUint64(b, uint64(k.fetched.UnixNano()))
	var tried int64
	if !k.tried.IsZero() {
		tried = k.tried.UnixNano()
	}
	b = binary.BigEndian.AppendUint64(b, uint64(tried))
	b = binary.BigEndian.AppendUint16(b, k.failures)
	b = append(append(b, byte(len(head))), head...)
	b = append(b, k.text...)
	return store.Entry{Key: policyPrefix + domain.String(), Value: b, Class: classOf(k.mode), Expires: k.expires, Group: domain.Registrable()}
}

// decodeKept reads the frame of an entry without parsing the policy in it.
func decodeKept(e store.Entry) (storedPolicy, error) {
	v := e.Value
	if len(v) < entryHead || v[0] != entryVersion || len(v) < entryHead+int(v[entryHead-1]) {
		return storedPolicy{}, fmt.Errorf("%w: %.100q", errEntry, e.Key)
	}
	k := storedPolicy{
		fetched:  time.Unix(0, int64(binary.BigEndian.Uint64(v[2:]))),
		failures: binary.BigEndian.Uint16(v[18:]),
		expires:  e.Expires,
	}
	if t := int64(binary.BigEndian.Uint64(v[10:])); t != 0 {
		k.tried = time.Unix(0, t)
	}
	n := entryHead + int(v[entryHead-1])
	head := string(v[entryHead:n])
	if v[1]&flagDeleted != 0 {
		if head == "" || v[1] != flagDeleted {
			return storedPolicy{}, fmt.Errorf("%w: %.100q", errEntry, e.Key)
		}
		k.deleted = head
		return k, nil
	}
	if v[1] != 0 || !validID(head) {
		return storedPolicy{}, fmt.Errorf("%w: %.100q", errEntry, e.Key)
	}
	k.id, k.text = head, string(v[n:])
	switch e.Class {
	case store.None:
		k.mode = ModeNone
	case store.Testing:
		k.mode = ModeTesting
	case store.Enforce:
		k.mode = ModeEnforce
	default:
		return storedPolicy{}, fmt.Errorf("%w: %.100q", errEntry, e.Key)
	}
	// The lifetime counts from the last fetch whatever the store says, so that a wrong
	// expiry in a store can shorten the life of a policy but never prolong it.
	if end := k.fetched.Add(MaxMaxAge); k.expires.After(end) {
		k.expires = end
	}
	return k, nil
}

// policy parses the body. A body that was good when it was stored and is not now is
// damage.
func (k storedPolicy) policy(domain rfc6125.Host) (*Policy, error) {
	p, err := parsePolicyText(k.text)
	if err != nil {
		return nil, fmt.Errorf("%w: policy of %s: %w", store.ErrDamaged, domain, err)
	}
	if p.Mode != k.mode {
		return nil, fmt.Errorf("%w: policy of %s: mode %s in class %s", store.ErrDamaged, domain, p.Mode, classOf(k.mode))
	}
	return &p, nil
}

// classOf is the class of a policy of that mode; a mark of deletion (no mode) has the
// class Testing: it should outlive what it deletes elsewhere, but no policy.
func classOf(m Mode) store.Class {
	switch m {
	case ModeEnforce:
		return store.Enforce
	case ModeNone:
		return store.None
	}
	return store.Testing
}

// domainOf returns the domain of a key.
func domainOf(key, prefix string) (rfc6125.Host, error) {
	s, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return rfc6125.Host{}, fmt.Errorf("%w: key %.100q", errEntry, key)
	}
	h, err := rfc6125.ParseHost(s)
	if err != nil || h.String() != s {
		return rfc6125.Host{}, fmt.Errorf("%w: key %.100q", errEntry, key)
	}
	return h, nil
}

// maxBackOffs bounds the ids in back-off for one domain. Who forges DNS can invent a
// new id with every answer; when that many have failed within BackOff, no new one is
// tried until the first of them has ended.
const maxBackOffs = 8

// failedFor is how long a failed fetch is remembered after its end. In that time a lookup
// does not wait for the repeated fetch of the same id (row S13), so that a policy host that
// does not answer delays a message once.
const failedFor = time.Hour

// maxPatience bounds the ids of one domain that are waited for within failedFor: a domain
// whose id changes with every answer, and whose policy host does not answer, would delay
// its mail without end.
const maxPatience = 3

// A failure is the failed fetch of one id: in back-off, or remembered after it.
type failure struct {
	id     string
	until  time.Time
	word   string // of the kind, see fetchKinds
	status uint16
	note   FetchNote
	detail string
}

// failuresVersion is the version of the store's entry of failures.
const failuresVersion = 2

// maxBackOffText bounds the text that is kept with a failure.
const maxBackOffText = 200

// encodeFailures makes the store's entry; it ends when the last failure is forgotten. fs
// is not empty.
//
//	1 octet   version, 2
//	then for each: 8 octets until (Unix nanoseconds), 2 octets status, 1 octet note, and id,
//	word and detail, each with 1 octet of length before it
//
// Version 1 has no note.
func encodeFailures(domain rfc6125.Host, fs []failure) store.Entry {
	b := []byte{failuresVersion}
	var end time.Time
	for _, f := range fs {
		b = binary.BigEndian.AppendUint64(b, uint64(f.until.UnixNano()))
		b = append(binary.BigEndian.AppendUint16(b, f.status), byte(f.note))
		for _, s := range []string{f.id, f.word, f.detail[:min(len(f.detail), maxBackOffText)]} {
			b = append(append(b, byte(len(s))), s...)
		}
		if f.until.After(end) {
			end = f.until
		}
	}
	return store.Entry{Key: backoffPrefix + domain.String(), Value: b, Class: store.Negative, Expires: end.Add(failedFor - BackOff), Group: domain.Registrable()}
}

// decodeFailures returns those that are remembered at now.
func decodeFailures(e store.Entry, now time.Time) ([]failure, error) {
	v := e.Value
	if len(v) == 0 || v[0] != 1 && v[0] != failuresVersion {
		return nil, fmt.Errorf("%w: %.100q", errEntry, e.Key)
	}
	head := 10 // octets before the id
	if v[0] == failuresVersion {
		head++
	}
	var fs []failure
	for v = v[1:]; len(v) > 0; {
		if len(v) < head {
			return nil, fmt.Errorf("%w: %.100q", errEntry, e.Key)
		}
		f := failure{until: time.Unix(0, int64(binary.BigEndian.Uint64(v))), status: binary.BigEndian.Uint16(v[8:])}
		if head > 10 {
			f.note = FetchNote(v[10])
		}
		if int(f.note) >= len(noteWords) {
			return nil, fmt.Errorf("%w: %.100q", errEntry, e.Key)
		}
		v = v[head:]
		for _, s := range []*string{&f.id, &f.word, &f.detail} {
			if len(v) < 1 || len(v) < 1+int(v[0]) {
				return nil, fmt.Errorf("%w: %.100q", errEntry, e.Key)
			}
			*s, v = string(v[1:1+int(v[0])]), v[1+int(v[0]):]
		}
		// A back-off that would last longer than any that we begin was written under
		// another clock.
		if now.Before(f.until.Add(failedFor-BackOff)) && f.until.Sub(now) <= BackOff {
			fs = append(fs, f)
		}
	}
	return fs, nil
}

// failedBefore returns the failure because of which a lookup does not wait for a fetch of
// id, if there is one: of the same id, or of too many others.
func failedBefore(fs []failure, id string) (failure, bool) {
	for _, f := range fs {
		if f.id == id {
			return f, true
		}
	}
	if len(fs) >= maxPatience {
		return fs[len(fs)-1], true
	}
	return failure{}, false
}

// inBackOff returns the failure that forbids a fetch of id at now, if one does.
func inBackOff(fs []failure, id string, now time.Time) (failure, bool) {
	for _, f := range fs {
		if f.id == id && now.Before(f.until) {
			return f, true
		}
	}
	if len(fs) >= maxBackOffs {
		first := fs[0]
		for _, f := range fs {
			if !now.Before(f.until) {
				return failure{}, false // fewer are in back-off
			}
			if f.until.Before(first.until) {
				first = f
			}
		}
		first.detail = "too many different ids have failed; the first: " + first.detail
		return first, true
	}
	return failure{}, false
}

// again is the error of a failure whose back-off is over, while the fetch is repeated.
func (f failure) again(host rfc6125.Host) *FetchError {
	e := f.err(host)
	e.Until, e.Cause = time.Time{}, nil
	return e
}

func (f failure) err(host rfc6125.Host) *FetchError {
	return &FetchError{Host: host, Kind: fetchKind(f.word), Status: int(f.status), Note: f.note, Detail: f.detail, Until: f.until, Repeated: true,
		Cause: errors.New("back-off")}
}
