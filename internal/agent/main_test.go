package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/childtest"
	"github.com/heddle-mesh/heddle/internal/gossip"
	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/hosts"
)

const peerArgument = "run-as-peer"

// TestMain lets the test's own program be another host, which can then be killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == peerArgument {
		if err := runPeer(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// quick is how hosts of tests gossip.
func quick(name, address string, seeds ...string) gossip.Config {
	return gossip.Config{
		Name: name, Bind: netip.MustParseAddrPort(address), Seeds: seeds, Fleet: "tests", Keys: gossip.Keys{make([]byte, 32)},
		ProbeInterval: 100 * time.Millisecond, SyncInterval: 500 * time.Millisecond, RetryInterval: 200 * time.Millisecond,
	}
}

// runPeer is a host that says what it is told by lines, until they end.
func runPeer(name, address, seed string) error {
	node, err := gossip.New(quick(name, address, seed))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		entries := map[string][]byte{}
		if err := json.Unmarshal(lines.Bytes(), &entries); err != nil {
			return err
		}
		if err := node.Publish(entries); err != nil {
			return err
		}
	}
	cancel()
	return <-ended
}

// peer is another host, in a process of its own.
type peer struct {
	t             *testing.T
	name, address string
	child         *childtest.Child
	stdin         io.WriteCloser
}

func newPeer(t *testing.T, name string) *peer {
	return &peer{t: t, name: name, address: heddletest.Loopback(heddletest.FreePort(t))}
}

func (p *peer) start(seed string) {
	p.t.Helper()
	command := exec.Command(os.Args[0], peerArgument, p.name, p.address, seed)
	command.Stderr = os.Stderr
	var err error
	if p.stdin, err = command.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	if p.child, err = childtest.Start(command); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(p.child.Kill)
}

// says has it tell the fleet what it runs.
func (p *peer) says(list []hosts.Service) {
	p.t.Helper()
	entries := map[string][]byte{}
	for _, s := range list {
		body, err := s.Encode()
		if err != nil {
			p.t.Fatal(err)
		}
		entries[entry("test", s.ID)] = body
	}
	line, err := json.Marshal(entries)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		p.t.Fatal(err)
	}
}

// leave has it say good-bye.
func (p *peer) leave() {
	_ = p.stdin.Close()
	<-p.child.Exited()
}

// running is an agent of a test, with its xDS.
type running struct {
	*Agent
	xds  string
	stop func()
}

// source is told what to find.
type source struct {
	name  string
	lists chan []hosts.Service
}

func newSource(name string) *source { return &source{name, make(chan []hosts.Service)} }

func (s *source) Name() string { return s.name }

func (s *source) Run(ctx context.Context, found func([]hosts.Service)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case list := <-s.lists:
			found(list)
		}
	}
}

func start(t *testing.T, cfg Config) *running {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.XDS = listener
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := a.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	one := &running{Agent: a, xds: listener.Addr().String(), stop: sync.OnceFunc(func() { cancel(); done.Wait() })}
	t.Cleanup(one.stop)
	<-a.gossip.Ready()
	return one
}

// until waits until the snapshot is as it is to be.
func (r *running) until(t *testing.T, what string, is func(*hosts.State) error) {
	t.Helper()
	heddletest.Eventually(t, what, func() error { return is(r.State()) })
}
