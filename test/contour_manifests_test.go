package test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// contourFields are the fields that the manifests may have, of the published types
// (Kubernetes 1.36, Contour 1.33, cert-manager 1.18). What is misspelled is in none.
var contourFields = map[string]string{
	"v1 Namespace": "",
	"v1 ConfigMap": "data.providers.json",
	"v1 Service":   "spec.selector.app spec.ports.#.name spec.ports.#.port spec.ports.#.targetPort",
	"apps/v1 Deployment": `spec.replicas spec.selector.matchLabels.app spec.template.metadata.labels.app spec.template.spec.automountServiceAccountToken
		spec.template.spec.securityContext.runAsNonRoot spec.template.spec.securityContext.runAsUser spec.template.spec.securityContext.runAsGroup
		spec.template.spec.securityContext.fsGroup spec.template.spec.securityContext.seccompProfile.type
		spec.template.spec.containers.#.name spec.template.spec.containers.#.image spec.template.spec.containers.#.command.# spec.template.spec.containers.#.args.#
		spec.template.spec.containers.#.ports.#.name spec.template.spec.containers.#.ports.#.containerPort
		spec.template.spec.containers.#.livenessProbe.httpGet.path spec.template.spec.containers.#.livenessProbe.httpGet.port
		spec.template.spec.containers.#.readinessProbe.httpGet.path spec.template.spec.containers.#.readinessProbe.httpGet.port
		spec.template.spec.containers.#.resources.requests.cpu spec.template.spec.containers.#.resources.requests.memory spec.template.spec.containers.#.resources.limits.memory
		spec.template.spec.containers.#.securityContext.allowPrivilegeEscalation spec.template.spec.containers.#.securityContext.readOnlyRootFilesystem
		spec.template.spec.containers.#.securityContext.capabilities.drop.#
		spec.template.spec.containers.#.volumeMounts.#.name spec.template.spec.containers.#.volumeMounts.#.mountPath spec.template.spec.containers.#.volumeMounts.#.readOnly
		spec.template.spec.volumes.#.name spec.template.spec.volumes.#.secret.secretName spec.template.spec.volumes.#.configMap.name`,
	"cert-manager.io/v1 Certificate": `spec.secretName spec.duration spec.renewBefore spec.dnsNames.# spec.uris.# spec.usages.# spec.issuerRef.kind spec.issuerRef.name
		spec.privateKey.algorithm spec.privateKey.size spec.privateKey.rotationPolicy`,
	"projectcontour.io/v1alpha1 ExtensionService": `spec.protocol spec.services.#.name spec.services.#.port spec.validation.caSecret spec.validation.subjectName
		spec.timeoutPolicy.response`,
	"projectcontour.io/v1alpha1 ContourConfiguration": "spec.envoy.clientCertificate.name spec.envoy.clientCertificate.namespace",
	"projectcontour.io/v1 HTTPProxy": `spec.virtualhost.fqdn spec.virtualhost.tls.secretName
		spec.virtualhost.authorization.extensionRef.name spec.virtualhost.authorization.extensionRef.namespace spec.virtualhost.authorization.responseTimeout
		spec.virtualhost.authorization.authPolicy.context.provider spec.virtualhost.authorization.authPolicy.context.audience
		spec.routes.#.conditions.#.prefix spec.routes.#.services.#.name spec.routes.#.services.#.port spec.routes.#.authPolicy.disabled
		spec.routes.#.authPolicy.context.callee spec.routes.#.authPolicy.context.provider spec.routes.#.authPolicy.context.audience
		spec.routes.#.requestHeadersPolicy.remove.#`,
}

// manifest is one object of a file: its values by their path, "spec.ports.0.name".
type manifest map[string]string

func (m manifest) id() string { return m["apiVersion"] + " " + m["kind"] }

// list gives what is in a list of strings, or of one field of its elements.
func (m manifest) list(path, field string) (out []string) {
	for i := 0; ; i++ {
		value, is := m[fmt.Sprintf("%s.%d%s", path, i, field)]
		if !is {
			return out
		}
		out = append(out, value)
	}
}

// readManifests reads all objects below deploy/contour, by kind and name.
func readManifests(t *testing.T) map[string]manifest {
	t.Helper()
	files, err := filepath.Glob("../deploy/contour/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	out := map[string]manifest{}
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parseManifests(t, file, data, out)
	}
	return out
}

// overlayManifests are what the real kubectl makes of the overlay for Contour, without
// the control plane's own.
func overlayManifests(t *testing.T) map[string]manifest {
	t.Helper()
	const kubectl = "../.tools/kube/kubectl"
	if _, err := os.Stat(kubectl); err != nil {
		t.Skip("no kubectl: run hack/kube.sh")
	}
	data, err := exec.CommandContext(t.Context(), kubectl, "kustomize", "../deploy/kubernetes/overlays/contour-cloudflare").Output()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]manifest{}
	parseManifests(t, "overlay", data, out)
	return out
}

func parseManifests(t *testing.T, file string, data []byte, out map[string]manifest) {
	t.Helper()
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var node yaml.Node
		if err := decoder.Decode(&node); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		m := manifest{}
		flatten(t, file, &node, nil, m)
		if m["kind"] == "Route" || m["metadata.namespace"] == "heddle-system" {
			continue // Heddle's own
		}
		out[m["kind"]+"/"+m["metadata.name"]] = m
	}
}

func flatten(t *testing.T, file string, node *yaml.Node, path []string, into manifest) {
	t.Helper()
	switch node.Kind {
	case yaml.DocumentNode:
		flatten(t, file, node.Content[0], path, into)
	case yaml.MappingNode:
		for i := 0; i < len(node.Content); i += 2 {
			flatten(t, file, node.Content[i+1], append(slices.Clip(path), node.Content[i].Value), into)
		}
	case yaml.SequenceNode:
		for i, one := range node.Content {
			flatten(t, file, one, append(slices.Clip(path), fmt.Sprint(i)), into)
		}
	default:
		at := strings.Join(path, ".")
		if _, twice := into[at]; twice {
			t.Errorf("%s:%d: %s is there twice", file, node.Line, at)
		}
		into[at] = node.Value
	}
}

// Each field of the manifests is one of the published types, and what they name of
// each other is there.
func TestContourManifests(t *testing.T) {
	t.Parallel()
	all := readManifests(t)
	for name, m := range all {
		known, is := contourFields[m.id()]
		if !is {
			t.Errorf("%s: nobody knows %s", name, m.id())
		}
		allowed := append(strings.Fields(known), "apiVersion", "kind", "metadata.name", "metadata.namespace")
		for path := range m {
			if !slices.Contains(allowed, pattern(path)) {
				t.Errorf("%s: %s is not a field of %s", name, path, m.id())
			}
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	same := func(what, one, other string) {
		t.Helper()
		if one != other || one == "" {
			t.Errorf("%s: %q and %q", what, one, other)
		}
	}
	service, deployment, extension, proxy := all["Service/heddle-authz"], all["Deployment/heddle-authz"], all["ExtensionService/heddle-authz"], all["HTTPProxy/shop"]
	server, client, contour := all["Certificate/heddle-authz"], all["Certificate/heddle-gateway"], all["ContourConfiguration/contour"]
	const pod, container = "spec.template.spec", "spec.template.spec.containers.0"
	same("what the service selects", service["spec.selector.app"], deployment["spec.template.metadata.labels.app"])
	same("what the deployment selects", deployment["spec.selector.matchLabels.app"], deployment["spec.template.metadata.labels.app"])
	same("the service's ports", fmt.Sprint(service.list("spec.ports", ".port")), fmt.Sprint(deployment.list(container+".ports", ".containerPort")))
	same("the ports' names", fmt.Sprint(service.list("spec.ports", ".targetPort")), fmt.Sprint(deployment.list(container+".ports", ".name")))
	same("mounts and volumes", fmt.Sprint(deployment.list(container+".volumeMounts", ".name")), fmt.Sprint(deployment.list(pod+".volumes", ".name")))
	same("the extension's service", extension["spec.services.0.name"], service["metadata.name"])
	same("the extension's port", extension["spec.services.0.port"], service["spec.ports.0.port"])
	same("the extension's namespace", extension["metadata.namespace"], service["metadata.namespace"])
	same("the server's name", extension["spec.validation.subjectName"], server["spec.dnsNames.0"])
	same("the server's name", extension["spec.validation.subjectName"], service["metadata.name"]+"."+service["metadata.namespace"]+".svc")
	same("the server's authority", extension["spec.validation.caSecret"], server["spec.secretName"])
	same("the server's certificate", deployment[pod+".volumes.0.secret.secretName"], server["spec.secretName"])
	same("Envoy's certificate", contour["spec.envoy.clientCertificate.name"], client["spec.secretName"])
	same("Envoy's certificate's namespace", contour["spec.envoy.clientCertificate.namespace"], client["metadata.namespace"])
	same("the proxy's extension", proxy["spec.virtualhost.authorization.extensionRef.name"], extension["metadata.name"])
	same("the proxy's extension's namespace", proxy["spec.virtualhost.authorization.extensionRef.namespace"], extension["metadata.namespace"])

	// The program takes the flags: it gets as far as the files.
	path := heddle.Path(t)
	arguments := deployment.list(container+".args", "")
	for i, one := range arguments {
		if name, _, _ := strings.Cut(one, "listen="); name == "--" || name == "--http-" {
			arguments[i] = name + "listen=127.0.0.1:0"
		}
	}
	if output, code := run(t, path, arguments...); code != 1 || !strings.Contains(output, "/etc/heddle/etcd/") {
		t.Errorf("heddle %s ended with %d: %s", strings.Join(arguments, " "), code, output)
	}
	providers := filepath.Join(t.TempDir(), "providers.json")
	if err := os.WriteFile(providers, []byte(all["ConfigMap/heddle-authz"]["data.providers.json"]), 0o600); err != nil {
		t.Fatal(err)
	}
	startServer(t, "--authz-listen", "127.0.0.1:0", "--authz-insecure-plain-callers", "--authz-edge-config", providers)
	if output, code := run(t, path, "lint", "-f", "../deploy/contour/routes.yaml"); code != 0 {
		t.Errorf("lint ended with %d: %s", code, output)
	}
}

// pattern writes the numbers of a path as #.
func pattern(path string) string {
	parts := strings.Split(path, ".")
	for i, one := range parts {
		if strings.Trim(one, "0123456789") == "" {
			parts[i] = "#"
		}
	}
	return strings.Join(parts, ".")
}
