package agentcli

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/agent"
	"github.com/heddle-mesh/heddle/internal/agent/health"
	"github.com/heddle-mesh/heddle/internal/hosts"
)

// checkFlags is how an agent checks what its host runs.
type checkFlags struct {
	DefaultCheck   string        `default:"tcp" placeholder:"KIND [ARGS]" help:"How services are checked that do not say: tcp (a connection to the first port; the default), http, grpc, exec or none. \"http /version\" is what Sidecar does."`
	CheckInterval  time.Duration `default:"3s" placeholder:"DURATION" help:"How often services are checked that do not say. Default: 3s."`
	CheckTimeout   time.Duration `default:"2s" placeholder:"DURATION" help:"How long a check may take, at most its interval. Default: 2s."`
	CheckHealthy   int           `default:"1" placeholder:"N" help:"So many successes in a row make a service healthy. Default: 1."`
	CheckUnhealthy int           `default:"2" placeholder:"N" help:"So many failures in a row make a service unhealthy. Default: 2."`
	CheckWorkers   int           `default:"32" placeholder:"N" help:"How many checks are made at a time. Default: 32."`
}

// checked has the services of sources checked.
func (c *checkFlags) checked(host string, sources []agent.Source, log *slog.Logger) ([]agent.Source, error) {
	word, args, _ := strings.Cut(strings.TrimSpace(c.DefaultCheck), " ")
	kind, err := hosts.ParseCheckKind(word)
	switch {
	case err != nil:
		return nil, &cli.UsageError{Message: "--default-check: " + err.Error()}
	case c.CheckInterval < hosts.LeastInterval:
		return nil, &cli.UsageError{Message: fmt.Sprintf("--check-interval %s: use %s or more", c.CheckInterval, hosts.LeastInterval)}
	case c.CheckTimeout <= 0 || c.CheckTimeout > c.CheckInterval:
		return nil, &cli.UsageError{Message: fmt.Sprintf("--check-timeout %s: use more than 0 and at most --check-interval, %s", c.CheckTimeout, c.CheckInterval)}
	case c.CheckHealthy < 1 || c.CheckUnhealthy < 1:
		return nil, &cli.UsageError{Message: "--check-healthy and --check-unhealthy: use 1 or more"}
	case c.CheckWorkers < 2:
		return nil, &cli.UsageError{Message: "--check-workers: use 2 or more"}
	}
	monitor := health.New(health.Config{
		Host: host, Workers: c.CheckWorkers, Environment: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, Logger: log,
		Defaults: hosts.Check{
			Kind: kind, Args: strings.TrimSpace(args), Interval: c.CheckInterval, Timeout: c.CheckTimeout,
			Healthy: c.CheckHealthy, Unhealthy: c.CheckUnhealthy,
		},
	})
	all := make([]agent.Source, len(sources))
	for i, source := range sources {
		all[i] = monitor.Wrap(source)
	}
	return all, nil
}
