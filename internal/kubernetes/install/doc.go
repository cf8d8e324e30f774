// Package install makes the manifests of a Heddle in Kubernetes.
//
// [Objects] is the one source: of "heddle operator install --dry-run", of the
// kustomize base in deploy/kubernetes, and of the templates of the Helm chart in
// deploy/helm/heddle, which [Chart] makes of the same objects with Helm's
// expressions where [Options] has values. The definitions of the custom resources are
// in each. A test holds the files to it. Everything here is a pure function.
package install
