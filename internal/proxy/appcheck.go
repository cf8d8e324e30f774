package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// AppCheck asks whether the application is ready. The zero value finds
// everything ready.
type AppCheck struct {
	target *url.URL // scheme http or tcp; nil: no check
	// once: only before the first registration. A bare connection is noise in some
	// applications' logs, so only a check that was asked for goes on for ever.
	once bool
}

// appCheckTimeout bounds one check.
const appCheckTimeout = time.Second

// ParseAppCheck reads what --app-ready takes: "http://host:port/path" (ready
// when it answers 2xx or 3xx), "tcp://host:port" (ready when it takes a
// connection), "none", or "", which is tcp to the application's port, only
// until it is ready for the first time.
func ParseAppCheck(text string, app mesh.Proxy) (AppCheck, error) {
	switch text {
	case "none":
		return AppCheck{}, nil
	case "":
		if app.AppPort == 0 {
			return AppCheck{}, nil
		}
		host := app.AppAddress
		if host == "" {
			host = mesh.DefaultLoopback
		}
		target := &url.URL{Scheme: "tcp", Host: net.JoinHostPort(host, strconv.Itoa(int(app.AppPort)))}
		return AppCheck{target: target, once: true}, nil
	}
	refused := mesh.Invalid("read the application's readiness check", mesh.Faults{{
		Path: "appReady", Message: fmt.Sprintf("%q is none of http://HOST:PORT/PATH, tcp://HOST:PORT, none", text),
	}})
	target, err := url.Parse(text)
	if err != nil || target.Hostname() == "" {
		return AppCheck{}, refused
	}
	switch {
	case target.Scheme == "http" && (target.Port() == "" || hostPortFault(target.Host) == ""):
	case target.Scheme == "tcp" && hostPortFault(target.Host) == "" && (target.Path == "" || target.Path == "/"):
	default:
		return AppCheck{}, refused
	}
	return AppCheck{target: target}, nil
}

// String names the check in logs.
func (c AppCheck) String() string {
	if c.target == nil {
		return "none"
	}
	return c.target.String()
}

// check gives nil when the application is ready, else why not.
func (c AppCheck) check(ctx context.Context) error {
	if c.target == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, appCheckTimeout)
	defer cancel()
	if c.target.Scheme == "tcp" {
		var dialer net.Dialer
		connection, err := dialer.DialContext(ctx, "tcp", c.target.Host)
		if err != nil {
			return err
		}
		return connection.Close()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.target.String(), nil)
	if err != nil {
		return err
	}
	// A connection for each check: an application that no longer accepts any is not ready.
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10)
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s answers %s", c.target, response.Status)
	}
	return nil
}
