package httpdoor

import (
	"net"
	"strconv"
	"syscall"
)

// peerUser returns the user at the other end of a unix socket; "" if that is not known.
func peerUser(c net.Conn) string {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ""
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return ""
	}
	user := ""
	_ = raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			user = strconv.FormatUint(uint64(cred.Uid), 10)
		}
	})
	return user
}
