package gatewayapi_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	threads "runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	gw "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"

	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

	"github.com/heddle-mesh/heddle/internal/kubernetes/install"
	"github.com/heddle-mesh/heddle/internal/kubetest"
)

const (
	cluster   = "conformance"
	className = "heddle"
	namespace = "heddle-system"
)

// TestConformance runs the suite, as a process of its own: its failures are to be
// recorded.
func TestConformance(t *testing.T) {
	if os.Getenv(suiteOf) != "" {
		t.Skip("this is the suite's process")
	}
	if testing.Short() {
		t.Skip("takes minutes")
	}
	log.SetLogger(logr.Discard())
	heddle, echo := programs(t)
	if err := ip("link set lo up", "link add pods type veth peer name hosts", "link set pods up", "link set hosts up", "addr add 10.77.1.1/24 dev pods", "route add default via 10.77.1.2"); err != nil {
		t.Fatal(err)
	}
	c := kubetest.Shared(t)
	c.GatewayAPI(t)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, gw.Install} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	api, err := client.New(c.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	server := mesh(t, c, heddle)
	runNode(t, c, echo)
	runEdges(t, api, heddle, "--server", server["rest"], "--xds", server["xds"])
	c.Apply(t, "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: "+className+"}, spec: {controllerName: heddle.io/gateway}}")
	if out, err := c.Kubectl(t, "", "wait", "--timeout=60s", "--for=condition=Accepted", "gatewayclass/"+className); err != nil {
		t.Fatal(out, err)
	}

	results := filepath.Join(t.TempDir(), "results")
	command := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run", "^TestSuite$", "-test.v", "-test.timeout", "25m")
	command.Env = append(os.Environ(), suiteOf+"="+results, "KUBECONFIG="+c.Kubeconfig)
	said, err := os.Create(logOf(t))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	command.Stdout, command.Stderr = said, said
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	threads.LockOSThread() // it is to end with this process, not with a thread of it
	defer threads.UnlockOSThread()
	began := time.Now()
	ended := command.Run() // its results say more
	t.Logf("the suite took %s and ended with %v; its log is %s", time.Since(began).Round(time.Second), ended, said.Name())
	if ended != nil {
		t.Errorf("the suite: %v", ended)
	}
	compare(t, results)
}

// logOf is where the suite's own log goes: a file that outlives the test, if it is named.
func logOf(t *testing.T) string {
	if file := os.Getenv("HEDDLE_CONFORMANCE_LOG"); file != "" {
		return file
	}
	return filepath.Join(t.TempDir(), "log")
}

// mesh runs a server, and an operator with the rights of the manifests and, for
// HTTPS, those to read Secrets.
func mesh(t *testing.T, c *kubetest.Cluster, heddle string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	admin, token := filepath.Join(dir, "admin"), filepath.Join(dir, "token")
	server := start(t, heddle, "server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"), "--admin-token-file", admin)
	secret, err := exec.CommandContext(t.Context(), heddle, "token", "create", "--keeper", "kubernetes/"+cluster, "--server", server["rest"], "--token-file", admin).Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(token, []byte(strings.TrimSpace(string(secret))), 0o600); err != nil {
		t.Fatal(err)
	}
	var objects []runtime.Object
	for _, component := range install.Objects(install.Options{Namespace: namespace}) {
		for _, object := range component.Objects {
			switch object.GetObjectKind().GroupVersionKind().Kind {
			case "Namespace", "CustomResourceDefinition", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding":
				objects = append(objects, object)
			}
		}
	}
	objects = append(objects, &rbacv1.ClusterRoleBinding{
		TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRoleBinding"}, ObjectMeta: metav1.ObjectMeta{Name: "heddle-gateway-secrets"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "heddle-gateway-secrets"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: install.Operator}},
	})
	text, err := install.YAML(objects)
	if err != nil {
		t.Fatal(err)
	}
	c.Apply(t, string(text))
	account := kubetest.KubeconfigOf(t, c.WithToken(c.ServiceAccountToken(t, namespace, install.Operator)))
	start(t, heddle, "operator", "--server", server["rest"], "--token-file", token, "--cluster", cluster+"="+account, "--http-listen", "127.0.0.1:0", "--namespace", namespace)
	return server
}

// result is how a test of the suite went.
type result struct {
	Name     string
	Features []features.FeatureName
	Result   string
}

// TestSuite is the suite itself. Which features there are it learns from the GatewayClass.
func TestSuite(t *testing.T) {
	file := os.Getenv(suiteOf)
	if file == "" {
		t.Skip("TestConformance runs it")
	}
	options := conformance.DefaultOptions(t)
	options.GatewayClassName = className
	options.AllowCRDsMismatch = true
	options.CleanupBaseResources = false
	for _, one := range []*time.Duration{
		&options.TimeoutConfig.MaxTimeToConsistency, &options.TimeoutConfig.GatewayMustHaveAddress, &options.TimeoutConfig.GatewayMustHaveCondition,
		&options.TimeoutConfig.GatewayStatusMustHaveListeners, &options.TimeoutConfig.GatewayListenersMustHaveConditions, &options.TimeoutConfig.HTTPRouteMustNotHaveParents,
		&options.TimeoutConfig.HTTPRouteMustHaveCondition, &options.TimeoutConfig.RouteMustHaveParents, &options.TimeoutConfig.LatestObservedGenerationSet, &options.TimeoutConfig.DefaultTestTimeout,
	} {
		*one = patience
	}
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() }) // when those that run beside each other have ended, too
	encoder := json.NewEncoder(out)
	var writing sync.Mutex
	options.Hook = func(t *testing.T, test suite.ConformanceTest, _ *suite.ConformanceTestSuite) {
		how := "passed"
		switch {
		case t.Failed():
			how = "failed"
		case t.Skipped():
			how = "skipped"
		}
		writing.Lock()
		defer writing.Unlock()
		if err := encoder.Encode(result{test.ShortName, test.Features, how}); err != nil {
			t.Error(err)
		}
	}
	conformance.RunConformanceWithOptions(t, options)
}

// patience is how long something may take that the suite waits for: what does not come
// in this time here does not come.
const patience = 15 * time.Second
