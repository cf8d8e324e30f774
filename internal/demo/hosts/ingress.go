package hosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

// knownTime bounds how long a change may take to the ingress host: of what nobody tells of,
// it takes until the host is given up, or found again.
const knownTime = 40 * time.Second

// admin asks the ingress host's Envoy.
func (t *town) admin(ctx context.Context, path string) ([]byte, error) {
	transport := &http.Transport{DialContext: t.ingress.net.dial, DisableKeepAlives: true}
	client := http.Client{Transport: transport, Timeout: 5 * time.Second}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.ingress.ready.Admin+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

// endpoints are those that the ingress host's proxy calls: "service address".
func (t *town) endpoints(ctx context.Context) (map[string]int, error) {
	if t.config.HAProxy != "" {
		return t.servers(ctx)
	}
	body, err := t.admin(ctx, "/clusters?format=json")
	if err != nil {
		return nil, err
	}
	var clusters struct {
		Clusters []struct {
			Name  string `json:"name"`
			Hosts []struct {
				Address struct {
					Socket struct {
						Address string `json:"address"`
					} `json:"socket_address"`
				} `json:"address"`
				Health struct {
					EDS string `json:"eds_health_status"`
				} `json:"health_status"`
			} `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err := json.Unmarshal(body, &clusters); err != nil {
		return nil, err
	}
	found := map[string]int{}
	for _, c := range clusters.Clusters {
		for _, h := range c.Hosts {
			if h.Health.EDS == "HEALTHY" {
				found[c.Name+" "+h.Address.Socket.Address]++
			}
		}
	}
	return found, nil
}

// retries is how many attempts and connections the ingress host's proxy has made anew.
func (t *town) retries(ctx context.Context) (int, error) {
	if t.config.HAProxy != "" {
		return t.redispatched(ctx)
	}
	body, err := t.admin(ctx, `/stats?filter=^cluster\..*(upstream_rq_retry|upstream_cx_connect_attempts_exceeded|upstream_cx_connect_fail)$`)
	if err != nil {
		return 0, err
	}
	total := 0
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		count := 0
		if _, err := fmt.Sscan(value, &count); err == nil && (strings.HasSuffix(name, "upstream_rq_retry") || strings.HasPrefix(name, "cluster.db.") && strings.HasSuffix(name, "connect_fail")) {
			total += count
		}
	}
	return total, nil
}

// routable waits until the ingress host calls these services on a host.
func (t *town) routable(ctx context.Context, h *host, wanted ...service) error {
	return t.known(ctx, h.name+" to be called", func(found map[string]int) error {
		for _, s := range wanted {
			if found[s.name+" "+h.address] == 0 {
				return fmt.Errorf("%s is not", s.name)
			}
		}
		return nil
	})
}

// withdrawn waits until the ingress host calls none of these services on a host.
func (t *town) withdrawn(ctx context.Context, h *host, unwanted ...service) error {
	return t.known(ctx, h.name+" to be called no more", func(found map[string]int) error {
		for _, s := range unwanted {
			if found[s.name+" "+h.address] != 0 {
				return fmt.Errorf("%s is", s.name)
			}
		}
		return nil
	})
}

func (t *town) known(ctx context.Context, what string, look func(map[string]int) error) error {
	return stage.Poll(ctx, knownTime, what, func(ctx context.Context) error {
		found, err := t.endpoints(ctx)
		if err != nil {
			return errors.Join(errors.New("ask the ingress host's proxy"), err)
		}
		return look(found)
	})
}
