package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options say how much is run, and with which program.
type options struct {
	heddle string // path
	rounds int
	time   time.Duration // of one measurement
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if len(os.Args) == 3 && os.Args[1] == floorCommand {
		err = serveFloor(ctx, os.Args[2] == "token")
	} else {
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
	flags.IntVar(&o.rounds, "rounds", 5, "how often each is measured")
	flags.DurationVar(&o.time, "time", 2*time.Second, "how long each measurement takes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "heddle-bench-authz-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	subjects, err := startAll(ctx, o, dir)
	defer func() {
		for i := len(subjects) - 1; i >= 0; i-- {
			subjects[i].close()
		}
	}()
	if err != nil {
		return err
	}
	results, err := measureAll(ctx, o, subjects)
	if err != nil {
		return err
	}
	return publish(os.Stdout, results)
}
