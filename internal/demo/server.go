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
	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

// serverStart bounds how long the control plane takes until it serves.
const serverStart = 30 * time.Second

// controlPlane is `heddle server`, which can be killed and started again with
// the same data and addresses.
type controlPlane struct {
	launch stage.Launcher
	heddle string
	folder string // of its data

	rest, xds       string // host:port, for the command line and the gRPC API
	restTLS, xdsTLS string // host:port, for proxies and AuthZ services
	etcd            string // URL, for AuthZ services
	etcdListen      string // host:port of etcd, if it is not on its socket; or ""
	tokenFile       string

	process *stage.Process
	client  *client.Client // of the whole mesh
}

func newControlPlane(l stage.Launcher, heddle, folder string, block *ports) (*controlPlane, error) {
	c := &controlPlane{launch: l, heddle: heddle, folder: folder, tokenFile: filepath.Join(folder, "admin-token")}
	taken := []*string{&c.rest, &c.xds, &c.restTLS, &c.xdsTLS}
	c.etcd = "unix://" + filepath.Join(c.data(), "etcd.sock")
	if len(c.data()) > longestSocketFolder {
		taken = append(taken, &c.etcdListen)
	}
	for _, at := range taken {
		port, err := block.take()
		if err != nil {
			return nil, err
		}
		*at = address(port)
	}
	if c.etcdListen != "" {
		c.etcd = "http://" + c.etcdListen
	}
	return c, nil
}

// longestSocketFolder is up to where the embedded etcd has its socket in the data
// folder, since paths of sockets are bounded. With a longer one it listens on
// loopback instead.
const longestSocketFolder = 80

// data is where etcd and the certificate authority are.
func (c *controlPlane) data() string { return filepath.Join(c.folder, "etcd") }

func (c *controlPlane) url() string    { return "http://" + c.rest }
func (c *controlPlane) tlsURL() string { return "https://" + c.restTLS }

// start runs the server and returns when it is ready. The admin token is
// written by the first start and is the same ever after.
func (c *controlPlane) start(ctx context.Context) error {
	ready := filepath.Join(c.folder, "server-ready.json")
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("start the server: %w", err)
	}
	arguments := []string{
		"server", "--listen", c.rest, "--xds-listen", c.xds, "--tls-listen", c.restTLS, "--xds-tls-listen", c.xdsTLS,
		"--require-identity", "--mtls", "strict",
		"--data-dir", c.data(), "--admin-token-file", c.tokenFile, "--ready-file", ready,
	}
	if c.etcdListen != "" {
		arguments = append(arguments, "--etcd-listen", c.etcdListen)
	}
	process, err := c.launch.Start("server", c.heddle, arguments...)
	if err != nil {
		return err
	}
	c.process = process
	var said struct{ REST, XDS string }
	if err := process.AwaitFile(ctx, ready, serverStart, func(data []byte) error { return json.Unmarshal(data, &said) }); err != nil {
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
	return stage.Poll(ctx, serverStart, "the server to serve", c.client.Ready)
}

// stop ends the server, if it runs; it says whether it went by itself.
func (c *controlPlane) stop(now <-chan struct{}) bool {
	if c.client != nil {
		c.client.Close()
	}
	return c.process == nil || c.process.Stop(serverGrace, now)
}
