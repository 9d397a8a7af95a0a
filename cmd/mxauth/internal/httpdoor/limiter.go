package httpdoor

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Limits of checks. A check connects to hosts that the client names, which are not to be
// bothered in its stead.
const (
	// checksPerMinute is how many checks one client may begin in a minute.
	checksPerMinute = 6
	// maxProbes is how many checks run side by side.
	maxProbes = 8
	// maxClients is how many clients are remembered; one that is forgotten begins afresh.
	maxClients = 4096
)

// A limiter counts the checks of clients. It may be used by many goroutines at once.
type limiter struct {
	mu      sync.Mutex // guards clients
	clients *simplelru.LRU[string, *bucket]
}

// A bucket has a token for each check that may begin at once.
type bucket struct {
	tokens float64
	at     time.Time
}

func newLimiter() *limiter {
	clients, err := simplelru.NewLRU[string, *bucket](maxClients, nil)
	if err != nil {
		panic(err) // a constant
	}
	return &limiter{clients: clients}
}

// take takes a token of a client, or returns after which time there is one.
func (l *limiter) take(client string, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.clients.Get(client)
	if !ok {
		b = &bucket{tokens: checksPerMinute, at: now}
		l.clients.Add(client, b)
	}
	const each = time.Minute / checksPerMinute
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(checksPerMinute, b.tokens+float64(passed)/float64(each))
	}
	b.at = now
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) * float64(each))
	}
	b.tokens--
	return 0
}

// peerKey is the key of the connection's peer in a context.
type peerKey struct{}

// withPeer is [http.Server].ConnContext. It keeps the user at the other end of a unix socket.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if user := peerUser(c); user != "" {
		return context.WithValue(ctx, peerKey{}, user)
	}
	return ctx
}

// clientOf names the client of a request: by its address, a /64 of IPv6, or by its user on
// a unix socket; all others on such a socket are one.
func clientOf(r *http.Request) string {
	if user, ok := r.Context().Value(peerKey{}).(string); ok {
		return "user " + user
	}
	p, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	a := p.Addr().Unmap().WithZone("")
	if a.Is6() {
		if net, err := a.Prefix(64); err == nil {
			return net.String()
		}
	}
	return a.String()
}
