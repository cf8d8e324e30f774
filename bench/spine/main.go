// Command spine measures the way from the registry to the proxies:
//
//	registration   an instance is registered → the first request that a real
//	               Envoy routes to it, with each leg
//	fanout         a catalog change → the last of 100 streams has it, beside a
//	               raw gRPC send of the same bytes
//
// It prints a table and writes .bench/<name>.json for each. Run it with
// `make bench`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

var benchmarks = map[string]func(context.Context) (report, error){
	"registration": registration,
	"fanout":       fanout,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string) error {
	if len(names) == 0 {
		names = []string{"registration", "fanout"}
	}
	for _, name := range names {
		benchmark, known := benchmarks[name]
		if !known {
			return fmt.Errorf("no benchmark is called %q; there are registration and fanout", name)
		}
		result, err := benchmark(ctx)
		if errors.Is(err, context.Canceled) {
			return errors.New("interrupted")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := result.publish(os.Stdout); err != nil {
			return err
		}
	}
	return nil
}
