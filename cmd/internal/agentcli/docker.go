package agentcli

import (
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/agent/docker"
)

// dockerFlags say how services are found in a container engine.
type dockerFlags struct {
	Docker             bool     `help:"Find services in the container engine of this host: each running container with published ports."`
	DockerHost         string   `env:"DOCKER_HOST" default:"unix:///var/run/docker.sock" placeholder:"URL" help:"Where the engine is: unix:///PATH, or tcp://HOST:PORT with TLS."`
	DockerCerts        string   `env:"DOCKER_CERT_PATH" type:"path" placeholder:"FOLDER" help:"The folder with ca.pem, cert.pem and key.pem for an engine at tcp://."`
	DockerAddresses    string   `enum:"published,container" default:"published" help:"Where containers are called: published, at the ports that the host publishes for them; or container, at their own addresses, which all hosts have to reach."`
	DockerNetwork      string   `placeholder:"NAME" help:"The network in which containers are called at their own addresses. Default: the one that a container is in."`
	DockerNameLabel    string   `default:"ServiceName" placeholder:"LABEL" help:"The label with a service's name, beside heddle.name; without either it is named as its image."`
	DockerNameMatch    string   `placeholder:"REGEXP" help:"Name services by the first group of this expression in their containers' names, in place of --docker-name-label."`
	DockerLabel        []string `placeholder:"LABEL" help:"A label that other hosts are told, beside heddle.label.NAME. May be repeated."`
	DockerExecChecks   bool     `help:"Run commands that labels of containers name as checks, on this host, as the agent's user. Whoever makes an image can set labels."`
	DockerRemoteChecks bool     `help:"Let labels of containers name any URL or HOST:PORT as what checks ask, from this host's network. Without it they may ask the container's own TCP ports alone. Whoever makes an image can set labels."`
}

// containers makes the source of containers; nil: none is asked for.
func (f *dockerFlags) containers(address netip.Addr, log *slog.Logger) (*docker.Source, error) {
	if !f.Docker {
		return nil, nil
	}
	s := &docker.Source{
		Endpoint: docker.Endpoint{Host: f.DockerHost, Certificates: f.DockerCerts},
		Rules: docker.Rules{
			Address: address, Direct: f.DockerAddresses == "container", Network: f.DockerNetwork,
			NameLabel: f.DockerNameLabel, Labels: f.DockerLabel, Exec: f.DockerExecChecks, Remote: f.DockerRemoteChecks,
		},
		Logger: log,
	}
	if err := s.Endpoint.Check(); err != nil {
		return nil, &cli.UsageError{Message: "--docker-host (or DOCKER_HOST) and --docker-certs (or DOCKER_CERT_PATH): " + err.Error()}
	}
	if f.DockerNetwork != "" && !s.Rules.Direct {
		return nil, &cli.UsageError{Message: "--docker-network needs --docker-addresses=container: published ports are of no network"}
	}
	if f.DockerNameMatch == "" {
		return s, nil
	}
	match, err := regexp.Compile(f.DockerNameMatch)
	if err != nil {
		return nil, &cli.UsageError{Message: "--docker-name-match: " + err.Error()}
	}
	if match.NumSubexp() < 1 {
		return nil, &cli.UsageError{Message: fmt.Sprintf("--docker-name-match %q has no group, such as (.*): the first one is the name", f.DockerNameMatch)}
	}
	s.Rules.NameMatch = match
	return s, nil
}
