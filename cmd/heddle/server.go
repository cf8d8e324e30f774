package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/controlplane"
	"github.com/heddle-mesh/heddle/internal/registry"
	"github.com/heddle-mesh/heddle/internal/server"
	"github.com/heddle-mesh/heddle/internal/server/grpcapi"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// serverCmd runs the registry, its APIs and the control plane.
type serverCmd struct {
	Listen    string `default:"127.0.0.1:7080" placeholder:"HOST:PORT" help:"Where the REST API listens; port 0 takes a free one."`
	XDSListen string `name:"xds-listen" default:"127.0.0.1:18000" placeholder:"HOST:PORT" help:"Where xDS and the gRPC API listen; port 0 takes a free one."`
	ReadyFile string `type:"path" placeholder:"FILE" help:"Written once the server listens, with its addresses as JSON; for scripts that start it on free ports."`

	DataDir      string `default:"heddle-data" type:"path" placeholder:"DIR" help:"Where the embedded etcd keeps its data."`
	EtcdListen   string `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Where the embedded etcd listens for etcdctl; port 0 takes a free one."`
	EtcdUser     string `placeholder:"NAME" help:"User name for etcd."`
	EtcdPassword string `name:"etcd-password-file" type:"path" placeholder:"FILE" help:"File that holds the password for etcd."`
	EtcdCA       string `name:"etcd-ca-file" type:"path" placeholder:"FILE" help:"PEM certificates that etcd's certificate is verified with."`
	EtcdCert     string `name:"etcd-cert-file" type:"path" placeholder:"FILE" help:"PEM client certificate for etcd."`
	EtcdKey      string `name:"etcd-key-file" type:"path" placeholder:"FILE" help:"PEM key of that certificate."`

	EtcdEndpoints  []string `placeholder:"URL" help:"An etcd cluster to use instead of the embedded one, e.g. https://10.0.0.1:2379,https://10.0.0.2:2379."`
	AdminTokenFile string   `type:"path" placeholder:"FILE" help:"Where the admin token is written at the first start (mode 0600), instead of printing it."`
}

// Help shows examples below the flags.
func (*serverCmd) Help() string {
	return `Examples:
  heddle server                                  everything on this machine, data in ./heddle-data
  heddle server --data-dir /var/lib/heddle --admin-token-file /etc/heddle/admin-token
  heddle server --etcd-endpoints https://10.0.0.1:2379 --etcd-ca-file ca.pem --etcd-user heddle --etcd-password-file pw`
}
