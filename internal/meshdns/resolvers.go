package meshdns

import (
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// resolvers are those that resolv.conf names, as it is now.
type resolvers struct {
	path string
	port uint16
	now  func() time.Time

	mu      sync.Mutex
	read    time.Time                    // guarded by mu; when the file was looked at
	changed time.Time                    // guarded by mu; of the file
	size    int64                        // guarded by mu
	known   []netip.AddrPort             // guarded by mu; nil: never read
	failing map[netip.AddrPort]time.Time // guarded by mu; when each failed last
}

const (
	// lookAgain is how long the file is not looked at again.
	lookAgain = 2 * time.Second
	// shun is how long one that did not answer is asked after the others.
	shun = 10 * time.Second
)

// list gives them in the order in which they are to be asked.
func (r *resolvers) list() ([]netip.AddrPort, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if now.Sub(r.read) > lookAgain || r.known == nil {
		if err := r.load(); err != nil && r.known == nil {
			return nil, err
		}
		r.read = now
	}
	var good, bad []netip.AddrPort
	for _, one := range r.known {
		if failed, is := r.failing[one]; is && now.Sub(failed) < shun {
			bad = append(bad, one)
		} else {
			good = append(good, one)
		}
	}
	return append(good, bad...), nil
}

// load reads the file if it is another than before. The caller holds mu.
func (r *resolvers) load() error {
	info, err := os.Stat(r.path)
	if err != nil {
		return fmt.Errorf("read the resolvers: %w", err)
	}
	if r.known != nil && info.ModTime().Equal(r.changed) && info.Size() == r.size {
		return nil
	}
	named, err := Resolvers(r.path)
	if err != nil {
		return err
	}
	r.changed, r.size, r.known = info.ModTime(), info.Size(), []netip.AddrPort{}
	for _, one := range named {
		r.known = append(r.known, netip.AddrPortFrom(one, r.port))
	}
	return nil
}

// Resolvers are those that a resolv.conf names.
func Resolvers(path string) ([]netip.Addr, error) {
	config, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the resolvers in %s: %w", path, err)
	}
	var list []netip.Addr
	for _, server := range config.Servers {
		if ip, err := netip.ParseAddr(server); err == nil {
			list = append(list, ip.Unmap())
		}
	}
	return list, nil
}

// failed notes one that did not answer.
func (r *resolvers) failed(one netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failing[one] = r.now()
}
