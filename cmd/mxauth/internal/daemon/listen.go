package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
)

// ErrInUse: another process listens at the path of a unix socket.
var ErrInUse = errors.New("another process listens there")

// errNoListen: there would be nothing to answer.
var errNoListen = errors.New("nothing to listen at: the configuration has no [[listen]]")

// Check finds what would keep the listeners of s from opening, without opening any. A socket at
// which a process listens is good: it may be that of the daemon that is to be replaced.
func Check(s *settings.Settings) error {
	var errs []error
	if len(s.Listen) == 0 {
		errs = append(errs, errNoListen)
	}
	list := slices.Clone(s.Listen)
	if s.Metrics != "" {
		list = append(list, s.MetricsListen())
	}
	if s.Control != "" {
		list = append(list, s.ControlListen())
	}
	for _, l := range list {
		network, address, err := l.Network()
		if err == nil && network == "unix" {
			if _, _, err = ids(l.Owner, l.Group); err == nil {
				if st, e := os.Lstat(address); e == nil && st.Mode().Type() != fs.ModeSocket {
					err = errNoSocket
				}
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("listen at %s: %w", l.Address, err))
		}
	}
	return errors.Join(errs...)
}

// errNoSocket: a file is in the way.
var errNoSocket = errors.New("there is a file that is no socket")

// staleDial is how long a listener at an existing path has to accept a connection before
// the file counts as left over. A connection to a unix socket is made by the kernel.
const staleDial = time.Second

// Listen opens the listener that l describes. The file of a unix socket that no process listens at is replaced;
// mode, owner and group are set before anyone can connect. Errors name the address.
func Listen(l settings.Listen) (net.Listener, error) {
	network, address, err := l.Network()
	if err != nil {
		return nil, err
	}
	if network != "unix" {
		ln, err := net.Listen(network, address)
		if err != nil {
			return nil, fmt.Errorf("listen at %s: %w", address, err)
		}
		return ln, nil
	}
	mode, err := l.FileMode()
	if err != nil {
		return nil, err
	}
	uid, gid, err := ids(l.Owner, l.Group)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", address, err)
	}
	return openUnix(address, mode, uid, gid)
}

// openUnix listens at a path. uid and gid of -1 leave the owner.
func openUnix(path string, mode fs.FileMode, uid, gid int) (net.Listener, error) {
	if err := clearStale(path); err != nil {
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	// The mask keeps everyone out between bind and chmod.
	old := syscall.Umask(0o777)
	ln, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	if uid >= 0 || gid >= 0 {
		err = os.Chown(path, uid, gid)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		ln.Close()
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	return ln, nil
}

// clearStale removes a socket file that no process listens at. Any other file stays.
func clearStale(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode().Type() != fs.ModeSocket:
		return errNoSocket
	}
	c, err := net.DialTimeout("unix", path, staleDial)
	switch {
	case err == nil:
		c.Close()
		return ErrInUse
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	// Not accepted in time, or not permitted: somebody may well be there.
	return fmt.Errorf("%w, or may: %v", ErrInUse, err)
}

// ids looks up owner and group by name or number; -1 where none is given.
func ids(owner, group string) (uid, gid int, err error) {
	uid, gid = -1, -1
	if owner != "" {
		if uid, err = strconv.Atoi(owner); err != nil {
			u, err := user.Lookup(owner)
			if err != nil {
				return 0, 0, fmt.Errorf("owner: %w", err)
			}
			uid, _ = strconv.Atoi(u.Uid)
		}
	}
	if group != "" {
		if gid, err = strconv.Atoi(group); err != nil {
			g, err := user.LookupGroup(group)
			if err != nil {
				return 0, 0, fmt.Errorf("group: %w", err)
			}
			gid, _ = strconv.Atoi(g.Gid)
		}
	}
	return uid, gid, nil
}
