package main

import (
	"context"
	"path/filepath"
)

// newAuthz puts the AuthZ service of this process together. With the embedded
// etcd its keys are in the data folder unless a flag says otherwise.
func (c *serverCmd) newAuthz(ctx context.Context, n *serverNode, ports serverPorts) (*authzNode, error) {
	fallback := ""
	if len(c.EtcdEndpoints) == 0 {
		fallback = filepath.Join(c.DataDir, "signing-keys")
	}
	keys, err := c.Authz.keyStore(n.store, fallback)
	if err != nil {
		return nil, err
	}
	return newAuthzNode(ctx, authzSetup{
		flags: &c.Authz, trustDomain: c.TrustDomain, keys: keys, catalog: n.catalog,
		listener: ports.authzListener, http: ports.keysListener, registerer: n.prom, logger: n.logger,
	})
}

// addresses are where the server listens, for scripts.
func (n *serverNode) addresses() map[string]string {
	all := map[string]string{"rest": n.restURL(), "xds": n.xdsListener.Addr().String()}
	if n.restTLSListener != nil {
		all["restTLS"] = "https://" + n.restTLSListener.Addr().String()
	}
	if n.xdsTLSListener != nil {
		all["xdsTLS"] = n.xdsTLSListener.Addr().String()
	}
	if n.authz != nil {
		all["authz"] = n.authzListener.Addr().String()
		if n.keysListener != nil {
			all["keys"] = "http://" + n.keysListener.Addr().String()
		}
	}
	return all
}
