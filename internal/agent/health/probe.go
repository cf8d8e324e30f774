package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// probe asks a service once. It gives up when ctx ends.
type probe func(ctx context.Context) error

// probeOf makes what a check asks; the check has no zero fields. nil: it asks nothing,
// and what the source says counts.
func probeOf(s hosts.Service, check hosts.Check, host string, environment []string) (probe, error) {
	args, err := fill(check.Args, s, host)
	if err != nil {
		return nil, err
	}
	may := anything
	if check.Own {
		may, args = own(s), atItself(s, args)
	}
	switch check.Kind {
	case hosts.CheckNone, hosts.CheckEngine:
		return nil, nil
	case hosts.CheckHTTP:
		return httpProbe(s, args, may)
	case hosts.CheckTCP:
		address, rest, err := target(s, args)
		if err == nil && rest != "" {
			err = fmt.Errorf("%q is no HOST:PORT", args)
		}
		return tcpProbe(address), cmp.Or(err, may(address))
	case hosts.CheckGRPC:
		address, service, err := target(s, args)
		return grpcProbe(address, service), cmp.Or(err, may(address))
	case hosts.CheckExec:
		words, err := split(args)
		if err == nil && len(words) == 0 {
			err = errors.New("its check is a command, and none is given")
		}
		return execProbe(words, environment), err
	}
	return nil, fmt.Errorf("its check is of the unknown kind %q", check.Kind)
}

// permit says why a check may not ask at HOST:PORT.
type permit func(address string) error

func anything(string) error { return nil }

// own permits to ask a service itself, by addresses alone: what a name leads to is said by
// whoever serves it.
func own(s hosts.Service) permit {
	return func(address string) error {
		if at, err := netip.ParseAddrPort(address); err == nil && s.Has(at) {
			return nil
		}
		return fmt.Errorf("%.28q is no TCP port of its own: use {{host}}:{{tcp N}} (--docker-remote-checks allows others)", address)
	}
}

var withoutHost = regexp.MustCompile(`^(https?://)?:([0-9]+)(/.*)?$`)

// atItself has what is asked without a host, as http://:9090/status, asked of the service.
func atItself(s hosts.Service, args string) string {
	parts := withoutHost.FindStringSubmatch(args)
	if parts == nil {
		return args
	}
	host := s.Address
	for _, p := range s.Ports {
		if p.Address.IsValid() && fmt.Sprint(p.Port) == parts[2] {
			host = p.Address
		}
	}
	return parts[1] + net.JoinHostPort(host.String(), parts[2]) + parts[3]
}

// target reads [HOST:PORT | PORT][/REST]; without a port it is the service's first of TCP.
func target(s hosts.Service, text string) (address, rest string, err error) {
	text, rest, _ = strings.Cut(text, "/")
	if text == "" {
		first, err := firstTCP(s)
		return first, rest, err
	}
	host, port := s.Address.String(), text
	if strings.Contains(text, ":") {
		if host, port, err = net.SplitHostPort(text); err != nil {
			return "", "", fmt.Errorf("%q is no HOST:PORT", text)
		}
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return "", "", fmt.Errorf("%q is no port", port)
	}
	return net.JoinHostPort(host, port), rest, nil
}

// firstTCP is where the first TCP port of a service is reached.
func firstTCP(s hosts.Service) (string, error) {
	port := s.FirstTCP()
	if port == 0 {
		return "", errors.New("it has no TCP port that could be checked")
	}
	address := s.Address
	for _, p := range s.Ports {
		if p.Port == port && cmp.Or(p.Type, "tcp") == "tcp" && p.Address.IsValid() {
			address = p.Address
		}
	}
	return netip.AddrPortFrom(address, uint16(port)).String(), nil
}

func tcpProbe(address string) probe {
	return func(ctx context.Context) error {
		var dialer net.Dialer
		connection, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return connection.Close()
	}
}

// reason says why a probe failed in words that are the same when it fails so again: no
// port that was drawn, and no URL, which may have a password in it.
func reason(err error) string {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	var number syscall.Errno
	var operation *net.OpError
	var lookup *net.DNSError
	switch {
	case errors.As(err, &number):
		return hosts.ShortReason(number.Error())
	case errors.As(err, &lookup):
		return hosts.ShortReason(fmt.Sprintf("%s: %s", lookup.Name, lookup.Err))
	case errors.As(err, &operation):
		return hosts.ShortReason(operation.Err.Error())
	}
	return cmp.Or(hosts.ShortReason(err.Error()), "it failed")
}
