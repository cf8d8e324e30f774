package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/bench/measured"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// heddle is a `heddle server` with its own etcd. Changes are written to that
// etcd, past the REST API. A change's moment is when a watch of this program
// sees it: the server's own watch is told at the same time.
type heddle struct {
	child  *measured.Process
	at     string // of xDS
	rest   string // URL
	store  *registry.Store
	cancel context.CancelFunc
	work   sync.WaitGroup
	epochs map[mesh.InstanceKey]string
	seen   chan sighting
}

// sighting is a change that the watch saw.
type sighting struct {
	key    mesh.InstanceKey
	health mesh.Health
	at     time.Time
}

// write names the author of what the benchmark writes.
func write() registry.Write { return registry.Write{Author: "bench"} }

func startHeddle(ctx context.Context, o options, dir string, w world) (_ server, err error) {
	h := &heddle{epochs: map[mesh.InstanceKey]string{}, seen: make(chan sighting, 1024)}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	data := filepath.Join(dir, "data")
	if err := h.fill(ctx, data, w); err != nil {
		return nil, fmt.Errorf("fill etcd: %w", err)
	}
	ready := filepath.Join(dir, "ready.json")
	args := []string{"server", "--data-dir", data, "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0",
		"--ready-file", ready, "--admin-token-file", filepath.Join(dir, "token")}
	if o.pprof != "" {
		args = append(args, "--pprof", o.pprof)
	}
	if h.child, err = measured.Start(exec.CommandContext(ctx, o.heddle, args...), filepath.Join(dir, "heddle.log")); err != nil {
		return nil, err
	}
	if err = h.awaitReady(ctx, ready); err != nil {
		return nil, err
	}
	h.store, err = registry.Open(ctx, registry.Config{Endpoints: []string{"unix://" + filepath.Join(data, "etcd.sock")}})
	if err != nil {
		return nil, err
	}
	return h, h.watch(ctx)
}

// fill writes the world before the server starts.
func (h *heddle) fill(ctx context.Context, data string, w world) error {
	etcd, err := registry.StartEmbedded(ctx, registry.EmbeddedConfig{DataDir: data})
	if err != nil {
		return err
	}
	defer etcd.Close()
	store, err := etcd.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for _, s := range w.services {
		group.Go(func() error {
			_, err := store.PutService(ctx, s, write())
			return err
		})
	}
	var mu sync.Mutex // guards h.epochs
	for from := 0; from < len(w.instances); from += registry.MaxBatch {
		some := w.instances[from:min(from+registry.MaxBatch, len(w.instances))]
		group.Go(func() error {
			registered, err := store.Register(ctx, some, registry.MaxTTL, write())
			mu.Lock()
			defer mu.Unlock()
			for _, one := range registered {
				h.epochs[one.Key()] = one.Epoch
			}
			return err
		})
	}
	return group.Wait()
}

func (h *heddle) awaitReady(ctx context.Context, file string) error {
	said, err := h.child.Await(ctx, file, patience)
	if err != nil {
		return err
	}
	var found struct {
		XDS  string `json:"xds"`
		REST string `json:"rest"`
	}
	err = json.Unmarshal([]byte(said), &found)
	h.at, h.rest = found.XDS, found.REST
	return err
}

// watch follows etcd until close; it returns when the watch is complete.
func (h *heddle) watch(ctx context.Context) error {
	ctx, h.cancel = context.WithCancel(ctx)
	synced := make(chan struct{})
	h.work.Go(func() {
		whole := false
		h.store.Watch(ctx, registry.WatchConfig{}, func(b registry.Batch) {
			now := time.Now()
			if b.Synced && !whole {
				whole = true
				close(synced)
				return
			}
			for _, c := range b.Changes {
				if c.Instance != nil && whole {
					h.seen <- sighting{key: c.Instance.Key(), health: c.Instance.Health, at: now}
				}
			}
		})
	})
	select {
	case <-synced:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("etcd of heddle server could not be followed within %s", patience)
	}
}

func (h *heddle) name() string               { return "heddle" }
func (h *heddle) address() string            { return h.at }
func (h *heddle) process() *measured.Process { return h.child }

func (h *heddle) change(ctx context.Context, service string, drained bool) (time.Time, error) {
	key := mesh.InstanceKey{Service: mesh.ServiceName(service), ID: "i0"}
	health := mesh.Healthy
	if drained {
		health = mesh.Draining
	}
	if _, err := h.store.SetHealth(ctx, key, h.epochs[key], health, write()); err != nil {
		return time.Time{}, err
	}
	for {
		select {
		case one := <-h.seen:
			if one.key == key && one.health == health {
				return one.at, nil
			}
		case <-time.After(10 * time.Second):
			return time.Time{}, fmt.Errorf("the watch did not see the change of %s", key)
		}
	}
}

// woken is how many times the server woke a stream because of an update.
func (h *heddle) woken(ctx context.Context) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.rest+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := (&http.Client{Timeout: patience}).Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, is := strings.CutPrefix(lines.Text(), "heddle_xds_streams_woken_total "); is {
			n, err := strconv.ParseFloat(value, 64)
			return int64(n), err
		}
	}
	return 0, fmt.Errorf("%s/metrics (%s) does not say how many streams were woken", h.rest, response.Status)
}

func (h *heddle) close() {
	if h.cancel != nil {
		h.cancel()
		h.work.Wait()
	}
	if h.store != nil {
		_ = h.store.Close()
	}
	if h.child != nil {
		h.child.Stop()
	}
}
