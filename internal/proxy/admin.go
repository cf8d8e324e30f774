package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The names of the listeners that take calls to the service, the application's
// own calls, and those to a dependency with a port of its own, begin so; the
// control plane appends the dependency's name, and the scope.
const (
	inboundPrefix    = "inbound."
	inbound6Suffix   = ".ipv6" // after the scope, where the application sees its callers' addresses
	outboundPrefix   = "outbound."
	dependencyPrefix = "own."
	// Where connections are intercepted: the listener to which they are redirected,
	// and those behind names, which are bound to nothing.
	transparentPrefix = "transparent."
	virtualPrefix     = "virtual."
	// Those of a gateway.
	httpPrefix  = "http."
	httpsPrefix = "https."
	http3Prefix = "http3."
)

// admin is the admin interface of one Envoy.
type admin struct {
	base   string
	client *http.Client
}

func newAdmin(address string) *admin {
	return &admin{base: "http://" + address, client: &http.Client{
		Timeout:   2 * time.Second,
		Transport: &http.Transport{MaxIdleConns: 1, IdleConnTimeout: 10 * time.Second},
	}}
}

func (a *admin) close() { a.client.CloseIdleConnections() }

// live says whether Envoy takes part: neither still starting, nor failed on
// purpose (POST /healthcheck/fail, which operators do by hand). If not, why; and
// whether it answered at all.
func (a *admin) live(ctx context.Context) (state string, ok, answered bool) {
	body, err := a.do(ctx, http.MethodGet, "/ready", nil)
	switch {
	case errors.As(err, new(*adminRefusal)):
		return err.Error(), false, true
	case err != nil:
		return err.Error(), false, false
	}
	return strings.TrimSpace(string(body)), true, true
}

// adminRefusal is an answer that says no.
type adminRefusal struct{ status, body string }

func (r *adminRefusal) Error() string {
	return "ask Envoy's admin interface: it answers " + r.status + ": " + r.body
}

// listeners are those that the runner looks for; an invalid address: it is not there.
type listeners struct {
	inbound, outbound netip.AddrPort
	transparent       netip.AddrPort            // of intercepted connections
	http, https       netip.AddrPort            // of a gateway
	http3             bool                      // it has that listener too
	all               map[string]netip.AddrPort // these and the dependencies' own, by name
}

// logged names those that are there.
func (l listeners) logged() []any {
	var out []any
	if l.inbound.IsValid() {
		out = append(out, "inbound", l.inbound.String())
	}
	if l.outbound.IsValid() {
		out = append(out, "outbound", l.outbound.String())
	}
	if l.transparent.IsValid() {
		out = append(out, "transparent", l.transparent.String())
	}
	if l.http.IsValid() {
		out = append(out, "http", l.http.String())
	}
	if l.https.IsValid() {
		out = append(out, "https", l.https.String())
	}
	return out
}

// listeners asks what Envoy listens on. Envoy lists a listener once it is warm;
// its socket takes connections by then.
func (a *admin) listeners(ctx context.Context) (listeners, error) {
	body, err := a.do(ctx, http.MethodGet, "/listeners", url.Values{"format": {"json"}})
	if err != nil {
		return listeners{}, err
	}
	var answer struct {
		Statuses []struct {
			Name    string `json:"name"`
			Address struct {
				Socket struct {
					Address string `json:"address"`
					Port    uint16 `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return listeners{}, fmt.Errorf("read Envoy's listeners: %w", err)
	}
	found := listeners{all: map[string]netip.AddrPort{}}
	for _, one := range answer.Statuses {
		ip, err := netip.ParseAddr(one.Address.Socket.Address)
		if err != nil {
			continue // a pipe
		}
		address := netip.AddrPortFrom(ip, one.Address.Socket.Port)
		if strings.HasPrefix(one.Name, virtualPrefix) {
			continue
		}
		if strings.HasPrefix(one.Name, http3Prefix) { // of UDP
			found.http3 = true
			continue
		}
		found.all[one.Name] = address
		switch {
		case isInbound6(one.Name): // beside the one of IPv4
		case strings.HasPrefix(one.Name, inboundPrefix):
			found.inbound = address
		case strings.HasPrefix(one.Name, outboundPrefix):
			found.outbound = address
		case strings.HasPrefix(one.Name, transparentPrefix):
			found.transparent = address
		case strings.HasPrefix(one.Name, httpPrefix):
			found.http = address
		case strings.HasPrefix(one.Name, httpsPrefix):
			found.https = address
		}
	}
	return found, nil
}

// isInbound6 says whether a listener is the one of IPv6 beside "inbound.<scope>". A service
// may be called ipv6 too.
func isInbound6(listener string) bool {
	scope, is := strings.CutPrefix(listener, inboundPrefix)
	return is && strings.HasSuffix(scope, inbound6Suffix)
}

// refusals tells why Envoy refused listeners that the control plane sent: for
// each, its name and Envoy's words.
func (a *admin) refusals(ctx context.Context) ([]string, error) {
	if refused, err := a.sum(ctx, `^listener_manager\.lds\.update_rejected$`); err != nil || refused == 0 {
		return nil, err
	}
	body, err := a.do(ctx, http.MethodGet, "/config_dump", url.Values{"resource": {"dynamic_listeners"}, "mask": {"name,error_state.details"}})
	if err != nil {
		return nil, err
	}
	var dump struct {
		Configs []struct {
			Name  string `json:"name"`
			Error struct {
				Details string `json:"details"`
			} `json:"error_state"`
		} `json:"configs"`
	}
	if err := json.Unmarshal(body, &dump); err != nil {
		return nil, fmt.Errorf("read Envoy's refused listeners: %w", err)
	}
	var why []string
	for _, one := range dump.Configs {
		if one.Error.Details != "" {
			why = append(why, one.Name+": "+one.Error.Details)
		}
	}
	return why, nil
}

// configured says whether the control plane has given Envoy its listeners.
func (a *admin) configured(ctx context.Context) (bool, error) {
	updates, err := a.sum(ctx, `^listener_manager\.lds\.update_success$`)
	return updates > 0, err
}

// active counts what would fail if Envoy stopped now: HTTP requests that it is
// working on in either direction, and connections and requests into the
// application. Connections out to a TCP dependency or past the mesh are counted only
// where they are intercepted, and nothing but Envoy takes new ones: elsewhere pools
// keep them open for hours, and the application knows how to make new ones.
func (a *admin) active(ctx context.Context, intercepts bool) (int, error) {
	names := `http\..*\.downstream_rq_active|cluster\.app\..*\.upstream_rq_active`
	if intercepts {
		// A connection counts as one request of its cluster. Which clusters take
		// connections is known by the listeners in front of them.
		services := []string{`outside\.passthrough`}
		if err := a.each(ctx, `^tcp\.own\..*\.downstream_cx_total$`, func(name string, _ int) {
			services = append(services, `([a-z]+\.)?`+strings.TrimSuffix(strings.TrimPrefix(name, "tcp.own."), ".downstream_cx_total"))
		}); err != nil {
			return 0, err
		}
		names += `|cluster\.(` + strings.Join(services, "|") + `)\.upstream_rq_active`
	}
	return a.sum(ctx, "^("+names+")$")
}

// sum adds up the counters and gauges whose name matches the RE2 pattern,
// without those of the admin interface itself.
func (a *admin) sum(ctx context.Context, names string) (total int, err error) {
	err = a.each(ctx, names, func(name string, value int) {
		if !strings.HasPrefix(name, "http.admin.") {
			total += value
		}
	})
	return total, err
}

// each gives the counters and gauges whose name matches the RE2 pattern.
func (a *admin) each(ctx context.Context, names string, with func(name string, value int)) error {
	body, err := a.do(ctx, http.MethodGet, "/stats", url.Values{"filter": {names}})
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(line, ": ")
		n, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil {
			return fmt.Errorf("read Envoy's stats: %w", err)
		}
		with(name, n)
	}
	return nil
}

// drain has Envoy ask all callers to go (connection: close, GOAWAY) while it
// still takes what comes.
func (a *admin) drain(ctx context.Context) error {
	_, err := a.do(ctx, http.MethodPost, "/drain_listeners?graceful&skip_exit", nil)
	return err
}

// failChecks has a gateway answer 503 to checks of its health, and ask its clients
// to go.
func (a *admin) failChecks(ctx context.Context) error {
	_, err := a.do(ctx, http.MethodPost, "/healthcheck/fail", nil)
	return err
}

// closeInbound has Envoy take no new calls to the service. What is connected
// stays. The listeners are those with the traffic direction INBOUND.
func (a *admin) closeInbound(ctx context.Context) error {
	_, err := a.do(ctx, http.MethodPost, "/drain_listeners?inboundonly", nil)
	return err
}

func (a *admin) do(ctx context.Context, method, path string, query url.Values) ([]byte, error) {
	target := a.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return nil, fmt.Errorf("ask Envoy's admin interface: %w", err)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask Envoy's admin interface: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("ask Envoy's admin interface: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, &adminRefusal{status: response.Status, body: strings.TrimSpace(string(body))}
	}
	return body, nil
}
