package upstream

import (
	"github.com/mxauth/mxauth/internal/fault"
)

// System returns the servers of a resolv.conf file ("" for that of the host), as
// [SystemServers] reads it: plain DNS at port 53, in the order of the file, and
// 127.0.0.1 where it names none or does not exist. The SystemConfig comes with them for
// what it says in addition to the addresses.
func System(path string) ([]Server, SystemConfig, error) {
	cfg, err := SystemServers(path)
	if err != nil {
		return nil, cfg, err
	}
	var out []Server
	for _, ap := range cfg.Servers {
		s, err := PlainServer(ap)
		if err != nil {
			return nil, cfg, fault.Errorf("upstream", "%w", err)
		}
		out = append(out, s)
	}
	return out, cfg, nil
}
