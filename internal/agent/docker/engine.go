package docker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// Endpoint is where an engine is.
type Endpoint struct {
	// Host is unix:///path or tcp://host:port.
	Host string
	// Certificates is a folder with ca.pem, cert.pem and key.pem, for TLS both ways by
	// tcp://; "" only for who needs none.
	Certificates string
}

// Check says what is wrong with an endpoint without asking it.
func (e Endpoint) Check() error {
	at, err := url.Parse(e.Host)
	switch {
	case err != nil:
		return fmt.Errorf("%q is no address of an engine: use unix:///path or tcp://host:port", e.Host)
	case at.Scheme == "unix" && at.Path != "":
		return nil
	case at.Scheme != "tcp" || at.Port() == "" || at.Hostname() == "":
		return fmt.Errorf("%q is no address of an engine: use unix:///path or tcp://host:port", e.Host)
	case e.Certificates == "" && !loopback(at.Hostname()):
		return fmt.Errorf("%s is not on this host: name the folder with ca.pem, cert.pem and key.pem by which it and this host prove who they are", e.Host)
	case e.Certificates == "":
		return nil
	}
	ca, cert, key := e.files()
	text, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return fmt.Errorf("%s has no certificate in it: put the one there, in PEM, of who vouches for the engine", ca)
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		return fmt.Errorf("%s with %s: %w", cert, key, err)
	}
	return nil
}

// files are the certificate of who vouches for the engine, and this host's own with its key.
func (e Endpoint) files() (ca, cert, key string) {
	return filepath.Join(e.Certificates, "ca.pem"), filepath.Join(e.Certificates, "cert.pem"), filepath.Join(e.Certificates, "key.pem")
}

func loopback(name string) bool {
	address := net.ParseIP(name)
	return name == "localhost" || address != nil && address.IsLoopback()
}

// connect makes a client anew for each connection: an engine may be another version after
// it was away, and certificates may be renewed.
func (e Endpoint) connect() (*client.Client, error) {
	options := []client.Opt{client.WithHost(e.Host)}
	if e.Certificates != "" && strings.HasPrefix(e.Host, "tcp:") { // a socket has no need of them
		options = append(options, client.WithTLSClientConfig(e.files()))
	}
	return client.New(options...)
}

// actions are the events that change what a listing says, or tell of an end.
var actions = []events.Action{
	events.ActionStart, events.ActionDie, events.ActionKill, events.ActionPause, events.ActionUnPause, events.ActionRename,
	events.ActionHealthStatus, events.ActionDestroy, events.ActionConnect, events.ActionDisconnect,
}

// subscribe opens the stream of events; it has begun when subscribe returns, and what
// happens from then on is in it.
func subscribe(ctx context.Context, engine *client.Client, within time.Duration) (client.EventsResult, error) {
	filters := client.Filters{}.Add("type", string(events.ContainerEventType), string(events.NetworkEventType))
	for _, action := range actions {
		filters.Add("event", string(action))
	}
	ctx, cancel := context.WithCancelCause(ctx) // ends with the connection's context, or if the engine does not answer
	late := errors.New("it did not answer within " + within.String())
	bound := time.AfterFunc(within, func() { cancel(late) })
	stream := engine.Events(ctx, client.EventsListOptions{Filters: filters})
	if !bound.Stop() {
		return stream, late
	}
	return stream, nil
}

// stopping says whether an event tells that a container was sent its stop signal.
func stopping(ctx context.Context, engine *client.Client, event events.Message) bool {
	if event.Action != events.ActionKill {
		return false
	}
	number, err := strconv.Atoi(event.Actor.Attributes["signal"])
	switch signal := syscall.Signal(number); {
	case err != nil:
		return false
	case signal == syscall.SIGTERM || signal == syscall.SIGKILL:
		return true
	case signal == syscall.SIGQUIT || signal == syscall.SIGINT || number >= realTime:
		seen, err := engine.ContainerInspect(ctx, event.Actor.ID, client.ContainerInspectOptions{})
		return err == nil && seen.Container.Config != nil && isStopSignal(seen.Container.Config.StopSignal, number)
	}
	return false
}

// realTime is the first of the signals that systemd and others are stopped by.
const realTime = 34

func isStopSignal(name string, number int) bool {
	switch name {
	case "SIGQUIT", "QUIT":
		return number == int(syscall.SIGQUIT)
	case "SIGINT", "INT":
		return number == int(syscall.SIGINT)
	case "SIGRTMIN+3", "RTMIN+3":
		return number == realTime+3
	}
	n, err := strconv.Atoi(name)
	return err == nil && n == number
}

// startedSince says whether a container was started after a moment of the engine's clock,
// or is gone.
func startedSince(ctx context.Context, engine *client.Client, id string, moment time.Time) bool {
	seen, err := engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil || seen.Container.State == nil {
		return true
	}
	started, err := time.Parse(time.RFC3339Nano, seen.Container.State.StartedAt)
	return err != nil || started.After(moment)
}

// list gives the containers that run.
func list(ctx context.Context, engine *client.Client) ([]container.Summary, error) {
	all, err := engine.ContainerList(ctx, client.ContainerListOptions{})
	return all.Items, err
}
