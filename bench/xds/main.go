package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
)

// options say what is run, and with which programs.
type options struct {
	only   []string // servers; empty: all
	sizes  []string // empty: all
	heddle string   // path
	peers  string   // path
	rounds int      // changes for each of the quick servers
	pprof  string   // where heddle serves its profiles; "": nowhere
}

func (o options) runs(server string) bool { return len(o.only) == 0 || slices.Contains(o.only, server) }

func (o options) sized(size string) bool { return len(o.sizes) == 0 || slices.Contains(o.sizes, size) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if len(os.Args) == 3 && os.Args[1] == floorCommand {
		err = serveFloor(ctx, os.Args[2])
	} else {
		err = run(ctx, os.Args[1:])
	}
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench-xds:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench-xds", flag.ContinueOnError)
	only := flags.String("only", "", "servers to measure: floor, linear, snapshot, heddle, heddle-scoped; default all")
	size := flags.String("size", "", "sizes to measure: small, large, scoped; default all")
	o := options{}
	flags.StringVar(&o.heddle, "heddle", "bin/heddle", "the heddle program")
	flags.StringVar(&o.peers, "peers", "bin/bench-xds-peers", "the program of the peers (bench/xds/peers)")
	flags.IntVar(&o.rounds, "rounds", 15, "changes for each of the quick servers")
	flags.StringVar(&o.pprof, "pprof", "", "HOST:PORT where heddle serves its profiles meanwhile")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.only, o.sizes = list(*only), list(*size)
	debug.SetGCPercent(400) // the clients are not what is measured
	r := newReport()
	for _, one := range []shape{{"small", 200, 100}, {"large", 1000, 1000}} {
		if o.sized(one.name) {
			if err := measureAll(ctx, o, one, r); err != nil {
				return fmt.Errorf("%d services, %d streams: %w", one.services, one.streams, err)
			}
		}
	}
	if o.sized("scoped") && o.runs("heddle-scoped") {
		if err := measureScoped(ctx, o, r); err != nil {
			return fmt.Errorf("scoped: %w", err)
		}
	}
	return r.publish(os.Stdout)
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}
