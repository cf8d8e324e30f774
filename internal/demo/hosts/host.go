package hosts

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

const (
	agentStart = 45 * time.Second // many start at once on few cores
	apiAddress = "127.0.0.1:7777"
	agentGrace = 20 * time.Second // its proxy finishes its requests
)

// service is what hosts run.
type service struct {
	name, mode string
	port       int // where it is called, on every host
}

// hostPort is where a plain process listens on its host.
func (s service) hostPort() int { return 20_000 + s.port }

func (s service) tcp() bool { return s.mode == "tcp" }

// services of each backend host.
func services() []service {
	return []service{{"web", "http", 8080}, {"api", "http", 8081}, {"db", "tcp", 5432}}
}

// whoami are the arguments of heddle that answers for a service on a host.
func whoami(s service, host, port string) []string {
	arguments := []string{"demo", "whoami", "--service", s.name, "--instance", host, "--listen", ":" + port}
	if s.tcp() {
		arguments = append(arguments, "--tcp")
	}
	return arguments
}

// backend runs a host's services.
type backend interface {
	agentFlags() []string // by which the agent finds them
	start(context.Context, service) error
	stop(context.Context, service) error
	id(service) string // as the agent knows the copy on this host
	crash()            // all at once, as when the power fails
	close() error
}

// host is one of the fleet.
type host struct {
	name, address string
	net           *network
	backend       backend // nil: it runs no services
	agent         *stage.Process
	ready         struct { // of its proxy
		Admin string // Envoy's
		PID   int
	}
}

// startAgent starts the agent, and returns when it is ready.
func (h *host) startAgent(ctx context.Context, t *town, more ...string) error {
	ready := filepath.Join(t.folder.Path, h.name+"-ready.json")
	if err := os.RemoveAll(ready); err != nil {
		return err
	}
	arguments := append([]string{
		"--net=" + h.net.path(), t.config.Heddle, "agent", "--name", h.name, "--address", h.address,
		"--key-file", filepath.Join(t.folder.Path, "keys"), "--api-token-file", t.tokenFile(), "--ready-file", ready,
	}, more...)
	arguments = append(arguments, t.config.proxyFlags()...)
	for _, seed := range t.hosts[:min(2, len(t.hosts))] {
		if seed != h {
			arguments = append(arguments, "--seed", seed.address)
		}
	}
	if h.backend != nil {
		arguments = append(arguments, h.backend.agentFlags()...)
	}
	var err error
	if h.agent, err = t.launch.Start(h.name, "nsenter", arguments...); err != nil {
		return err
	}
	return h.agent.AwaitFile(ctx, ready, agentStart, func(data []byte) error { return json.Unmarshal(data, &h.ready) })
}

// drain has the copies of a service here get no new calls, or get them again.
func (h *host) drain(ctx context.Context, t *town, s service, drain bool) error {
	token, err := os.ReadFile(t.tokenFile())
	if err != nil {
		return err
	}
	method := http.MethodDelete
	if drain {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+apiAddress+"/api/services/"+h.backend.id(s)+"/drain", http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	client := http.Client{Transport: &http.Transport{DialContext: h.net.dial, DisableKeepAlives: true}, Timeout: 5 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("drain %s on %s: %w", s.name, h.name, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err == nil && response.StatusCode != http.StatusAccepted {
		err = fmt.Errorf("drain %s on %s: status %d: %s", s.name, h.name, response.StatusCode, body)
	}
	return err
}

// crash has the host end as when its power fails: nothing is said to anybody.
func (h *host) crash() {
	h.agent.Kill()
	if h.backend != nil {
		h.backend.crash()
	}
}

// reach is where a port of the host is.
func (h *host) reach(port int) string { return net.JoinHostPort(h.address, strconv.Itoa(port)) }

// close ends all of the host, in order.
func (h *host) close(hurry <-chan struct{}) error {
	var err error
	if h.agent != nil && !h.agent.Stop(agentGrace, hurry) {
		select {
		case <-hurry:
		default:
			err = fmt.Errorf("the agent of %s did not end when asked, and was killed", h.name)
		}
	}
	if h.backend != nil {
		if closing := h.backend.close(); err == nil {
			err = closing
		}
	}
	if h.net != nil {
		h.net.close()
	}
	return err
}
