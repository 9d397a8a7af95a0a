package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/bolt"
	"github.com/mxauth/mxauth/store/valkey"
)

// storeMemory is the value of --store for a store that ends with the program.
const storeMemory = "memory"

// A storeUse says what a verb does when the file that --store names does not exist.
type storeUse uint8

const (
	storeFills storeUse = iota // the verb fills the store: the file is created
	storeReads                 // the verb works on what is kept: an error
	storeSpare                 // the verb needs nothing of it: a store in memory does
	storeBrief                 // as storeFills; a store in memory is small, since nothing is asked for twice
)

// briefBytes bounds a store in memory with storeBrief.
const briefBytes = 4 << 20

// openStore opens the store that --store names. A file that another process has open is
// no reason not to answer: the answer is then found without what is kept there, which is
// not known, rather than absent.
func (e *env) openStore(use storeUse) (store.Store, error) {
	s, err := e.openStoreOnly(use)
	if !e.flags.storeNamed && (errors.Is(err, bolt.ErrLocked) || errors.Is(err, fs.ErrPermission)) {
		// The store of the configuration is that of the daemon, which may have it open, or be
		// another user.
		e.out.Notef("the store of the configuration is not used: %s", errorText(err))
		return store.NewMemory(store.MemoryConfig{Now: e.now})
	}
	if errors.Is(err, bolt.ErrLocked) {
		e.out.Notef("%v; going on in memory, and what is kept in the store is not known", err)
		return store.NewFront(store.FrontConfig{Behind: heldStore{err}, Now: e.now})
	}
	return s, err
}

// A heldStore is a store that another process has: nothing is known of what is in it.
type heldStore struct{ err error }

func (s heldStore) Get(context.Context, string) (store.Entry, bool, error) {
	return store.Entry{}, false, s.err
}
func (s heldStore) Put(context.Context, store.Entry) error                    { return s.err }
func (s heldStore) Delete(context.Context, string) error                      { return s.err }
func (s heldStore) All(context.Context, string, func(store.Entry) bool) error { return s.err }
func (heldStore) Close() error                                                { return nil }

// openStoreOnly opens the store that --store names, and no other. A store that cannot be
// used is a configuration error.
func (e *env) openStoreOnly(use storeUse) (store.Store, error) {
	name := e.flags.store
	scheme, rest, _ := strings.Cut(name, ":")
	switch scheme {
	case storeMemory:
		if name == storeMemory {
			c := store.MemoryConfig{Now: e.now}
			if use == storeBrief {
				c.MaxBytes = briefBytes
			}
			return store.NewMemory(c)
		}
	case "bolt":
		if rest == "" {
			return nil, usageError("--store: bolt: needs a file, as in bolt:/var/lib/mxauth/policies.db")
		}
		s, err := bolt.Open(bolt.Config{Path: rest, MustExist: use == storeReads || use == storeSpare, Now: e.now, Logger: e.logger()})
		switch {
		case err == nil:
			return s, nil
		case errors.Is(err, bolt.ErrLocked):
			return nil, configError("stop the other process, or ask it", "%w", err)
		case errors.Is(err, bolt.ErrNotExist) && use == storeSpare:
			return store.NewMemory(store.MemoryConfig{Now: e.now})
		case errors.Is(err, bolt.ErrNotExist):
			return nil, configError("the file is created by the verbs that fill it, such as check, plan and cache import", "the store %s does not exist", rest)
		case errors.Is(err, bolt.ErrExposed):
			return nil, configError("see that its content is what you expect, and then: chmod 600 "+shellWord(rest), "%w", err)
		case errors.Is(err, store.ErrDamaged):
			return nil, configError("rescue what is sound with: mxauth cache rescue "+shellWord(rest)+" NEWFILE", "%w", err)
		}
		return nil, configError("see that the folder exists and may be written to", "%w", err)
	case "redis", "rediss", "valkey", "valkeys", "unix":
		pool, err := e.certPool()
		if err != nil {
			return nil, err
		}
		where, err := withPassword(name, e.flags.password)
		if err != nil {
			return nil, err
		}
		c := valkey.Config{URL: where, Now: e.now, Logger: e.logger()}
		if pool != nil && (scheme == "rediss" || scheme == "valkeys") {
			c.TLS = &tls.Config{RootCAs: pool}
		}
		s, err := valkey.Open(c)
		if err != nil {
			return nil, usageError("--store: %w", err)
		}
		return s, nil
	}
	return nil, usageError("--store: %.80q is neither memory, bolt:FILE nor a redis:// URL", withoutPassword(name))
}

// maxPassword bounds a file with a password in bytes.
const maxPassword = 4096

// withPassword puts the password in a file into the URL of a store that has none.
func withPassword(where, file string) (string, error) {
	u, err := url.Parse(where)
	if file == "" || err != nil {
		return where, nil // of a bad URL the store says what is wrong
	}
	if _, has := u.User.Password(); has {
		return where, nil // that of --store
	}
	if err := checkFile("store.password-file", file, checkSecret); err != nil {
		return "", err
	}
	b, err := os.ReadFile(file)
	password := strings.TrimRight(string(b), "\r\n")
	switch {
	case err != nil:
		return "", configError("", "store.password-file: %w", err)
	case password == "" || len(b) > maxPassword || strings.ContainsAny(password, "\r\n"):
		return "", configError("", "store.password-file: %s: want one line of at most %d bytes", file, maxPassword)
	}
	u.User = url.UserPassword(u.User.Username(), password)
	return u.String(), nil
}

// shellWord quotes s for a POSIX shell, if it needs that.
func shellWord(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:@%="
	if s != "" && strings.Trim(s, plain) == "" && !strings.HasPrefix(s, "-") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// withoutPassword takes user and password out of a URL that is shown.
func withoutPassword(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.User == nil {
		return s
	}
	u.User = nil
	return u.String()
}

// closeStore closes s and says what could not be written.
func (e *env) closeStore(s io.Closer) error {
	if err := s.Close(); err != nil {
		return configError("", "%w", err)
	}
	return nil
}
