package hosts

import (
	"context"
	"debug/elf"
	"fmt"
	"os"
	"strconv"

	"github.com/heddle-mesh/heddle/internal/dockerd"
)

// image is the name of an empty image: the program comes from this machine.
const image = "heddle.demo/whoami:1"

// containers runs services in an engine of the host's own.
type containers struct {
	engine *dockerd.Engine
	host   *host
	binds  []string
	ids    map[string]string // of containers, by service
}

func newContainers(ctx context.Context, h *host, heddle, folder string) (*containers, error) {
	binds, err := programBinds(heddle)
	if err != nil {
		return nil, err
	}
	engine, err := dockerd.Start(ctx, dockerd.Config{Folder: folder, Network: h.net.path()})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.name, err)
	}
	c := &containers{engine: engine, host: h, binds: binds, ids: map[string]string{}}
	if err := engine.Import(ctx, image, nil, `ENTRYPOINT ["/heddle"]`); err != nil {
		return c, fmt.Errorf("%s: %w", h.name, err)
	}
	return c, nil
}

// programBinds are what the program needs in a container that has nothing else.
func programBinds(program string) ([]string, error) {
	binds := []string{program + ":/heddle:ro"}
	file, err := elf.Open(program)
	if err != nil {
		return nil, fmt.Errorf("look for the libraries of %s: %w", program, err)
	}
	defer file.Close()
	if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) == 0 {
		return binds, err
	}
	for _, folder := range []string{"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"} {
		if _, err := os.Stat(folder); err == nil {
			binds = append(binds, folder+":"+folder+":ro")
		}
	}
	return binds, nil
}

func (c *containers) agentFlags() []string {
	return []string{"--docker", "--docker-host", "unix://" + c.engine.Socket}
}

// start runs a service in a container; what is there already is started again.
func (c *containers) start(ctx context.Context, s service) error {
	if id, there := c.ids[s.name]; there {
		return c.engine.StartAgain(ctx, id)
	}
	id, err := c.engine.Run(ctx, dockerd.Container{
		Name: s.name, Image: image, Arguments: whoami(s, c.host.name, strconv.Itoa(s.port)), Binds: c.binds,
		Ports: []string{strconv.Itoa(s.port)}, // published at any port that is free
		Labels: map[string]string{
			"ServiceName": s.name, "ServicePort_" + strconv.Itoa(s.port): strconv.Itoa(s.port), "ProxyMode": s.mode,
		},
	})
	if err != nil {
		return fmt.Errorf("run %s on %s: %w", s.name, c.host.name, err)
	}
	c.ids[s.name] = id
	return nil
}

func (c *containers) stop(ctx context.Context, s service) error {
	return c.engine.End(ctx, c.ids[s.name])
}

func (c *containers) id(s service) string { return c.ids[s.name][:12] }

func (c *containers) crash() { c.engine.Crash() }

func (c *containers) close() error { return c.engine.Close() }
