package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options say how much is run, and with which program.
type options struct {
	heddle string // path
	envoy  string // path
	rounds int
	time   time.Duration // of one measurement
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == floorCommand:
		err = serveFloor(ctx, os.Args[2] == "token")
	case len(os.Args) == 2 && os.Args[1] == appCommand:
		err = serveApp(ctx)
	default:
		err = run(ctx, os.Args[1:])
	}
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench-authz:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench-authz", flag.ContinueOnError)
	o := options{}
	flags.StringVar(&o.heddle, "heddle", "bin/heddle", "the heddle program")
	flags.StringVar(&o.envoy, "envoy", ".tools/envoy/envoy", "the Envoy program")
	only := flags.String("only", "checks,mesh,validation", "which parts are run")
	flags.IntVar(&o.rounds, "rounds", 5, "how often each is measured")
	flags.DurationVar(&o.time, "time", 2*time.Second, "how long each measurement takes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if o.envoy, err = filepath.Abs(o.envoy); err != nil { // it runs in a folder of its own
		return err
	}
	dir, err := os.MkdirTemp("", "heddle-bench-authz-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	parts := map[string]func(context.Context, options, string) ([]row, error){"checks": measureChecks, "mesh": measureMesh, "validation": measureValidation}
	var results []row
	for _, name := range strings.Split(*only, ",") {
		part, known := parts[name]
		if !known {
			return fmt.Errorf("-only %s: there are checks, mesh and validation", name)
		}
		room := filepath.Join(dir, name)
		if err := os.Mkdir(room, 0o700); err != nil {
			return err
		}
		rows, err := part(ctx, o, room)
		if err != nil {
			return err
		}
		results = append(results, rows...)
	}
	return publish(os.Stdout, results)
}
