//go:build !linux

package httpdoor

import "net"

// peerUser returns "": which user is at the other end of a unix socket is not known.
func peerUser(net.Conn) string { return "" }
