package gatewayproxies

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/heddle-mesh/heddle/internal/identity"
	"github.com/heddle-mesh/heddle/internal/kubernetes/install"
	"github.com/heddle-mesh/heddle/internal/kubernetes/webhook"
	"github.com/heddle-mesh/heddle/internal/kubetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(kubetest.Main(m)) }

const gatewayHead = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: NAME, namespace: NS}
spec: {gatewayClassName: heddle-NS, `

const classOf = `
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: heddle-NS}
spec: {controllerName: CONTROLLER}
`

// gateway is the manifest of one, with its class.
func gateway(namespace, name, controller, spec string) []byte {
	return []byte(strings.NewReplacer("NS", namespace, "NAME", name, "CONTROLLER", controller).Replace(gatewayHead + spec + "}" + classOf))
}

const (
	ours  = "heddle.io/gateway"
	plain = "listeners: [{name: http, port: 80, protocol: HTTP}]"
)

func roots(t *testing.T) []byte {
	t.Helper()
	files := identity.In(t.TempDir())
	if err := identity.Create(identity.Config{}, files); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(files.Cert)
	if err != nil {
		t.Fatal(err)
	}
	return pem
}

func config(t *testing.T, file []byte) Config {
	t.Helper()
	return Config{File: file, Replicas: 2, Service: "LoadBalancer", Installation: Installation{Namespace: "heddle-system", Cluster: "prod", Image: "heddle:1", Roots: roots(t)}}
}

// What cannot be is refused, and says what to do; what is served in part says what is not.
func TestGatewaysThatCannotBeServed(t *testing.T) {
	long := strings.Repeat("a", 64)
	for name, c := range map[string]struct {
		file   []byte
		change func(*Config)
		says   string // of the error; "": there is none
		note   string
	}{
		"a plain one":              {gateway("shop", "web", ours, plain), nil, "", ""},
		"by its name":              {gateway("shop", "web", ours, plain), func(c *Config) { c.Name, c.Namespace = "web", "shop" }, "", ""},
		"no namespace":             {[]byte(strings.Replace(string(gateway("shop", "web", ours, plain)), ", namespace: shop", "", 1)), nil, "say which with --namespace", ""},
		"another name":             {gateway("shop", "web", ours, plain), func(c *Config) { c.Name = "other" }, "the file has no Gateway other", ""},
		"another namespace":        {gateway("shop", "web", ours, plain), func(c *Config) { c.Namespace = "other" }, "the file has no Gateway", ""},
		"two":                      {append(append(gateway("shop", "web", ours, plain), "---"...), gateway("shop", "more", ours, plain)...), nil, "has 2 Gateways", ""},
		"nothing":                  {[]byte(""), nil, "the file has no Gateway", ""},
		"no YAML":                  {[]byte("{"), nil, "document 1 of the file", ""},
		"an unknown field":         {gateway("shop", "web", ours, "listenesr: []"), nil, "unknown field", ""},
		"a name that is none":      {gateway("shop", "Web", ours, plain), nil, `gateway "Web"`, ""},
		"another controller's":     {gateway("shop", "web", "other.example/gateway", plain), nil, "is of the controller other.example/gateway, and not of heddle.io/gateway", ""},
		"no class":                 {[]byte(strings.Split(string(gateway("shop", "web", ours, plain)), "---")[0]), nil, "", "is not looked at"},
		"a long name":              {gateway("shop", long, ours, plain), nil, "its name has 64 characters", ""},
		"the longest name":         {gateway("shop", long[1:], ours, plain), nil, "", ""},
		"a name with dots":         {gateway("shop", "web.shop", ours, plain), nil, "", ""},
		"TLS without a Secret":     {gateway("shop", "web", ours, "listeners: [{name: s, port: 443, protocol: HTTPS, tls: {certificateRefs: []}}]"), nil, `listener "s" is not served: tls.certificateRefs is required`, ""},
		"TLS without one, and one": {gateway("shop", "web", ours, "listeners: [{name: s, port: 443, protocol: HTTPS}, {name: http, port: 80, protocol: HTTP}]"), nil, "", `listener "s" is not served: tls.certificateRefs`},
		"a Secret elsewhere":       {gateway("shop", "web", ours, "listeners: [{name: s, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: x, namespace: certs}]}}]"), nil, "Secret certs/x is of another namespace, and pods mount Secrets of their own alone: copy it to namespace shop", ""},
		"no Secret":                {gateway("shop", "web", ours, "listeners: [{name: s, port: 443, protocol: HTTPS, tls: {certificateRefs: [{kind: ConfigMap, name: x}]}}]"), nil, "something else than a Secret", ""},
		"TLS that passes through":  {gateway("shop", "web", ours, "listeners: [{name: s, port: 443, protocol: HTTPS, tls: {mode: Passthrough, certificateRefs: [{name: x}]}}]"), nil, "tls.mode Passthrough is not served", ""},
		"another protocol":         {gateway("shop", "web", ours, "listeners: [{name: t, port: 80, protocol: TCP}]"), nil, "TCP is not served: use HTTP or HTTPS", ""},
		"listeners that conflict":  {gateway("shop", "web", ours, "listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}]"), nil, `listener "b" has port 80 too`, ""},
		"addresses":                {gateway("shop", "web", ours, plain+", addresses: [{value: 192.0.2.1}]"), nil, "spec.addresses: a Gateway gets the addresses of its Service", ""},
		"parameters":               {gateway("shop", "web", ours, plain+", infrastructure: {parametersRef: {group: x, kind: y, name: z}}"), nil, "spec.infrastructure.parametersRef: this controller takes no parameters", ""},
		"no cluster":               {gateway("shop", "web", ours, plain), func(c *Config) { c.Cluster = "" }, "--cluster is missing", ""},
		"a bad cluster":            {gateway("shop", "web", ours, plain), func(c *Config) { c.Cluster = "Prod" }, "has to be a DNS label", ""},
		"no image":                 {gateway("shop", "web", ours, plain), func(c *Config) { c.Image = "" }, "--image is missing", ""},
		"a bad image":              {gateway("shop", "web", ours, plain), func(c *Config) { c.Image = "a b" }, `--image "a b" is no name of an image`, ""},
		"no roots":                 {gateway("shop", "web", ours, plain), func(c *Config) { c.Roots = nil }, "--operator-ca is missing", ""},
		"bad roots":                {gateway("shop", "web", ours, plain), func(c *Config) { c.Roots = []byte("x") }, "holds no certificates", ""},
	} {
		t.Run(name, func(t *testing.T) {
			with := config(t, c.file)
			if c.change != nil {
				c.change(&with)
			}
			text, notes, err := Manifests(t.Context(), with)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || text != nil) {
				t.Errorf("%v\n%s", err, text)
			}
			if got := strings.Join(notes, "\n"); !strings.Contains(got, c.note) || err == nil && c.note == "" && got != "" {
				t.Errorf("notes: %s", got)
			}
		})
	}
}

// The real API server takes what is printed, in a namespace that admits no pod with rights,
// whatever the Gateway is called; and what is read from the cluster is what flags say.
func TestTheAPIServerTakesTheProxies(t *testing.T) {
	cluster := kubetest.Shared(t)
	cluster.GatewayAPI(t)
	namespace := cluster.Namespace(t)
	if _, err := cluster.Kubectl(t, "", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted", "pod-security.kubernetes.io/warn=restricted"); err != nil {
		t.Fatal(err)
	}
	own := cluster.Namespace(t)
	const both = `infrastructure: {labels: {cost: shop, app.kubernetes.io/name: mine}, annotations: {balancer.example/internal: "true"}},
  listeners: [{name: http, port: 80, protocol: HTTP}, {name: a, port: 443, hostname: a.test, protocol: HTTPS, tls: {certificateRefs: [{name: web.tls}, {name: more}]}}]`
	names := []string{"web", "web.shop", strings.Repeat("a", 63)}
	for _, name := range names {
		cluster.Apply(t, string(gateway(namespace, name, ours, both)))
	}
	with := config(t, nil)
	with.Kubeconfig, with.Namespace, with.Installation.Namespace = cluster.Kubeconfig, namespace, own
	for _, name := range names {
		with.Name = name
		text, notes, err := Manifests(t.Context(), with)
		if err != nil || len(notes) != 2 || !strings.Contains(notes[0], "web.tls of listener \"a\" is not there") {
			t.Fatal(notes, err)
		}
		if _, err := cluster.Kubectl(t, string(text), "apply", "--server-side", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f", "-"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, part := range []string{"ownerReferences:", "cost: shop", `balancer.example/internal: "true"`, "--tls-key=/etc/heddle/tls/more/tls.key", "heddle.io/made-for: port/80 port/443 secret/web.tls secret/more"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s: no %s in\n%s", name, part, text)
			}
		}
		if strings.Contains(string(text), "mine") {
			t.Errorf("%s: what the pods are selected by is the Gateway's to say:\n%s", name, text)
		}
	}
	with.Name = "web"
	said, _, err := Manifests(t.Context(), with)
	if err != nil {
		t.Fatal(err)
	}
	asked := with
	asked.Cluster, asked.Image = "", ""
	if _, _, err := Manifests(t.Context(), asked); err == nil || !strings.Contains(err.Error(), "read Deployment "+own+"/heddle-operator for what is not said by --cluster and --image") {
		t.Errorf("nothing says the cluster's name: %v", err)
	}
	applyOperator(t, cluster, own, with.Roots)
	asked.Roots = nil
	if text, _, err := Manifests(t.Context(), asked); err != nil || string(text) != string(said) {
		t.Errorf("%v:\n%s\nand by flags\n%s", err, text, said)
	}
	with.Name = "none"
	if _, _, err := Manifests(t.Context(), with); err == nil || !strings.Contains(err.Error(), "there is no Gateway "+namespace+"/none: apply it first") {
		t.Errorf("no Gateway: %v", err)
	}
	cluster.Apply(t, strings.Replace(string(gateway(namespace, "classless", ours, plain)), "gatewayClassName: heddle", "gatewayClassName: none", 1))
	with.Name = "classless"
	if _, _, err := Manifests(t.Context(), with); err == nil || !strings.Contains(err.Error(), "there is no GatewayClass") {
		t.Errorf("no class: %v", err)
	}
}

// applyOperator has the cluster say what an installation says.
func applyOperator(t *testing.T, cluster *kubetest.Cluster, own string, roots []byte) {
	t.Helper()
	configuration := webhook.Configuration("heddle", own, install.Operator, admissionregistrationv1.Ignore)
	for i := range configuration.Webhooks {
		configuration.Webhooks[i].ClientConfig.CABundle = roots
	}
	objects := []runtime.Object{configuration}
	for _, component := range install.Objects(install.Options{Namespace: own, Cluster: "prod", Image: "heddle:1"}) {
		for _, object := range component.Objects {
			if deployment, is := object.(*appsv1.Deployment); is && deployment.Name == install.Operator {
				deployment.Spec.Replicas = new(int32(0))
				objects = append(objects, deployment)
			}
		}
	}
	text, err := install.YAML(objects)
	if err != nil {
		t.Fatal(err)
	}
	cluster.Apply(t, string(text))
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(t, "", "delete", "mutatingwebhookconfiguration", "heddle"); err != nil {
			t.Error(err)
		}
	})
}
