package docker

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// running is a container of a listing, published as `docker run -p 31000:8080 -p 53:53/udp` does.
func running(labels ...string) container.Summary {
	c := container.Summary{
		ID: "0123456789abcdef0123", Names: []string{"/shop-web-1"}, Image: "registry.example:5000/shop/web:7", State: container.StateRunning, Status: "Up 2 hours",
		Created: 1700000000, Labels: map[string]string{},
		Ports: []container.PortSummary{
			{IP: netip.IPv4Unspecified(), PrivatePort: 8080, PublicPort: 31000, Type: "tcp"}, {IP: netip.IPv6Unspecified(), PrivatePort: 8080, PublicPort: 31000, Type: "tcp"},
			{IP: netip.IPv4Unspecified(), PrivatePort: 53, PublicPort: 53, Type: "udp"}, {PrivatePort: 9000, Type: "tcp"},
		},
		NetworkSettings: &container.NetworkSettingsSummary{Networks: map[string]*network.EndpointSettings{
			"bridge": {IPAddress: netip.MustParseAddr("172.17.0.2"), GlobalIPv6Address: netip.MustParseAddr("fd00::2")},
		}},
	}
	for _, label := range labels {
		name, value, _ := strings.Cut(label, "=")
		c.Labels[name] = value
	}
	return c
}

var plain = Rules{Address: hostAddress, NameLabel: "ServiceName"}

func TestServicesOfContainers(t *testing.T) {
	base := hosts.Service{
		ID: "0123456789ab", Name: "web", Image: "registry.example:5000/shop/web:7", Address: hostAddress, Created: time.Unix(1700000000, 0).UTC(),
		Ports: []hosts.Port{{Type: "tcp", Port: 31000}, {Type: "udp", Port: 53}},
	}
	with := func(change func(*hosts.Service)) hosts.Service {
		s := base
		change(&s)
		return s
	}
	port := func(p hosts.Port) []hosts.Port { return []hosts.Port{p, {Type: "udp", Port: 53}} }
	for name, test := range map[string]struct {
		rules  func(*Rules)
		c      container.Summary
		change func(*container.Summary)
		want   hosts.Service
	}{
		"plain": {c: running(), want: base},
		"labels of Sidecar": {
			c: running("ServiceName=Shop_Web", "ServicePort_8080=9001", "HealthCheck=HttpGet", "HealthCheckArgs=http://{{ host }}:{{ tcp 9001 }}/", "ProxyMode=tcp", "SidecarListener=9001"),
			want: with(func(s *hosts.Service) {
				s.Name, s.Mode, s.Listener, s.Ports = "Shop_Web", hosts.TCPMode, "http://10.0.0.1:31000/sidecar/update", port(hosts.Port{Type: "tcp", Port: 31000, ServicePort: 9001})
				s.Check = hosts.Check{Kind: hosts.CheckHTTP, Args: "http://{{ host }}:{{ tcp 9001 }}/", Own: true}
			}),
		},
		"labels of ours come first": {
			c: running("heddle.name=ours", "ServiceName=theirs", "heddle.port.8080=9002", "ServicePort_8080=9001", "heddle.mode=grpc", "ProxyMode=tcp", "heddle.check=tcp", "HealthCheck=HttpGet",
				"heddle.check.interval=2s", "heddle.check.timeout=500ms", "heddle.check.healthy=2", "heddle.check.unhealthy=3", "heddle.check.initial=healthy", "heddle.port.53/udp=1053", "heddle.label.version=7", "heddle.listener=9002"),
			want: with(func(s *hosts.Service) {
				s.Name, s.Mode, s.Labels, s.Listener = "ours", hosts.GRPCMode, map[string]string{"version": "7"}, "http://10.0.0.1:31000/sidecar/update"
				s.Ports = []hosts.Port{{Type: "tcp", Port: 31000, ServicePort: 9002}, {Type: "udp", Port: 53, ServicePort: 1053}}
				s.Check = hosts.Check{Kind: hosts.CheckTCP, Interval: 2 * time.Second, Timeout: 500 * time.Millisecond, Healthy: 2, Unhealthy: 3, Initial: hosts.Healthy, Own: true}
			}),
		},
		"a label of the user's choice": {
			rules: func(r *Rules) { r.NameLabel, r.Labels = "com.docker.compose.service", []string{"tier"} },
			c:     running("com.docker.compose.service=cart", "tier=gold", "secret=x"),
			want:  with(func(s *hosts.Service) { s.Name, s.Labels = "cart", map[string]string{"tier": "gold"} }),
		},
		"a pattern": {
			rules: func(r *Rules) { r.NameMatch = regexp.MustCompile(`^shop-(\w+)-\d+$`) }, c: running("ServiceName=not-this"), want: base,
		},
		"an image without a name": {
			c: running(), change: func(c *container.Summary) { c.Image = "sha256:0123456789abcdef" },
			want: with(func(s *hosts.Service) { s.Name, s.Image = "shop-web-1", "sha256:0123456789abcdef" }),
		},
		"one address": {
			c: running("ServicePort_8080=9001", "SidecarListener=9001"), change: func(c *container.Summary) {
				c.Ports = []container.PortSummary{{IP: netip.MustParseAddr("10.9.9.9"), PrivatePort: 8080, PublicPort: 31000, Type: "tcp"}}
			},
			want: with(func(s *hosts.Service) {
				s.Listener = "http://10.9.9.9:31000/sidecar/update"
				s.Ports = []hosts.Port{{Type: "tcp", Port: 31000, ServicePort: 9001, Address: netip.MustParseAddr("10.9.9.9")}}
			}),
		},
		"published twice": {
			c: running("ServicePort_8080=9001"), change: func(c *container.Summary) {
				c.Ports = []container.PortSummary{{IP: netip.MustParseAddr("10.9.9.9"), PrivatePort: 8080, PublicPort: 30000, Type: "tcp"},
					{IP: netip.IPv4Unspecified(), PrivatePort: 8080, PublicPort: 32000, Type: "tcp"}, {IP: netip.IPv4Unspecified(), PrivatePort: 8080, PublicPort: 31000, Type: "tcp"}}
			},
			want: with(func(s *hosts.Service) { s.Ports = []hosts.Port{{Type: "tcp", Port: 31000, ServicePort: 9001}} }),
		},
		"its own address": {
			rules: func(r *Rules) { r.Direct = true }, c: running("ServicePort_8080=9001", "heddle.port.7777=9002", "SidecarListener=9001"),
			want: with(func(s *hosts.Service) {
				s.Address, s.Listener = netip.MustParseAddr("172.17.0.2"), "http://172.17.0.2:8080/sidecar/update"
				s.Ports = []hosts.Port{{Type: "tcp", Port: 7777, ServicePort: 9002}, {Type: "tcp", Port: 8080, ServicePort: 9001}, {Type: "tcp", Port: 9000}, {Type: "udp", Port: 53}}
			}),
		},
		"its own address of the host's family": {
			rules: func(r *Rules) { r.Direct, r.Address = true, netip.MustParseAddr("fd01::1") }, c: running(),
			want: with(func(s *hosts.Service) {
				s.Address, s.Ports = netip.MustParseAddr("fd00::2"), []hosts.Port{{Type: "tcp", Port: 8080}, {Type: "tcp", Port: 9000}, {Type: "udp", Port: 53}}
			}),
		},
		"a label of no kind": {
			c: running("ServicePort_53=1053"),
			want: with(func(s *hosts.Service) {
				s.Ports = []hosts.Port{{Type: "udp", Port: 53, ServicePort: 1053}, {Type: "tcp", Port: 31000}}
			}),
		},
		"the host's network": {
			c: running("heddle.port.8080=9001"), change: func(c *container.Summary) { c.HostConfig.NetworkMode, c.Ports = "host", nil },
			want: with(func(s *hosts.Service) { s.Ports = []hosts.Port{{Type: "tcp", Port: 8080, ServicePort: 9001}} }),
		},
		"the engine's word": {
			c: running(), change: func(c *container.Summary) { c.Status = "Up 3 seconds (unhealthy)" },
			want: with(func(s *hosts.Service) { s.Health, s.Check.Kind = hosts.Unhealthy, hosts.CheckEngine }),
		},
		"the engine's word in a field": {
			c: running("heddle.check.initial=healthy"), change: func(c *container.Summary) { c.Health = &container.HealthSummary{Status: container.Starting} },
			want: with(func(s *hosts.Service) {
				s.Health, s.Check = hosts.Healthy, hosts.Check{Kind: hosts.CheckEngine, Initial: hosts.Healthy}
			}),
		},
		"another check than the engine's": {
			c: running("HealthCheck=AlwaysSuccessful"), change: func(c *container.Summary) { c.Status = "Up 3 seconds (unhealthy)" },
			want: with(func(s *hosts.Service) { s.Check.Kind = hosts.CheckNone }),
		},
		"paused": {
			c: running(), change: func(c *container.Summary) { c.State, c.Status = container.StatePaused, "Up 2 hours (Paused)" },
			want: with(func(s *hosts.Service) { s.Health = hosts.Unhealthy }),
		},
		"a check of anything that is allowed": {
			rules: func(r *Rules) { r.Remote = true }, c: running("HealthCheck=HttpGet", "HealthCheckArgs=http://example.test/"),
			want: with(func(s *hosts.Service) { s.Check = hosts.Check{Kind: hosts.CheckHTTP, Args: "http://example.test/"} }),
		},
		"a command that is allowed": {
			rules: func(r *Rules) { r.Exec = true }, c: running("HealthCheck=External", "HealthCheckArgs=/bin/true"),
			want: with(func(s *hosts.Service) { s.Check = hosts.Check{Kind: hosts.CheckExec, Args: "/bin/true"} }),
		},
	} {
		t.Run(name, func(t *testing.T) {
			rules := plain
			if test.rules != nil {
				test.rules(&rules)
			}
			if test.change != nil {
				test.change(&test.c)
			}
			got, is, faults := rules.service(test.c)
			if !is || len(faults) > 0 {
				t.Errorf("service: %v, faults %q", is, faults)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is wrong with one label is told by its name, and loses nothing else.
func TestBadLabelsLoseOnlyWhatTheySay(t *testing.T) {
	good := []string{"ServiceName=shop", "ServicePort_8080=9001"}
	for label, want := range map[string]string{
		"ServicePort_8081=9002": "ServicePort_8081 asks for port 9002, but port 8081 of the container is not published", "ServicePort_x=1": `ServicePort_x: "x" is no port`,
		"heddle.port.8080=web": `heddle.port.8080="web": "web" is no port`, "heddle.port.53/sctp=1": `"sctp" is neither tcp nor udp`, "heddle.port.8080=0": "is no port", "heddle.port.8080=65536": "is no port",
		"ProxyMode=smtp": `ProxyMode="smtp" is none of http, tcp`, "HealthCheck=Ping": `HealthCheck: "Ping" is none of`, "heddle.check=exec": "--docker-exec-checks allows it",
		"heddle.check=engine": "has no HEALTHCHECK", "heddle.check.interval=10": `heddle.check.interval: "10" is no time from 100ms`, "heddle.check.interval=99ms": "is no time", "heddle.check.timeout=-1s": "is no time", "heddle.check.healthy=0": "is no number",
		"heddle.check.initial=maybe": "is none of healthy", "heddle.discover=perhaps": "is neither true nor false", "SidecarListener=9009": "no TCP port of it has this ServicePort",
		"heddle.label.=x": "may have 63 bytes", "heddle.label.a b=x": "has characters", "heddle.chekc=http": "there is no label heddle.chekc", "heddle.name=___": "is no name",
	} {
		got, is, faults := plain.service(running(append(good, label)...))
		if len(faults) != 1 || !strings.Contains(faults[0], want) {
			t.Errorf("%s: told %q, to be of %q", label, faults, want)
		}
		if !is || got.Ports[0].ServicePort != 9001 || got.Mode != "" || len(got.Labels) > 0 || (got.Name != "shop" && !strings.HasPrefix(label, "heddle.name")) {
			t.Errorf("%s: made %+v", label, got)
		}
		if got.Check.Kind != "" {
			t.Errorf("%s: checked by %q, and not as one that says nothing", label, got.Check.Kind)
		}
	}
	direct := plain
	direct.Direct, direct.Network = true, "shop"
	if _, is, faults := direct.service(running()); is || len(faults) != 1 || !strings.Contains(faults[0], `not in network "shop"`) {
		t.Errorf("another network: %v %q", is, faults)
	}
	local := running(good...)
	local.Ports = []container.PortSummary{{IP: netip.MustParseAddr("127.0.0.1"), PrivatePort: 8080, PublicPort: 31000, Type: "tcp"}}
	if _, is, faults := plain.service(local); is || len(faults) != 2 || !strings.Contains(faults[0], "loopback alone") {
		t.Errorf("on loopback: %v %q", is, faults)
	}
}

func TestContainersThatAreNoServices(t *testing.T) {
	for name, change := range map[string]func(*container.Summary){
		"told not to be":         func(c *container.Summary) { c.Labels["heddle.discover"] = "false" },
		"told so as for Sidecar": func(c *container.Summary) { c.Labels["SidecarDiscover"] = "false" },
		"no ports":               func(c *container.Summary) { c.Ports = nil },
		"nothing published":      func(c *container.Summary) { c.Ports = c.Ports[3:] },
		"restarting":             func(c *container.Summary) { c.State = container.StateRestarting },
		"no ID":                  func(c *container.Summary) { c.ID = "" },
	} {
		c := running()
		change(&c)
		if got, is, faults := plain.service(c); is || len(faults) > 0 {
			t.Errorf("%s: %+v, told %q", name, got, faults)
		}
	}
}

// Whatever an engine lists, and whoever wrote its labels, what is made of it can be told
// to other hosts, and is small.
func FuzzContainers(f *testing.F) {
	for _, c := range []container.Summary{running(), running("ServicePort_8080=9001", "heddle.label.a=\xff", "heddle.name="+strings.Repeat("ü", 50), "HealthCheck=HttpGet", "heddle.port.=1", "SidecarListener=9001")} {
		body, err := json.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, "^(.*)$", true)
		f.Add(body, "(", false)
	}
	f.Fuzz(func(t *testing.T, body []byte, pattern string, direct bool) {
		var c container.Summary
		if json.Unmarshal(body, &c) != nil {
			return
		}
		rules := plain
		rules.Direct = direct
		if match, err := regexp.Compile(pattern); err == nil {
			rules.NameMatch = match
		}
		s, is, _ := rules.service(c)
		if !is {
			return
		}
		told, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if len(told) > 4<<10 {
			t.Errorf("%d bytes", len(told))
		}
		back, err := hosts.Decode(told)
		if err != nil {
			t.Fatalf("not understood by other hosts: %v", err)
		}
		if !back.Same(s) {
			t.Errorf("told %+v, heard %+v", s, back)
		}
		for _, p := range s.Ports {
			if p.Port == 0 || p.ServicePort < 0 || p.Type != "tcp" && p.Type != "udp" {
				t.Errorf("port %+v", p)
			}
		}
	})
}
