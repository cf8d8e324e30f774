package proxy_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
)

// childVariable turns this test binary into a runner in a process of its own,
// which can be killed. It holds the Envoy, the control plane and a port.
const childVariable = "HEDDLE_TEST_SIDECAR"

// runChild prints the id of its Envoy once that serves, and stays.
func runChild(arguments string) int {
	config := proxy.Config{
		Bootstrap: proxy.BootstrapConfig{Proxy: mesh.Proxy{Service: "orders", Instance: "orders-1"}, XDS: []string{""}},
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Report: func(status proxy.Status) {
			churnThreads()
			fmt.Println(status.PID)
		},
	}
	if _, err := fmt.Sscan(arguments, &config.Envoy, &config.Bootstrap.XDS[0], &config.Bootstrap.Proxy.OutboundPort); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	runner, err := proxy.New(config)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience) // the parent kills it long before
		defer cancel()
		err = runner.Run(ctx)
	}
	fmt.Fprintln(os.Stderr, "the child ends:", err)
	return 1
}

// churnThreads has the Go runtime end threads, as it does in a long life: none
// of them may be the one that Envoy's life is tied to.
func churnThreads() {
	const threads = 64
	var locked sync.WaitGroup
	locked.Add(threads)
	for range threads {
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			locked.Done()
			locked.Wait() // until all are there: each on a thread of its own
		}()
	}
}
