package install

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Validate says what is wrong with the options, by the names of the command's flags.
func (o Options) Validate() error {
	switch {
	case o.Authz && o.EtcdEndpoints == "":
		return errors.New("--authz needs --etcd-endpoints: AuthZ services share their keys through etcd")
	case o.NoInjector && (o.Authz || o.Gateway):
		return errors.New("--no-injector does not go with --authz and --gateway: " + joinThere)
	case o.NoInjector && (!slices.Contains([]string{"", "default"}, o.Iptables) || o.InterceptIPv6 == "false"):
		return errors.New("--no-injector does not go with --intercept-iptables and --no-intercept-ipv6: they are of pods with sidecars")
	case o.Redis != "" && !o.Authz:
		return errors.New("--redis needs --authz: AuthZ services share tokens through it")
	case !dnsLabel.MatchString(o.Namespace):
		return fmt.Errorf("--namespace %q has to be a DNS label such as \"heddle-system\"", o.Namespace)
	case !imageName.MatchString(o.Image):
		return fmt.Errorf("--image %q is no name of an image, such as registry.example/heddle:1.0.0", o.Image)
	case o.Servers < 0:
		return fmt.Errorf("--servers %d: there has to be one at least", o.Servers)
	case o.Operators < 1:
		return fmt.Errorf("--operators %d: there has to be one at least", o.Operators)
	case o.APIPort < 0 || o.APIPort > 65535:
		return fmt.Errorf("--api-port %d is not a port: use 1 to 65535", o.APIPort)
	case o.Servers > 1 && o.EtcdEndpoints == "":
		return errors.New("--servers needs --etcd-endpoints: an etcd inside the server has one member")
	}
	for one := range strings.SplitSeq(o.EtcdEndpoints, ",") {
		at, err := url.Parse(one)
		if o.EtcdEndpoints != "" && (err != nil || at.Scheme != "https" || at.Hostname() == "" || portOf(at.Host) == 0 || at.Path != "") {
			return fmt.Errorf("--etcd-endpoints %q: each has to be https://HOST:PORT, with commas between them", one)
		}
	}
	if o.Redis != "" && portOf(o.Redis) == 0 {
		return fmt.Errorf("--redis %q has to be HOST:PORT", o.Redis)
	}
	return nil
}

var (
	dnsLabel  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	imageName = regexp.MustCompile(`^[a-zA-Z0-9][-a-zA-Z0-9._:/@]*$`) // the chart's schema has the same
)

// joinThere is why AuthZ services and gateways need the injector.
const joinThere = "they join the mesh at the operator, by what the injector serves"

// portOf is the port of an address, or 0 if it has none.
func portOf(address string) int32 {
	host, port, err := net.SplitHostPort(address)
	number, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil || host == "" {
		return 0
	}
	return int32(number)
}

// etcdPorts are the ports of the etcd outside, each once; in the chart, what stands for them.
func (o Options) etcdPorts() (out []int32) {
	if o.EtcdEndpoints == etcdValue {
		return []int32{etcdPortsMark}
	}
	for one := range strings.SplitSeq(o.EtcdEndpoints, ",") {
		if number := portOf(strings.TrimPrefix(one, "https://")); !slices.Contains(out, number) {
			out = append(out, number)
		}
	}
	return out
}

func (o Options) redisPort() int32 {
	if o.Redis == redisValue {
		return redisPortMark
	}
	return portOf(o.Redis)
}
