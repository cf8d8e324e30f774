package hosts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// stay tells the reader what there is to try, and waits for the end of ctx.
func (t *town) stay(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	var passing sync.WaitGroup
	defer passing.Wait()
	defer end()
	at := map[string]string{}
	for _, s := range services() {
		address, err := t.pass(ctx, &passing, t.hub, t.ingress.reach(s.port))
		if err != nil {
			return err
		}
		at[s.name] = address
	}
	page, err := t.pass(ctx, &passing, t.ingress.net, apiAddress)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.config.Out, `
Three hosts run the services web and api over HTTP, and db over TCP. None is a
server: their agents tell each other what runs where. The host ingress runs
nothing, and passes calls from outside to whoever can answer.

Call the services through the host ingress; the answers say which host it was:
  curl http://%[1]s/
  curl http://%[2]s/
  bash -c 'exec 3<>/dev/tcp/127.0.0.1/%[3]s; echo >&3; head -1 <&3'

See the fleet as the agent of ingress does, in a browser or by its API:
  http://localhost:%[4]s/
  curl http://localhost:%[4]s/api/services.json
`, at["web"], at["api"], port(at["db"]), port(page))
	t.tellFaults()
	fmt.Fprintf(t.config.Out, `
Look into a host; each is a network of its own:
  nsenter --net=%s curl http://127.0.0.1:8080/

Logs: %s
Nothing listens beyond this machine.

Ctrl-C stops everything.
`, t.hosts[0].net.path(), t.folder.Path)
	<-ctx.Done()
	return context.Cause(ctx)
}

// tellFaults says what a reader can have happen to hosts.
func (t *town) tellFaults() {
	h := t.hosts[1]
	fmt.Fprintf(t.config.Out, `
Cut %[1]s off, call again and see who answers, and connect it:
  nsenter --net=%[2]s ip link set %[1]s down
  nsenter --net=%[2]s ip link set %[1]s up
`, h.name, t.hub.path())
	if c, is := h.backend.(*containers); is {
		fmt.Fprintf(t.config.Out, `
Stop and start a container on %[1]s:
  docker -H unix://%[2]s stop web
  docker -H unix://%[2]s start web
`, h.name, c.engine.Socket)
	}
}

// pass takes connections on loopback of this machine to an address in a network, until
// ctx ends, and gives where.
func (t *town) pass(ctx context.Context, passing *sync.WaitGroup, to *network, target string) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen for the reader: %w", err)
	}
	passing.Go(func() {
		<-ctx.Done()
		_ = l.Close()
	})
	passing.Go(func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				select {
				case <-ctx.Done():
				case <-time.After(100 * time.Millisecond): // there are too many open files, for example
				}
				continue
			}
			passing.Go(func() { join(ctx, conn, to, target) })
		}
	})
	return l.Addr().String(), nil
}

// join passes on what both sides say, until both have ended or ctx has.
func join(ctx context.Context, conn net.Conn, to *network, target string) {
	defer conn.Close()
	far, err := to.dial(ctx, "tcp", target)
	if err != nil {
		return
	}
	defer far.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close(); _ = far.Close() })()
	var both sync.WaitGroup
	defer both.Wait()
	one := func(from, to net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite() // what failed is seen by the other side
	}
	both.Go(func() { one(conn, far) })
	one(far, conn)
}

func port(address string) string {
	_, text, _ := net.SplitHostPort(address) // of a listener
	return text
}
