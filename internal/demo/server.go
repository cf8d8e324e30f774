package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
)

// serverStart bounds how long the control plane takes until it serves.
const serverStart = 30 * time.Second

// controlPlane is `heddle server`, which can be killed and started again with
// the same data and addresses.
type controlPlane struct {
	launch launcher
	heddle string
	folder string // of its data

	rest, xds string // host:port
	tokenFile string

	process *process
	client  *client.Client // of the whole mesh
}

func newControlPlane(l launcher, heddle, folder string, block *ports) (*controlPlane, error) {
	rest, err := block.take()
	if err != nil {
		return nil, err
	}
	xds, err := block.take()
	if err != nil {
		return nil, err
	}
	return &controlPlane{
		launch: l, heddle: heddle, folder: folder, rest: address(rest), xds: address(xds),
		tokenFile: filepath.Join(folder, "admin-token"),
	}, nil
}

func (c *controlPlane) url() string { return "http://" + c.rest }

// start runs the server and returns when it is ready. The admin token is
// written by the first start and is the same ever after.
func (c *controlPlane) start(ctx context.Context) error {
	ready := filepath.Join(c.folder, "server-ready.json")
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("start the server: %w", err)
	}
	process, err := c.launch.start("server", c.heddle, "server",
		"--listen", c.rest, "--xds-listen", c.xds,
		"--data-dir", filepath.Join(c.folder, "etcd"), "--admin-token-file", c.tokenFile, "--ready-file", ready)
	if err != nil {
		return err
	}
	c.process = process
	var said struct{ REST, XDS string }
	if err := process.awaitFile(ctx, ready, serverStart, func(data []byte) error { return json.Unmarshal(data, &said) }); err != nil {
		return err
	}
	if c.client == nil {
		token, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return fmt.Errorf("read the server's admin token: %w", err)
		}
		if c.client, err = client.New(client.Config{Address: c.url(), Token: strings.TrimSpace(string(token)), UserAgent: "heddle-demo"}); err != nil {
			return err
		}
	}
	return poll(ctx, serverStart, "the server to serve", c.client.Ready)
}

// stop ends the server, if it runs; it says whether it went by itself.
func (c *controlPlane) stop(now <-chan struct{}) bool {
	if c.client != nil {
		c.client.Close()
	}
	return c.process == nil || c.process.stop(serverGrace, now)
}
