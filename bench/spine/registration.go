package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/proxy"
	"github.com/heddle-mesh/heddle/internal/registry"
)

const (
	registrations = 300
	warmUp        = 20
)

// registration measures how long it takes from the call that registers an
// instance to the end of the first request that a real Envoy routes to it.
// Before each registration the service has no instance, so that only the new
// one can answer; a client asks without a pause.
func registration(ctx context.Context) (report, error) {
	r := newReport("registration", "Registration to first routed request, through a real Envoy")
	s, err := startSpine(ctx)
	if err != nil {
		return r, err
	}
	defer s.close()
	if err := s.declare(ctx); err != nil {
		return r, err
	}
	envoy, err := startEnvoy(ctx, s.address)
	if err != nil {
		return r, err
	}
	defer envoy.stop()
	peer, err := subscribe(ctx, s.address, "caller/peer")
	if err != nil {
		return r, err
	}
	defer peer.close()
	app, err := startApp(ctx)
	if err != nil {
		return r, err
	}
	defer func() { _ = app.Close() }()

	var legs [6][]time.Duration
	for i := range warmUp + registrations {
		one, err := registerOnce(ctx, s, envoy, peer, app, i)
		if err != nil {
			return r, fmt.Errorf("registration %d: %w", i, err)
		}
		if i >= warmUp {
			for leg := range one {
				legs[leg] = append(legs[leg], one[leg])
			}
		}
	}
	for leg, label := range []string{"etcd write", "watch, after the write", "translate and apply", "push, to a plain client", "Envoy, to the request's end", "whole"} {
		r.add(label, legs[leg])
	}
	goal := "met"
	if r.Rows[5].P50 >= 5 {
		goal = "not met"
	}
	r.note("Goal: whole p50 under 5 ms: %s.", goal)
	r.note("etcd write: the call to Register, acknowledged. watch: until the change reaches the catalog, or 0 if it did before the")
	r.note("acknowledgement. push: until a client that only acknowledges has the endpoints. Envoy: what remains until the end of the")
	r.note("first request with an answer of the new instance, the request itself (about 0.2 ms) and half a failed one before it included.")
	return r, nil
}

// registerOnce registers an instance, waits for its first answer, and takes it
// away again. It gives the legs.
func registerOnce(ctx context.Context, s *spine, envoy *sidecar, peer *subscriber, app net.Listener, i int) (legs [6]time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	answered := make(chan time.Time, 1)
	go func() { answered <- envoy.askUntil(ctx, http.StatusOK) }()
	drain(peer)

	start := time.Now()
	registered, err := s.store.Register(ctx, []mesh.Instance{{
		ID: mesh.InstanceID("i" + strconv.Itoa(i)), Service: "target", Address: "127.0.0.1", Port: mesh.Port(app.Addr().(*net.TCPAddr).Port),
	}}, time.Minute, registry.Write{Author: "bench"})
	written := time.Now()
	if err != nil {
		return legs, err
	}
	pushed, err := peer.wait(ctx, func(a arrival) bool { return a.first != "" })
	if err != nil {
		return legs, err
	}
	end := <-answered
	if end.IsZero() {
		return legs, errors.New("no request was routed to the instance in time")
	}
	m := s.at(registered[0].Meta.Revision)
	if m.watched.IsZero() || m.applied.IsZero() {
		return legs, errors.New("the stages left no marks; changes were coalesced")
	}
	after := func(from, to time.Time) time.Duration { return max(0, to.Sub(from)) }
	legs = [6]time.Duration{
		after(start, written), after(written, m.watched), after(m.watched, m.applied), after(m.applied, pushed.at),
		after(pushed.at, end), after(start, end),
	}
	if err := s.store.Deregister(ctx, registered[0].Key(), registered[0].Epoch, registry.Write{Author: "bench"}); err != nil {
		return legs, err
	}
	if gone := envoy.askUntil(ctx, http.StatusServiceUnavailable); gone.IsZero() {
		return legs, errors.New("requests are still routed to a deregistered instance")
	}
	return legs, nil
}

func drain(peer *subscriber) {
	for {
		select {
		case <-peer.arrived:
		default:
			return
		}
	}
}

// wait gives the first arrival that is the one.
func (s *subscriber) wait(ctx context.Context, is func(arrival) bool) (arrival, error) {
	for {
		select {
		case one, open := <-s.arrived:
			switch {
			case !open:
				return one, errors.New("the stream ended")
			case one.err != nil:
				return one, one.err
			case is(one):
				return one, nil
			}
		case <-ctx.Done():
			return arrival{}, ctx.Err()
		}
	}
}

// startApp runs a server that answers everything.
func startApp(ctx context.Context) (net.Listener, error) {
	listener, err := listenLoopback(ctx)
	if err != nil {
		return nil, err
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok")
	})}
	go func() { _ = server.Serve(listener) }() // ends when the listener is closed
	return listener, nil
}

// sidecar is a real Envoy beside the service "caller", which takes no calls.
type sidecar struct {
	command  *exec.Cmd
	outbound string
	client   *http.Client
}

func startEnvoy(ctx context.Context, xdsAddress string) (*sidecar, error) {
	path, err := proxy.FindEnvoy(os.Getenv("HEDDLE_ENVOY"))
	if err != nil {
		return nil, err
	}
	reserved, err := listenLoopback(ctx)
	if err != nil {
		return nil, err
	}
	port := reserved.Addr().(*net.TCPAddr).Port
	_ = reserved.Close()
	bootstrap, err := proxy.Bootstrap(proxy.BootstrapConfig{
		Proxy: mesh.Proxy{Service: "caller", Instance: "envoy", OutboundPort: mesh.Port(port)}, XDS: []string{xdsAddress},
	})
	if err != nil {
		return nil, err
	}
	e := &sidecar{outbound: "127.0.0.1:" + strconv.Itoa(port), client: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{}}}
	var output bytes.Buffer
	e.command = exec.CommandContext(ctx, path, "--config-yaml", string(bootstrap), "--disable-hot-restart", "--concurrency", "1", "--log-level", "warn")
	e.command.Stdout, e.command.Stderr = &output, &output
	if err := e.command.Start(); err != nil {
		return nil, err
	}
	ready, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if e.askUntil(ready, http.StatusServiceUnavailable).IsZero() {
		e.stop()
		return nil, fmt.Errorf("envoy did not become ready: %s", strings.TrimSpace(output.String()))
	}
	return e, nil
}

// askUntil asks for the service "target" again and again until an answer has
// the status. It gives the moment, or zero when ctx ended.
func (e *sidecar) askUntil(ctx context.Context, status int) time.Time {
	for ctx.Err() == nil {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.outbound+"/", nil)
		if err != nil {
			return time.Time{}
		}
		request.Host = "target"
		response, err := e.client.Do(request)
		if err != nil {
			continue // not listening yet
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode == status {
			return time.Now()
		}
	}
	return time.Time{}
}

func (e *sidecar) stop() {
	e.client.CloseIdleConnections()
	_ = e.command.Process.Signal(os.Interrupt)
	_ = e.command.Wait()
}
