package upstream

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/internal/text"
)

// ResolvConfPath is where the host's resolvers are written down on Unix.
const ResolvConfPath = "/etc/resolv.conf"

// Limits of a resolv.conf file.
const (
	maxResolvConf    = 64 << 10 // octets read; real files have a few hundred
	maxSystemServers = 3        // MAXNS of resolv.conf(5): further lines are ignored by everyone
)

// A SystemConfig holds the settings of a resolv.conf file that mxauth uses.
type SystemConfig struct {
	// Servers are the addresses of the nameserver lines in their order, all at port 53,
	// link-local ones with their zone. Where there is no line, or no file, they are the
	// one that resolv.conf(5) names then: 127.0.0.1.
	Servers []netip.AddrPort
	// TrustAD says that the file has `options trust-ad` (glibc 2.31): its author takes the
	// resolvers and the way to them as safe.
	TrustAD bool
	// Stub says that the only server is the stub of systemd-resolved (127.0.0.53 or
	// 127.0.0.54), which gives no DNSSEC records on behalf of most of its upstreams
	// unless DNSSEC= is set in resolved.conf.
	Stub bool
	// Missing says that there was no file.
	Missing bool
	// Ignored holds the lines that could not be read as what they claim to be, escaped.
	Ignored []string
}

// systemd-resolved listens there (systemd-resolved.service(8)).
var (
	resolvedStub  = netip.AddrFrom4([4]byte{127, 0, 0, 53})
	resolvedProxy = netip.AddrFrom4([4]byte{127, 0, 0, 54})
	loopback4     = netip.AddrFrom4([4]byte{127, 0, 0, 1})
)

// SystemServers reads a resolv.conf file; "" means [ResolvConfPath]. A missing file is no
// error: see [SystemConfig]. Nothing is read but `nameserver` and the option `trust-ad`:
// search lists and ndots do not apply, since every name that mxauth asks for is absolute,
// and timeouts and rotation are its own.
func SystemServers(path string) (SystemConfig, error) {
	if path == "" {
		path = ResolvConfPath
	}
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		cfg, _ := ParseResolvConf(strings.NewReader(""))
		cfg.Missing = true
		return cfg, nil
	case err != nil:
		return SystemConfig{}, fault.Errorf("upstream", "the host's resolvers cannot be read: %w", err)
	}
	defer f.Close()
	cfg, err := ParseResolvConf(f)
	if err != nil {
		return SystemConfig{}, fault.Errorf("upstream", "%s: %w", path, err)
	}
	return cfg, nil
}

// ParseResolvConf reads the text of a resolv.conf file; see [SystemServers]. Its only
// errors are those of r.
func ParseResolvConf(r io.Reader) (SystemConfig, error) {
	var cfg SystemConfig
	sc := bufio.NewScanner(io.LimitReader(r, maxResolvConf))
	sc.Buffer(make([]byte, 0, 4096), maxResolvConf+1)
	for sc.Scan() {
		switch f := strings.Fields(sc.Text()); {
		case len(f) == 0: // comments begin with another word than the two below
		case f[0] == "nameserver":
			cfg.addServer(f)
		case f[0] == "options":
			for _, o := range f[1:] {
				cfg.TrustAD = cfg.TrustAD || o == "trust-ad"
			}
		}
	}
	if err := sc.Err(); err != nil {
		return SystemConfig{}, err
	}
	if len(cfg.Servers) == 0 {
		cfg.Servers = []netip.AddrPort{netip.AddrPortFrom(loopback4, 53)}
	}
	a := cfg.Servers[0].Addr()
	cfg.Stub = len(cfg.Servers) == 1 && (a == resolvedStub || a == resolvedProxy)
	return cfg, nil
}

func (cfg *SystemConfig) addServer(f []string) {
	if len(f) > 1 {
		if a, err := netip.ParseAddr(f[1]); err == nil {
			if len(cfg.Servers) < maxSystemServers {
				cfg.Servers = append(cfg.Servers, netip.AddrPortFrom(a.Unmap(), 53))
			}
			return
		}
	}
	const most = 100
	if len(cfg.Ignored) < maxSystemServers {
		cfg.Ignored = append(cfg.Ignored, text.ASCII(strings.Join(f, " "), most))
	}
}
