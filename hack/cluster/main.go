// Command cluster runs the Kubernetes API without hosts until it is told to end, and
// writes where its kubeconfig is into a file: hack/cluster.sh starts it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/heddle-mesh/heddle/internal/kubetest"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: cluster FILE: where the path of the kubeconfig is written once the cluster answers")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return kubetest.Up(ctx, func(kubeconfig string) error {
		if err := os.WriteFile(file+".new", []byte(kubeconfig+"\n"), 0o600); err != nil {
			return err
		}
		return os.Rename(file+".new", file)
	})
}
