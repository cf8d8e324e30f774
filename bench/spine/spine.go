package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/controlplane"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// spine is the whole way from etcd to xDS in this process, as heddle server
// puts it together.
type spine struct {
	store   *registry.Store
	catalog *catalog.Catalog
	address string // of xDS
	cancel  context.CancelFunc
	group   *errgroup.Group
	closers []func()

	mu    sync.Mutex
	marks map[int64]*marks // guarded by mu: by revision
}

// marks are the moments at which one revision passed the stages.
type marks struct{ watched, applied time.Time }

// stamper notes when a transaction has been applied.
type stamper struct {
	*xds.Server
	spine *spine
}

func (s stamper) Apply(u xds.Update) {
	s.Server.Apply(u)
	s.spine.mark(u.Revision, func(m *marks) { m.applied = time.Now() })
}

func startSpine(ctx context.Context) (_ *spine, err error) {
	s := &spine{marks: map[int64]*marks{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	dir, err := os.MkdirTemp("", "heddle-bench-")
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func() { _ = os.RemoveAll(dir) })
	etcd, err := registry.StartEmbedded(ctx, registry.EmbeddedConfig{DataDir: dir})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, etcd.Close)
	if s.store, err = etcd.Open(ctx); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func() { _ = s.store.Close() })

	listener, err := listenLoopback(ctx)
	if err != nil {
		return nil, err
	}
	s.address = listener.Addr().String()
	s.catalog = catalog.New(catalog.Config{})
	plane := controlplane.New(controlplane.Config{Catalog: s.catalog})
	server := xds.NewServer(xds.Config{Scopes: plane})
	grpcServer := grpc.NewServer(xds.ServerOptions()...)
	server.Register(grpcServer)

	ctx, s.cancel = context.WithCancel(ctx)
	s.group, ctx = errgroup.WithContext(ctx)
	s.group.Go(func() error {
		s.store.Watch(ctx, registry.WatchConfig{}, func(b registry.Batch) {
			s.mark(fmt.Sprint(b.Revision), func(m *marks) { m.watched = time.Now() })
			s.catalog.Apply(b.Revision, b.Synced, b.Changes)
		})
		return nil
	})
	s.group.Go(func() error { return plane.Run(ctx, stamper{server, s}) })
	s.group.Go(func() error { return grpcServer.Serve(listener) })
	s.group.Go(func() error {
		<-ctx.Done()
		grpcServer.Stop()
		return nil
	})
	return s, nil
}

// mark notes a moment of a revision.
func (s *spine) mark(revision string, note func(*marks)) {
	var number int64
	if _, err := fmt.Sscan(revision, &number); err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marks[number] == nil {
		s.marks[number] = &marks{}
	}
	note(s.marks[number])
}

// at gives the moments of a revision.
func (s *spine) at(revision int64) marks {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.marks[revision]; m != nil {
		return *m
	}
	return marks{}
}

func (s *spine) close() {
	if s.cancel != nil {
		s.cancel()
		_ = s.group.Wait()
	}
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
}

// declare writes the services of the benchmarks: caller calls target. It
// returns when the control plane knows them, which takes etcd up to 0.1 s for
// the first changes after a watch was opened.
func (s *spine) declare(ctx context.Context) error {
	for _, one := range []mesh.Service{
		{Name: "target", Owner: "bench", Protocol: mesh.HTTP, Port: 80, Dependencies: []mesh.ServiceName{}},
		{Name: "caller", Owner: "bench", Protocol: mesh.HTTP, Port: 81, Dependencies: []mesh.ServiceName{"target"}},
	} {
		if _, err := s.store.PutService(ctx, one, registry.Write{Author: "bench"}); err != nil {
			return err
		}
	}
	feed := s.catalog.Subscribe()
	defer feed.Close()
	for {
		view, _, err := feed.Wait(ctx)
		if err != nil {
			return err
		}
		if _, known := view.Service("caller"); known {
			return nil
		}
	}
}

// listenLoopback takes a free port of this machine.
func listenLoopback(ctx context.Context) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
}
