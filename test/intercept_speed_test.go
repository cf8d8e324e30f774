package test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

var interceptRounds = flag.Int("intercept-rounds", 1, "rounds of TestInterceptionSpeed; make bench-interception has 10")

// ways are how a request of an application can go: to another service or to the
// outside, each with interception and without.
var ways = []struct{ name, url, host string }{
	{"mesh, by the sidecar's address", "http://127.0.0.1:15001/", "orders.mesh"},
	{"mesh, intercepted", "http://orders.mesh.:8080/", ""},
	{"outside, port excluded", "http://" + podHub + ":8089/", ""},
	{"outside, intercepted", "http://" + podHub + ":8088/", ""},
}

// TestInterceptionSpeed measures what `make bench-interception` shows: what it costs
// a request to be redirected by the kernel rather than sent to the sidecar, and an
// answer from outside of the mesh to come by way of the sidecar. The ways take turns.
func TestInterceptionSpeed(t *testing.T) {
	if _, err := exec.LookPath("iptables-restore"); err != nil {
		t.Skipf("not on this machine: %v", err)
	}
	if podsHub.Inside(t, 15*time.Minute, "-intercept-rounds", strconv.Itoa(*interceptRounds)) {
		interceptionSpeed(t)
	}
}

func interceptionSpeed(t *testing.T) {
	outsideWorld(t)
	s := startServer(t, "--tls-listen", podHub+":0", "--xds-tls-listen", podHub+":0", "--require-identity", "--mtls", "strict")
	orders := service("orders", mesh.HTTP)
	orders.Port = 8080
	s.declare(orders, service("web", mesh.HTTP, "orders"))
	called, web := newPod(t, s, 0, "orders", "--app-port", "8080"), newPod(t, s, 2, "web")
	called.intercepts(t, "--inbound-ports", "8080")
	web.intercepts(t, "--exclude-outbound-ports", "8089")
	called.startApp(t, "http 8080 orders here")
	called.startSidecar(t)
	web.startSidecar(t)

	type key struct {
		way  int
		kept bool
	}
	found := map[key][]tempo{}
	for range *interceptRounds {
		for i := range ways {
			for _, kept := range []bool{true, false} {
				found[key{i, kept}] = append(found[key{i, kept}], paced(t, web, i, kept))
			}
		}
	}
	fmt.Printf("| way | connections | requests/s | p50 ms | p99 ms |\n| --- | --- | --- | --- | --- |\n")
	for i, way := range ways {
		for _, kept := range []bool{true, false} {
			connections := map[bool]string{true: "kept", false: "new"}[kept]
			all := found[key{i, kept}]
			middle := func(of func(tempo) float64) float64 {
				var values []float64
				for _, one := range all {
					values = append(values, of(one))
				}
				slices.Sort(values)
				return values[len(values)/2]
			}
			fmt.Printf("| %s | %s | %.0f | %.3f | %.3f |\n", way.name, connections,
				middle(func(p tempo) float64 { return p.Rate }), middle(func(p tempo) float64 { return p.P50 }), middle(func(p tempo) float64 { return p.P99 }))
		}
	}
}

// tempo is how fast requests went, from one application and eight at a time.
type tempo struct{ Rate, P50, P99 float64 }

// paced has the pod's application make requests for a second.
func paced(t *testing.T, p *pod, way int, kept bool) tempo {
	t.Helper()
	command := p.in(appUID, filepath.Join(p.dir, "app"))
	command.Env = append(os.Environ(), podApp+"="+fmt.Sprintf("pace %d %t", way, kept))
	output, err := command.CombinedOutput()
	var got tempo
	if err == nil {
		err = json.Unmarshal(output, &got)
	}
	if err != nil || got.Rate == 0 {
		t.Fatalf("%s: %v: %s", ways[way].name, err, output)
	}
	return got
}

// runPace is the application's part.
func runPace(way, kept string) int {
	const atATime, lasts, warm = 8, time.Second, 200 * time.Millisecond
	number, err := strconv.Atoi(way)
	if err != nil {
		return 2
	}
	var mu sync.Mutex
	var took []float64
	var workers sync.WaitGroup
	began := time.Now()
	for range atATime {
		workers.Go(func() {
			client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: kept != "true"}}
			defer client.CloseIdleConnections()
			for time.Since(began) < warm+lasts {
				start := time.Now()
				if err := once(client, ways[number].url, ways[number].host); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				if start.Sub(began) < warm {
					continue
				}
				mu.Lock()
				took = append(took, time.Since(start).Seconds()*1000)
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	slices.Sort(took)
	_ = json.NewEncoder(os.Stdout).Encode(tempo{Rate: float64(len(took)) / lasts.Seconds(), P50: took[len(took)/2], P99: took[len(took)*99/100]})
	return 0
}

func once(client *http.Client, url, host string) error {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	request.Host = host
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body) // so that the connection can be kept
	return err
}
