package lab

import "fmt"

// TLSA returns the data of a TLSA record made from the chain that a host of the lab
// shows: "3 1 1 leaf", in the words of [Host].TLSA.
func (l *Lab) TLSA(host, spec string) (string, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, w := range l.worlds {
		if c := w.state().chains[fqdn(host)]; c != nil {
			return c.tlsa(spec)
		}
	}
	return "", fmt.Errorf("lab: no host %q", host)
}
