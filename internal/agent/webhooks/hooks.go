package webhooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// Config is what listeners are told from.
type Config struct {
	State func() *hosts.State
	Watch func() Watch
	// Local gives what this host runs, with the Listener of each.
	Local  func() []hosts.Service
	URLs   []string // that are told whatever runs here; see [CheckURL]
	Logger *slog.Logger
}

// Watch wakes when there is a snapshot which was not seen.
type Watch interface {
	Wait(ctx context.Context) (*hosts.State, error)
	Close()
}

// Hooks tell listeners.
type Hooks struct {
	cfg Config
}

// New puts them together, and starts nothing.
func New(cfg Config) *Hooks { return &Hooks{cfg: cfg} }

// lookAgain is how often it is looked whether this host's listeners are others.
const lookAgain = time.Second

// Run tells listeners until ctx ends.
func (h *Hooks) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	ends := map[string]context.CancelFunc{} // by URL
	refused := map[string]string{}
	for {
		wanted, wrong := h.wanted()
		for name, reason := range wrong {
			if refused[name] != reason {
				h.cfg.Logger.Warn("a service is not told of changes", "service", name, "reason", reason)
			}
		}
		refused = wrong
		for address, end := range ends {
			if _, still := wanted[address]; !still {
				h.cfg.Logger.Info("a listener is told of changes no more", "url", address)
				end()
				delete(ends, address)
			}
		}
		for address := range wanted {
			if _, runs := ends[address]; runs {
				continue
			}
			h.cfg.Logger.Info("a listener is told of changes", "url", address)
			one, end := context.WithCancel(ctx)
			ends[address] = end
			running.Go(func() { newListener(address, h.cfg).run(one) })
		}
		select {
		case <-ctx.Done():
			for _, end := range ends {
				end()
			}
			return nil
		case <-time.After(lookAgain):
		}
	}
}

// wanted gives the listeners that there are to be, and why services are not among them.
func (h *Hooks) wanted() (wanted map[string]struct{}, refused map[string]string) {
	wanted, refused = map[string]struct{}{}, map[string]string{}
	for _, address := range h.cfg.URLs {
		wanted[address] = struct{}{}
	}
	for _, s := range h.cfg.Local() {
		if s.Listener == "" {
			continue
		}
		if err := itsOwn(s); err != nil {
			refused[s.ID+" ("+s.Name+")"] = err.Error()
			continue
		}
		wanted[s.Listener] = struct{}{}
	}
	return wanted, refused
}

// CheckURL says what is wrong with a listener's URL.
func CheckURL(address string) error {
	parsed, err := url.Parse(address)
	switch {
	case err != nil:
		return err
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return errors.New("it is not of the form http://HOST:PORT/PATH")
	case parsed.Hostname() == "":
		return errors.New("it names no host")
	case parsed.User != nil:
		return errors.New("it has a user or a password in it, which logs would show")
	}
	return nil
}

// itsOwn makes sure that a service listens at an address and a port of its own: who may
// label a container must not have the agent post to whatever the host reaches.
func itsOwn(s hosts.Service) error {
	parsed, err := url.Parse(s.Listener)
	if err != nil || parsed.Scheme != "http" || parsed.User != nil {
		return fmt.Errorf("its listener %q is not of the form http://IP:PORT/PATH", s.Listener)
	}
	address, err := netip.ParseAddr(parsed.Hostname())
	if err != nil {
		return fmt.Errorf("its listener %q is not at an IP address", s.Listener)
	}
	port, err := strconv.ParseUint(parsed.Port(), 10, 16)
	if err != nil {
		return fmt.Errorf("its listener %q names no port", s.Listener)
	}
	if s.Has(netip.AddrPortFrom(address, uint16(port))) {
		return nil
	}
	return fmt.Errorf("its listener %q is not at an address and a TCP port of its own", s.Listener)
}
