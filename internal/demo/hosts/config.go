package hosts

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"

	"github.com/heddle-mesh/heddle/internal/dockerd"
)

// Config says how a demo runs. Heddle, and Envoy or HAProxy, are required.
type Config struct {
	Heddle  string // path of the heddle binary that the hosts run
	Envoy   string // path of their Envoy
	HAProxy string // path of the HAProxy that they have instead

	WithoutDocker bool // services are plain processes
	Stay          bool // stay until the context ends, instead of playing the scenario
	JSON          bool // the result as one JSON object on Out, and nothing else there

	// Hurry, if given, has the demo end its processes at once, not in order, when
	// it is closed.
	Hurry <-chan struct{}

	Out io.Writer // default: discard
	Err io.Writer // default: discard
}

func (c Config) withDefaults() (Config, error) {
	needed := map[string]string{"the heddle binary": c.Heddle, "Envoy": c.Envoy}
	if c.HAProxy != "" {
		needed = map[string]string{"the heddle binary": c.Heddle, "HAProxy": c.HAProxy}
	}
	for what, path := range needed {
		if _, err := exec.LookPath(path); err != nil {
			return c, fmt.Errorf("run the demo: %s: %w", what, err)
		}
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	if c.Err == nil {
		c.Err = io.Discard
	}
	return c, c.possible()
}

// possible says what this machine lacks, and how to get it.
func (c Config) possible() error {
	switch {
	case runtime.GOOS != "linux":
		return errors.New("hosts are network namespaces, which only Linux has: run the demo in a virtual machine with Linux")
	case os.Geteuid() != 0:
		return errors.New("hosts are network namespaces, which only root makes: run it with sudo")
	}
	for program, of := range map[string]string{"ip": "iproute2", "nsenter": "util-linux"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("there is no program %s on this machine: apt install %s", program, of)
		}
	}
	if c.WithoutDocker {
		return nil
	}
	if lacks := dockerd.Lacks(); lacks != "" {
		return fmt.Errorf("there is no program %s on this machine, which the hosts' container engines need: apt install docker.io iptables, or see the demo with plain processes: --without-docker", lacks)
	}
	return nil
}

// proxy names what serves the hosts.
func (c Config) proxy() string {
	if c.HAProxy != "" {
		return "HAProxy"
	}
	return "Envoy"
}

// proxyFlags have an agent run it.
func (c Config) proxyFlags() []string {
	if c.HAProxy != "" {
		return []string{"--proxy", "haproxy", "--haproxy", c.HAProxy}
	}
	return []string{"--envoy", c.Envoy}
}

// progress is where a person follows what happens.
func (c Config) progress() io.Writer {
	if c.JSON {
		return c.Err
	}
	return c.Out
}
