package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/bench/measured"
)

// services call each other, every one every other: enough pairs for each cold
// request to have one of its own.
const services = 100

// patience bounds each wait for a server.
const patience = time.Minute

// hotPairs are those that are asked for again and again.
const hotPairs = 1000

// subject is a server under measurement.
type subject struct {
	name    string
	server  *measured.Process
	beside  []*measured.Process // what it needs
	address string
	cold    bool // one request in a thousand is for a new pair
}

func (s *subject) close() {
	s.server.Stop()
	for i := len(s.beside) - 1; i >= 0; i-- {
		s.beside[i].Stop()
	}
}

// measureChecks asks AuthZ services themselves.
func measureChecks(ctx context.Context, o options, dir string) ([]row, error) {
	subjects, err := startAll(ctx, o, dir)
	defer func() {
		for i := len(subjects) - 1; i >= 0; i-- {
			subjects[i].close()
		}
	}()
	if err != nil {
		return nil, err
	}
	contenders := make([]contender, len(subjects))
	for i, s := range subjects {
		l, err := newLoad(s.address)
		if err != nil {
			return nil, err
		}
		defer l.close()
		if err := l.warm(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		smallest := 0
		if !strings.HasPrefix(s.name, "floor") {
			smallest = tokenSize / 2
		}
		contenders[i] = contender{s.name, func(ctx context.Context, inFlight int, d time.Duration) ([]time.Duration, error) {
			return l.run(ctx, inFlight, d, s.cold, smallest)
		}, s.server.CPU}
	}
	return measureAll(ctx, o, []int{1, 16, 64}, contenders)
}

// startAll starts every server. What was started is given with an error too.
func startAll(ctx context.Context, o options, dir string) ([]*subject, error) {
	var all []*subject
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for name, kind := range map[string]string{"floor": "plain", "floor-token": "token"} {
		log := filepath.Join(dir, name+".log")
		p, err := measured.Start(exec.CommandContext(ctx, self, floorCommand, kind), log)
		if err != nil {
			return all, err
		}
		s := &subject{name: name, server: p}
		all = append(all, s)
		if s.address, err = p.Await(ctx, log, patience); err != nil {
			return all, err
		}
	}
	registry, etcd, err := startRegistry(ctx, o, dir)
	if registry != nil {
		all[0].beside = append(all[0].beside, registry) // it ends last
	}
	if err != nil {
		return all, err
	}
	redis, address, err := startRedis(ctx, dir)
	if redis != nil {
		all[0].beside = append(all[0].beside, redis)
	}
	if err != nil {
		return all, err
	}
	for _, one := range []struct {
		name  string
		flags []string
		cold  bool
	}{
		{name: "heddle"},
		{name: "heddle-redis", flags: []string{"--redis", address, "--memory-entries", "1"}},
		{name: "heddle-cold", cold: true},
	} {
		s, err := startAuthz(ctx, o, dir, one.name, etcd, one.flags)
		if s != nil {
			s.cold = one.cold
			all = append(all, s)
		}
		if err != nil {
			return all, err
		}
	}
	order := map[string]int{"floor": 0, "floor-token": 1, "heddle": 2, "heddle-redis": 3, "heddle-cold": 4}
	sorted := make([]*subject, len(all))
	for _, s := range all {
		sorted[order[s.name]] = s
	}
	return sorted, nil
}

// startRegistry starts a server with its etcd, declares the services, and gives
// the etcd's address.
func startRegistry(ctx context.Context, o options, dir string) (*measured.Process, string, error) {
	at := func(name string) string { return filepath.Join(dir, name) }
	server, err := measured.Start(exec.CommandContext(ctx, o.heddle, "server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0",
		"--data-dir", at("data"), "--ready-file", at("server.json"), "--admin-token-file", at("token")), at("server.log"))
	if err != nil {
		return nil, "", err
	}
	said, err := server.Await(ctx, at("server.json"), patience)
	if err != nil {
		return server, "", err
	}
	var addresses struct{ REST string }
	if err := json.Unmarshal([]byte(said), &addresses); err != nil {
		return server, "", err
	}
	names := make([]string, services)
	for i := range names {
		names[i] = serviceName(i)
	}
	var manifests strings.Builder
	for _, name := range names {
		fmt.Fprintf(&manifests, "---\nkind: Service\nname: %s\nowner: bench\nprotocol: http\nport: 80\ndependencies: [%s]\n", name, strings.Join(names, ", "))
	}
	if err := os.WriteFile(at("services.yaml"), []byte(manifests.String()), 0o600); err != nil {
		return server, "", err
	}
	apply := exec.CommandContext(ctx, o.heddle, "apply", "--server", addresses.REST, "--token-file", at("token"), "-f", at("services.yaml"))
	if out, err := apply.CombinedOutput(); err != nil {
		return server, "", fmt.Errorf("declare the services: %w: %s", err, out)
	}
	return server, "unix://" + at("data/etcd.sock"), nil
}

func serviceName(i int) string { return fmt.Sprintf("service-%03d", i) }

func startRedis(ctx context.Context, dir string) (*measured.Process, string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	address := listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	if err := listener.Close(); err != nil {
		return nil, "", err
	}
	command := exec.CommandContext(ctx, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir)
	p, err := measured.Start(command, filepath.Join(dir, "redis.log"))
	return p, address, err
}

func startAuthz(ctx context.Context, o options, dir, name, etcd string, flags []string) (*subject, error) {
	at := func(suffix string) string { return filepath.Join(dir, name+suffix) }
	p, err := measured.Start(exec.CommandContext(ctx, o.heddle, append([]string{"authz", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
		"--etcd-endpoints", etcd, "--key-dir", at(".keys"), "--ready-file", at(".json"), "--insecure-plain-callers"}, flags...)...), at(".log"))
	if err != nil {
		return nil, err
	}
	s := &subject{name: name, server: p}
	said, err := p.Await(ctx, at(".json"), patience)
	if err != nil {
		return s, err
	}
	var addresses struct{ GRPC string }
	err = json.Unmarshal([]byte(said), &addresses)
	s.address = addresses.GRPC
	return s, err
}
