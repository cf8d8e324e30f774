package main

import (
	"context"
	"crypto/tls"
	"path/filepath"

	"github.com/heddle-mesh/heddle/internal/authz"
)

// identifiesAuthz says whether callers of the AuthZ service in this process are met
// with the server's own identity: if there is one, and no flag says otherwise.
func (c *serverCmd) identifiesAuthz() bool {
	return c.TLSListen != "" && c.Authz.CertFile+c.Authz.CertKey+c.Authz.ClientCA == "" && !c.Authz.InsecurePlainCallers
}

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
	var callers func() (*tls.Config, error)
	if c.identifiesAuthz() {
		callers = func() (*tls.Config, error) { return n.authority.ServerTLS("h2"), nil }
	} else if callers, err = c.Authz.callerTLS(n.logger); err != nil {
		return nil, err
	}
	var check authz.Standing
	if n.authority != nil {
		check = standing(n.authority.Revocations(), c.TrustDomain)
	}
	return newAuthzNode(ctx, authzSetup{
		flags: &c.Authz, callers: callers, standing: check, identity: c.identifiesAuthz(), trustDomain: c.TrustDomain, keys: keys, store: n.store, catalog: n.catalog,
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
