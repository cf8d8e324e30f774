package install

import "strings"

// Steps says what is to be done by hand once the manifests have been applied, and where
// to look. The chart's notes say the same.
func Steps(o Options) string {
	o = o.withDefaults()
	vouches := ""
	if o.Gateway {
		vouches += " --vouch gateway/" + gatewayName
	}
	if o.Authz {
		vouches += " --vouch heddle/authz"
	}
	root := "/var/lib/heddle/ca-cert.pem"
	if o.EtcdEndpoints != "" {
		root = heddleFolder + "/authority/ca.crt"
	}
	return strings.NewReplacer("NAMESPACE", o.Namespace, "CLUSTER", o.Cluster, " VOUCHES", vouches, "ROOT", root).Replace(steps)
}

const steps = `The servers wait for the first admin token, unless the Secret is there already, and the
operator for its own and the mesh's root:

  umask 077
  echo "hdl_$(openssl rand -hex 6)_$(openssl rand -hex 32)" > admin-token
  kubectl -n NAMESPACE create secret generic ` + adminToken + ` --from-file=token=admin-token
  kubectl -n NAMESPACE wait --for=condition=Ready pod -l app.kubernetes.io/name=` + Server + ` --timeout=5m
  pod=$(kubectl -n NAMESPACE get pods -l app.kubernetes.io/name=` + Server + ` -o name | head -n 1)
  kubectl -n NAMESPACE exec $pod -- heddle token create --keeper kubernetes/CLUSTER VOUCHES --token-file ` + heddleFolder + `/admin/token > token
  kubectl -n NAMESPACE exec $pod -- cat ROOT > ca.crt
  kubectl -n NAMESPACE create secret generic ` + operatorToken + ` --from-file=token --from-file=ca.crt

Then look at what came of it:

  kubectl -n NAMESPACE get pods
  kubectl -n NAMESPACE logs deployment/` + Operator + `
  kubectl get heddle --all-namespaces
`
