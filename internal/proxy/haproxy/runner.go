package haproxy

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/time/rate"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
	"github.com/heddle-mesh/heddle/internal/scratch"
)

// Config is what one HAProxy runs with. Catalog, Host and HAProxy are required.
type Config struct {
	Catalog *catalog.Catalog
	Host    mesh.ServiceName // whose dependencies are served
	Address string           // IP on which listeners are; default 127.0.0.1
	Port    mesh.Port        // of calls by host name; default 15001
	HAProxy string           // path of the binary, see [Find]

	ReloadInterval time.Duration // between reloads at least; the first after a quiet time is at once; default 2 s
	DrainTimeout   time.Duration // longest wait for active requests at the end; default 10 s

	// Report, if given, hears of HAProxy each time that one has begun to serve.
	Report func(proxy.Status)
	// Problems, if given, hears all that is wrong, each time that it may be another.
	Problems func([]proxy.Problem)
	Logger   *slog.Logger // nil: no log
}

// Runner is one HAProxy, and what it serves.
type Runner struct {
	cfg      Config
	log      *slog.Logger
	settings settings

	// Of Run alone.
	folder  *scratch.Folder
	feed    *catalog.Feed
	view    *catalog.View
	plan    plan // all that view asks for
	process *process
	running plan // as HAProxy has it
	pace    *rate.Limiter
	broken  bool // a command failed: only a reload makes sure of what runs
	missing bool // a port is another's, so the service has no listener
	served  bool // some HAProxy did
	faults  faults
	keeper  keeper // of the configuration's file, whose other writers settle it before
}

// What the path of a Unix socket may have, and the generation up to which it has to do.
const (
	mostSocketPath  = 107 // bytes: unix(7), sun_path
	mostGenerations = 9_999_999
)

// mostThreads is how many of the machine's cores it takes, as Envoy does.
const mostThreads = 2

// unacknowledged is what Envoys of hosts give, too.
const unacknowledged = 3 * time.Second

// New checks the configuration, and starts nothing.
func New(cfg Config) (*Runner, error) {
	cfg.Address = cmp.Or(cfg.Address, mesh.DefaultLoopback)
	cfg.Port = cmp.Or(cfg.Port, mesh.DefaultOutboundPort)
	cfg.ReloadInterval = cmp.Or(cfg.ReloadInterval, 2*time.Second)
	cfg.DrainTimeout = cmp.Or(cfg.DrainTimeout, proxy.DefaultDrainTimeout)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	var f mesh.Faults
	address, err := netip.ParseAddr(cfg.Address)
	if err != nil || address.Zone() != "" {
		f.Add("address", "%q is not an IP address", cfg.Address)
	}
	if cfg.Port < 1 || cfg.Port > 65535 {
		f.Add("port", "%d is not a port: use 1 to 65535", cfg.Port)
	}
	if err := mesh.Invalid("run HAProxy", f); err != nil {
		return nil, err
	}
	trust := unacknowledged
	if runtime.GOOS != "linux" {
		trust = 0
	}
	return &Runner{
		cfg: cfg, log: cfg.Logger, faults: faults{unbound: map[mesh.Port]string{}}, pace: rate.NewLimiter(rate.Every(cfg.ReloadInterval), 1),
		settings: settings{Address: address.Unmap(), Outbound: cfg.Port, Threads: min(mostThreads, runtime.NumCPU()), Unacknowledged: trust},
	}, nil
}

// Run runs HAProxy until ctx ends, then lets it finish the requests that it has. It
// returns earlier, with an error, only for what shows at the start and waiting does not
// mend. When it returns, HAProxy, its folder and all goroutines are gone. It may be
// called once.
func (r *Runner) Run(ctx context.Context) error {
	if fault := proxy.PortFault(r.cfg.Address, r.cfg.Port); fault != "" {
		return &mesh.Error{Kind: mesh.KindInvalid, Message: "listen for calls by host name (--outbound-port): " + fault}
	}
	folder, err := proxy.MakeFolder(r.log)
	if err != nil {
		return fmt.Errorf("make a folder for HAProxy: %w", err)
	}
	r.folder = folder
	defer func() {
		if err := folder.Close(); err != nil {
			r.log.Warn("the folder of HAProxy cannot be removed", "folder", folder.Path, "error", err)
		}
	}()
	if longest := filepath.Join(folder.Path, socketName(mostGenerations)); len(longest) > mostSocketPath {
		return &mesh.Error{Kind: mesh.KindInvalid, Message: fmt.Sprintf("talk to HAProxy at %s: the path of a Unix socket has %d bytes at most: have TMPDIR name a folder with a shorter path", longest, mostSocketPath)}
	}
	r.feed = r.cfg.Catalog.Subscribe()
	defer r.feed.Close()
	defer r.keeper.settle()
	if err := r.keepRunning(ctx); err != nil {
		return err
	}
	r.leave(context.WithoutCancel(ctx))
	return nil
}

// write puts a configuration into its place in one step.
func (r *Runner) write(text []byte) error {
	beside := filepath.Join(r.folder.Path, configFile+".new")
	if err := os.WriteFile(beside, text, 0o600); err != nil {
		return err
	}
	return os.Rename(beside, filepath.Join(r.folder.Path, configFile))
}

// writeChecked does so with one that HAProxy takes, and leaves the last one otherwise.
func (r *Runner) writeChecked(ctx context.Context, text []byte) error {
	r.keeper.settle()
	name := configFile + ".checked"
	beside := filepath.Join(r.folder.Path, name)
	if err := os.WriteFile(beside, text, 0o600); err != nil {
		return err
	}
	if err := check(ctx, r.cfg.HAProxy, r.folder.Path, name); err != nil {
		return err
	}
	return os.Rename(beside, filepath.Join(r.folder.Path, configFile))
}
