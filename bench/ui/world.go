package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heddle-mesh/heddle/bench/measured"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

const (
	emptyPath     = "/livez"
	instancesEach = 10
	tiers         = 8
	callee        = "hub-0" // everybody in the first tier calls it
	patience      = 2 * time.Minute
	settling      = 300 * time.Millisecond // for which a change has spread through the server before anybody asks
)

// world is a heddle server in a process of its own, and a whole mesh that is
// connected to it. An admin asks it.
type world struct {
	server *measured.Process
	store  *registry.Store // on the server's etcd
	url    string
	token  string
	client *http.Client // signed in
	ends   []func()
}

func (w *world) close() {
	for i := len(w.ends) - 1; i >= 0; i-- {
		w.ends[i]()
	}
}

func newWorld(ctx context.Context, program string, services int) (w *world, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	w = &world{client: &http.Client{Jar: jar, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	dir, err := os.MkdirTemp("", "heddle-bench-ui-")
	if err != nil {
		return w, err
	}
	w.ends = append(w.ends, func() { _ = os.RemoveAll(dir) })
	declared, seen := shop(services)
	data := filepath.Join(dir, "data")
	if err := fill(ctx, data, declared); err != nil {
		return w, fmt.Errorf("fill etcd: %w", err)
	}
	xds, err := w.start(ctx, program, dir, data)
	if err != nil {
		return w, err
	}
	if err := w.connect(ctx, xds, declared, seen); err != nil {
		return w, fmt.Errorf("connect the sidecars: %w: %s", err, w.server.Said())
	}
	return w, w.signIn(ctx)
}

// start runs the server, and gives its xDS address.
func (w *world) start(ctx context.Context, program, dir, data string) (xds string, err error) {
	ready, token := filepath.Join(dir, "ready.json"), filepath.Join(dir, "token")
	w.server, err = measured.Start(exec.CommandContext(ctx, program, "--log-level", "warn", "server", "--data-dir", data, "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0",
		"--ready-file", ready, "--admin-token-file", token), filepath.Join(dir, "heddle.log"))
	if err != nil {
		return "", err
	}
	w.ends = append(w.ends, w.server.Stop)
	said, err := w.server.Await(ctx, ready, patience)
	if err != nil {
		return "", err
	}
	var at struct{ XDS, REST string }
	if err := json.Unmarshal([]byte(said), &at); err != nil {
		return "", err
	}
	secret, err := os.ReadFile(token)
	if err != nil {
		return "", err
	}
	w.url, w.token = strings.TrimSuffix(at.REST, "/"), strings.TrimSpace(string(secret))
	if w.store, err = registry.Open(ctx, registry.Config{Endpoints: []string{"unix://" + filepath.Join(data, "etcd.sock")}}); err != nil {
		return "", err
	}
	w.ends = append(w.ends, func() { _ = w.store.Close(); w.client.CloseIdleConnections() })
	return at.XDS, nil
}

// signIn signs in as people do, for the pages; questions to the API carry the token.
func (w *world) signIn(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/ui/sign-in", strings.NewReader(url.Values{"token": {w.token}}.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := w.client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err == nil && !strings.Contains(string(page), "Sign out") {
		err = errors.New("signing in: the page says " + string(page))
	}
	return err
}

// change registers one more instance, and waits until that has spread.
func (w *world) change(ctx context.Context, n int) error {
	more := mesh.Instance{ID: mesh.InstanceID(fmt.Sprintf("more-%d", n)), Service: callee, Address: fmt.Sprintf("10.255.%d.%d", n>>8, n&255), Port: 8080, Health: mesh.Healthy}
	if _, err := w.store.Register(ctx, []mesh.Instance{more}, time.Hour, by); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settling):
		return nil
	}
}

// shop makes services in tiers, which call the next tier, and a few hubs that many
// call; two of three calls are seen, by the names of callers.
func shop(services int) (declared []mesh.Service, seen map[mesh.ServiceName][]mesh.ServiceName) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same mesh each time
	seen = map[mesh.ServiceName][]mesh.ServiceName{}
	hubs := max(1, services/80)
	name := func(i int) mesh.ServiceName {
		if i >= services-hubs {
			return mesh.ServiceName(fmt.Sprintf("hub-%d", i-(services-hubs)))
		}
		return mesh.ServiceName(fmt.Sprintf("service-%d", i))
	}
	for i := range services {
		one := mesh.Service{Name: name(i), Owner: fmt.Sprintf("team-%d", i%40), Description: "One of many.", Protocol: mesh.HTTP, Port: 8080, Dependencies: []mesh.ServiceName{}}
		calls := map[mesh.ServiceName]bool{}
		if next := (i*tiers/services + 1) * services / tiers; next < services {
			if i < services/tiers {
				calls[callee] = true
			}
			for len(calls) < 5 {
				to := next + random.IntN(services-next)%(2*services/tiers)
				if random.IntN(5) == 0 {
					to = services - 1 - random.IntN(hubs)
				}
				calls[name(to)] = true
			}
		}
		for to := range services {
			if calls[name(to)] {
				one.Dependencies = append(one.Dependencies, name(to))
			}
		}
		for k, to := range one.Dependencies {
			if k%3 > 0 {
				seen[one.Name] = append(seen[one.Name], to)
			}
		}
		declared = append(declared, one)
	}
	return declared, seen
}

var by = registry.Write{Author: "bench", Source: "rest"}

// fill writes the mesh before the server starts: each service three times, so that
// there are histories, and an audit of some thousand entries.
func fill(ctx context.Context, data string, declared []mesh.Service) error {
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
	for i, one := range declared {
		group.Go(func() error {
			for _, text := range []string{"One of many.", "One of very many.", one.Description} {
				one.Description = text
				if _, err := store.PutService(ctx, one, by); err != nil {
					return err
				}
			}
			var batch []mesh.Instance
			for k := range instancesEach {
				batch = append(batch, mesh.Instance{
					ID: mesh.InstanceID(fmt.Sprintf("%s-%d", one.Name, k)), Service: one.Name, Port: 8080, Health: mesh.Healthy,
					Address: fmt.Sprintf("10.%d.%d.%d", i>>8, i&255, k+1),
				})
			}
			_, err := store.Register(ctx, batch, time.Hour, by)
			return err
		})
	}
	return group.Wait()
}
