package main

import (
	"context"
	"log/slog"

	"github.com/heddle-mesh/heddle/internal/registry"
)

// etcdFlags say how an etcd cluster is reached.
type etcdFlags struct {
	EtcdEndpoints []string `placeholder:"URL" help:"An etcd cluster to use instead of the embedded one, e.g. https://10.0.0.1:2379,https://10.0.0.2:2379."`
	EtcdUser      string   `placeholder:"NAME" help:"User name for that cluster."`
	EtcdPassword  string   `name:"etcd-password-file" type:"path" placeholder:"FILE" help:"File that holds the user's password."`
	EtcdCA        string   `name:"etcd-ca-file" type:"path" placeholder:"FILE" help:"PEM certificates that the cluster's certificates are verified with."`
	EtcdCert      string   `name:"etcd-cert-file" type:"path" placeholder:"FILE" help:"PEM client certificate for the cluster."`
	EtcdKey       string   `name:"etcd-key-file" type:"path" placeholder:"FILE" help:"PEM key of that certificate."`
}

func (f *etcdFlags) open(ctx context.Context, followed registry.Tracing, logger *slog.Logger) (*registry.Store, error) {
	return registry.Open(ctx, registry.Config{
		Endpoints: f.EtcdEndpoints, Username: f.EtcdUser, PasswordFile: f.EtcdPassword,
		CAFile: f.EtcdCA, CertFile: f.EtcdCert, KeyFile: f.EtcdKey, Logger: logger, Tracing: followed,
	})
}
