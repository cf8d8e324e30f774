package probes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const (
	// agent is who asks; applications keep the kubelet's requests out of their logs by it.
	agent        = "kube-probe/heddle"
	mostBody     = 10 << 10
	mostRedirect = 10
)

// errElsewhere ends a probe whose redirect leads to another host, which counts as
// ready: the kubelet asks nobody but the pod.
var errElsewhere = errors.New("redirected to another host")

// make makes the probe, of an application at an address. asked is the host under
// which the kubelet knows the pod, "" if it is not known.
func (p Probe) make(ctx context.Context, address, asked string) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout())
	defer cancel()
	err := p.once(ctx, address, asked)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("not within %s: %w", p.timeout(), err)
	}
	return err
}

func (p Probe) once(ctx context.Context, address, asked string) error {
	switch {
	case p.HTTPGet != nil:
		return p.HTTPGet.make(ctx, address, asked)
	case p.TCPSocket != nil:
		var dialer net.Dialer
		connection, err := dialer.DialContext(ctx, "tcp", join(or(p.TCPSocket.Host, address), p.TCPSocket.Port))
		if err != nil {
			return err
		}
		return connection.Close()
	}
	return p.GRPC.make(ctx, address)
}

func (h *HTTPGet) make(ctx context.Context, address, asked string) error {
	target := &url.URL{Scheme: "http", Host: join(or(h.Host, address), h.Port)}
	if strings.EqualFold(h.Scheme, "https") {
		target.Scheme = "https"
	}
	path, query, _ := strings.Cut(h.Path, "?")
	target.Path, target.RawQuery = "/"+strings.TrimPrefix(path, "/"), query
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", agent)
	request.Header.Set("Accept", "*/*")
	if asked != "" && h.Host == "" {
		request.Host = join(asked, h.Port)
	}
	named := map[string]bool{}
	for _, one := range h.HTTPHeaders {
		switch name := http.CanonicalHeaderKey(one.Name); {
		case name == "Host":
			request.Host = one.Value
		case !named[name]: // in the place of ours
			named[name] = true
			request.Header.Set(one.Name, one.Value)
		default:
			request.Header.Add(one.Name, one.Value)
		}
	}
	if request.Header.Get("Accept") == "" { // a way to send none
		request.Header.Del("Accept")
	}
	client := http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as the kubelet does: nothing is sent that is secret
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if next.URL.Hostname() != via[0].URL.Hostname() && next.URL.Hostname() != hostname(via[0].Host) {
				return errElsewhere
			}
			next.URL.Host = net.JoinHostPort(via[0].URL.Hostname(), portOf(next.URL))
			if len(via) >= mostRedirect {
				return fmt.Errorf("redirected %d times", len(via))
			}
			return nil
		},
	}
	response, err := client.Do(request)
	if errors.Is(err, errElsewhere) {
		return nil
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, mostBody))
	if response.StatusCode < http.StatusOK || response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("it answers %s: %.200s", response.Status, strings.TrimSpace(string(body)))
	}
	return nil
}

func (g *GRPC) make(ctx context.Context, address string) error {
	connection, err := grpc.NewClient("passthrough:///"+join(address, g.Port),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent(agent), grpc.WithNoProxy(), grpc.WithDisableServiceConfig())
	if err != nil {
		return err
	}
	defer connection.Close()
	answer, err := healthv1.NewHealthClient(connection).Check(ctx, &healthv1.HealthCheckRequest{Service: g.Service})
	if err != nil {
		return err
	}
	if answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		return fmt.Errorf("it is %s", answer.GetStatus())
	}
	return nil
}

func join(host string, port mesh.Port) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }

func or(host, standard string) string {
	if host == "" {
		return standard
	}
	return host
}

// hostname is a Host header's, without its port.
func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }

// portOf is that of a URL, or its scheme's.
func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
