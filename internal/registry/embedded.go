package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// EmbeddedConfig says where an etcd inside this process keeps its data.
type EmbeddedConfig struct {
	DataDir string // made if it is not there; kept across restarts
	// Listen is a host:port where it listens for etcdctl (gRPC), without any
	// protection. Empty: only on a socket inside DataDir, which only this user
	// can reach.
	Listen  string
	Logger  *slog.Logger // default: discard
	Tracing Tracing      // of the stores that are opened on it
	// NoSync has it answer before the disk has what was written, which a machine that
	// stops would lose: for tests, whose disk may be busy for seconds.
	NoSync bool
}

// Embedded is an etcd of one member inside this process.
type Embedded struct {
	etcd    *embed.Etcd
	lock    *os.File
	sockets string // a folder of its own for the sockets, or ""
	client  string // URL
	logger  *slog.Logger
	once    sync.Once
	closing atomic.Bool // Close has begun
	streams *streamEnder
	tracing Tracing
}

// startTimeout bounds how long the etcd may take to read its data.
const startTimeout = 60 * time.Second

// StartEmbedded starts an etcd and returns once it takes writes.
func StartEmbedded(ctx context.Context, cfg EmbeddedConfig) (_ *Embedded, err error) {
	logger := cmp.Or(cfg.Logger, discard())
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "use the data folder " + cfg.DataDir, Err: err}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "make the data folder " + dir, Err: err}
	}
	e := &Embedded{logger: logger, streams: newStreamEnder(), tracing: cfg.Tracing}
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	if e.lock, err = lockFolder(dir); err != nil {
		return nil, err
	}
	socketDir := dir
	if len(dir) > 80 { // the path of a Unix socket has to be under 108 bytes
		if e.sockets, err = os.MkdirTemp("", "heddle-etcd-"); err != nil {
			return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "make a folder for etcd's sockets", Err: err}
		}
		socketDir = e.sockets
	}
	clientURL := url.URL{Scheme: "unix", Path: filepath.Join(socketDir, "etcd.sock")}
	// Its path is the host: etcd listens for peers on that part alone, and without
	// it on an abstract socket, which any user of the machine can reach.
	peerURL := url.URL{Scheme: "unix", Host: filepath.Join(socketDir, "peer.sock")}
	e.client = clientURL.String()

	ec := embed.NewConfig()
	ec.Name = "heddle"
	ec.Dir = filepath.Join(dir, "etcd")
	ec.ListenClientUrls, ec.AdvertiseClientUrls = []url.URL{clientURL}, []url.URL{clientURL}
	if cfg.Listen != "" {
		if _, _, err := net.SplitHostPort(cfg.Listen); err != nil {
			return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "listen for etcdctl on " + cfg.Listen, Err: err}
		}
		ec.ListenClientUrls = append(ec.ListenClientUrls, url.URL{Scheme: "http", Host: cfg.Listen})
	}
	// Its API over HTTP answers every web page that a browser on this machine shows
	// (Access-Control-Allow-Origin: *), and nothing of ours speaks it.
	ec.EnableGRPCGateway = false
	// No other member ever dials it; the advertised address only has to stay
	// the same, whatever the folder.
	ec.ListenPeerUrls = []url.URL{peerURL}
	ec.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "localhost:2380"}}
	ec.InitialCluster = ec.InitialClusterFromName(ec.Name)
	// There is nobody to lose an election to: short ticks make it lead at once,
	// and let leases of a second or two be kept to.
	ec.TickMs, ec.ElectionMs = 10, 100
	ec.AutoCompactionMode, ec.AutoCompactionRetention = embed.CompactorModePeriodic, "1h"
	ec.GRPCAdditionalServerOptions = []grpc.ServerOption{grpc.ChainStreamInterceptor(e.streams.intercept)}
	ec.UnsafeNoFsync = cfg.NoSync
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapUntil(&e.closing, logger))

	if e.etcd, err = embed.StartEtcd(ec); err != nil {
		return nil, mesh.Unavailable(err, "start the embedded etcd on %s", dir)
	}
	for _, socket := range []string{clientURL.Path, peerURL.Host} { // they ask for no password
		if err := os.Chmod(socket, 0o600); err != nil {
			return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "keep other users off etcd's socket", Err: err}
		}
	}
	select {
	case <-e.etcd.Server.ReadyNotify():
		return e, nil
	case err := <-e.etcd.Err():
		return nil, mesh.Unavailable(err, "start the embedded etcd on %s", dir)
	case <-time.After(startTimeout):
		return nil, mesh.Unavailable(nil, "start the embedded etcd on %s: it was not ready after %s", dir, startTimeout)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Endpoint is where the etcd is reached, for --endpoints of etcdctl.
func (e *Embedded) Endpoint() string { return e.client }

// Open makes a store on this etcd. The store has to be closed before it.
func (e *Embedded) Open(ctx context.Context) (*Store, error) {
	s, err := newStore(clientv3.Config{Endpoints: []string{e.client}}, Config{Logger: e.logger, Tracing: e.tracing})
	if err != nil {
		return nil, err
	}
	if err = s.Ping(ctx); err == nil {
		err = s.makeRoom(ctx, e.client)
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// Failed receives the reason if the etcd cannot go on.
func (e *Embedded) Failed() <-chan error { return e.etcd.Err() }

// Close stops the etcd and waits until it has. It may be called again.
func (e *Embedded) Close() { e.once.Do(e.close) }

func (e *Embedded) close() {
	e.closing.Store(true)
	e.streams.end()
	if e.etcd != nil {
		e.etcd.Close()
	}
	if e.lock != nil {
		_ = e.lock.Close() // gives up the lock
	}
	if e.sockets != "" {
		_ = os.RemoveAll(e.sockets)
	}
}

// lockFolder makes sure that no other server uses the folder; etcd itself would
// wait for it without a word.
func lockFolder(dir string) (*os.File, error) {
	name := filepath.Join(dir, "lock")
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: "lock the data folder", Err: err}
	}
	if err := tryLock(file); err != nil {
		_ = file.Close()
		if errors.Is(err, errLocked) {
			return nil, mesh.Conflict("the data folder %s is in use by another heddle server; stop that one, or use another --data-dir", dir)
		}
		return nil, &mesh.Error{Kind: mesh.KindInvalid, Message: fmt.Sprintf("lock %s", name), Err: err}
	}
	return file, nil
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
