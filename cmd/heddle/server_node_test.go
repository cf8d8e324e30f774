package main

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// TestAServerWhoseEtcdFailedEnds keeps a server from living on without its etcd,
// when something else could start it again.
func TestAServerWhoseEtcdFailedEnds(t *testing.T) {
	t.Parallel()
	etcd, err := registry.StartEmbedded(t.Context(), registry.EmbeddedConfig{NoSync: true, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	store, err := etcd.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	c := &serverCmd{Listen: "127.0.0.1:0", XDSListen: "127.0.0.1:0"}
	var ports serverPorts
	release, err := cli.ReadyFile{}.Claim(t.Context(), ports.of(c)...)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	node, err := newServerNode(c, ports, store, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	failed, ready, ended := make(chan error, 1), make(chan struct{}), make(chan error, 1)
	go func() { ended <- node.run(t.Context(), failed, func() error { close(ready); return nil }) }()
	<-ready
	failed <- errors.New("the disk is full")
	select {
	case err := <-ended:
		if mesh.KindOf(err) != mesh.KindUnavailable {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(2 * shutdownTime):
		t.Fatal("the server goes on without its etcd")
	}
}
