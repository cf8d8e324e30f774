package dockerd

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// Import gives the engine an image that is made of files of this machine alone, by their
// paths in the image; programs have to be static. Changes are lines of a Dockerfile,
// such as `ENTRYPOINT ["/whoami"]`.
func (e *Engine) Import(ctx context.Context, name string, files map[string]string, changes ...string) error {
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		body, err := os.ReadFile(files[path])
		if err != nil {
			return err
		}
		if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(path, "/"), Mode: 0o755, Size: int64(len(body))}); err != nil {
			return err
		}
		if _, err := archive.Write(body); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	answer, err := e.Client.ImageImport(ctx, client.ImageImportSource{Source: &layer, SourceName: "-"}, name, client.ImageImportOptions{Changes: changes})
	if err != nil {
		return fmt.Errorf("import the image %s: %w", name, err)
	}
	defer answer.Close()
	text, err := io.ReadAll(answer)
	if err == nil && bytes.Contains(text, []byte(`"error"`)) {
		err = fmt.Errorf("%s", text)
	}
	if err != nil {
		return fmt.Errorf("import the image %s: %w", name, err)
	}
	return nil
}

// Container says what is run.
type Container struct {
	Name      string // default: the engine draws one
	Image     string
	Arguments []string // after the image's entry point
	Env       []string // NAME=VALUE
	Labels    map[string]string
	// Ports are published: "8080", "8080/udp" at a free port, "31000:8080",
	// "127.0.0.1:31000:8080", "127.0.0.1::8080".
	Ports   []string
	Binds   []string // files and folders of this machine: "FROM:TO:ro"
	Network string   // default: the engine's bridge
	Health  *container.HealthConfig
	Restart container.RestartPolicyMode
}

// Run creates a container and starts it, and gives its ID.
func (e *Engine) Run(ctx context.Context, c Container) (string, error) {
	id, err := e.Create(ctx, c)
	if err != nil {
		return "", err
	}
	return id, e.StartAgain(ctx, id)
}

// StartAgain starts a container that was stopped, or never ran.
func (e *Engine) StartAgain(ctx context.Context, id string) error {
	if _, err := e.Client.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start the container %s: %w", id, err)
	}
	return nil
}

// End stops a container in order, as `docker stop` does.
func (e *Engine) End(ctx context.Context, id string) error {
	if _, err := e.Client.ContainerStop(ctx, id, client.ContainerStopOptions{}); err != nil {
		return fmt.Errorf("stop the container %s: %w", id, err)
	}
	return nil
}

// Create creates a container, and gives its ID.
func (e *Engine) Create(ctx context.Context, c Container) (string, error) {
	exposed, bound := network.PortSet{}, network.PortMap{}
	for _, text := range c.Ports {
		port, at, err := published(text)
		if err != nil {
			return "", fmt.Errorf("run a container of %s: %w", c.Image, err)
		}
		exposed[port], bound[port] = struct{}{}, append(bound[port], at)
	}
	made, err := e.Client.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: c.Name,
		Config: &container.Config{
			Image: c.Image, Cmd: c.Arguments, Env: c.Env, Labels: c.Labels, ExposedPorts: exposed, Healthcheck: c.Health,
		},
		HostConfig: &container.HostConfig{Binds: c.Binds, PortBindings: bound, NetworkMode: container.NetworkMode(c.Network), RestartPolicy: container.RestartPolicy{Name: c.Restart}},
	})
	if err != nil {
		return "", fmt.Errorf("create a container of %s: %w", c.Image, err)
	}
	return made.ID, nil
}

// published reads "[[ADDRESS:]PORT:]PRIVATE[/TYPE]".
func published(text string) (network.Port, network.PortBinding, error) {
	var at network.PortBinding
	private := text
	if i := strings.LastIndex(text, ":"); i >= 0 {
		private, at.HostPort = text[i+1:], text[:i]
	}
	if i := strings.LastIndex(at.HostPort, ":"); i >= 0 {
		address, err := netip.ParseAddr(strings.Trim(at.HostPort[:i], "[]"))
		if err != nil {
			return network.Port{}, at, fmt.Errorf("the port %q: %w", text, err)
		}
		at.HostIP, at.HostPort = address, at.HostPort[i+1:]
	}
	port, err := network.ParsePort(private)
	if err != nil {
		return network.Port{}, at, fmt.Errorf("the port %q: %w", text, err)
	}
	return port, at, nil
}
