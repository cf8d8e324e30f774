package inject

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

var update = flag.Bool("update", false, "write the golden files anew")

func settings() Settings {
	return Settings{
		Cluster: "prod", Namespace: "heddle-system", Image: "registry.example/heddle:1.0.0",
		Server: "https://heddle-server.heddle-system.svc:7443", XDS: []string{"heddle-server.heddle-system.svc:18443"},
		AttestURL: "https://heddle-operator.heddle-system.svc:9443", AttestCA: "(roots)\n",
	}
}

func readPod(t *testing.T, file string) *corev1.Pod {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict(data, &pod); err != nil {
		t.Fatal(err)
	}
	if pod.Namespace == "" {
		pod.Namespace = "shop"
	}
	return &pod
}

// told is what a golden file has of an outcome that is no pod.
type told struct {
	Refused  string   `json:"refused,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	Left     bool     `json:"left,omitempty"`
}

// Each pod in testdata/*.in.yaml becomes what *.golden.yaml says. The way to opt
// in is in the name: pods in files named by-pod* have asked themselves.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".in.yaml")
		t.Run(name, func(t *testing.T) {
			pod := readPod(t, file)
			by := ByNamespace
			if strings.HasPrefix(name, "by-pod") {
				by = ByPod
			}
			untouched := pod.DeepCopy()
			outcome, err := Inject(pod, by, settings())
			if diff := cmp.Diff(untouched, pod); diff != "" {
				t.Errorf("the pod that came in was changed: %s", diff)
			}
			out := told{Warnings: outcome.Warnings, Left: err == nil && outcome.Pod == nil}
			if err != nil {
				if mesh.KindOf(err) != mesh.KindInvalid {
					t.Errorf("refused with kind %q", mesh.KindOf(err))
				}
				out.Refused = err.Error()
			}
			golden(t, "testdata/"+name+".golden.yaml", encode(t, out)+encodePod(t, outcome.Pod))
			if outcome.Pod == nil {
				return
			}
			if diff := cmp.Diff(asJSON(t, outcome.Pod), applied(t, pod, outcome.Patch)); diff != "" {
				t.Errorf("the patch does not lead to the pod:\n%s", diff)
			}
			again, err := Inject(outcome.Pod, by, settings())
			if err != nil || again.Pod != nil || len(again.Patch) > 0 {
				t.Errorf("injecting twice is not injecting once: %v, %+v", err, again.Patch)
			}
			back, err := strip(outcome.Pod)
			if err != nil {
				t.Fatal(err)
			}
			delete(back.Annotations, ServiceKey)
			delete(untouched.Annotations, ServiceKey)
			delete(untouched.Annotations, NotInjectedKey)
			if probe := untouched.Spec.Containers[0].ReadinessProbe; probe != nil {
				probe.HTTPGet.Port = intstr.FromInt32(8080) // a port's name has become its number
			}
			if diff := cmp.Diff(asJSON(t, untouched), asJSON(t, back)); diff != "" {
				t.Errorf("the injection cannot be taken back:\n%s", diff)
			}
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (write it anew with -update):\n%s", file, diff)
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	data, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func encodePod(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	if pod == nil {
		return ""
	}
	return "---\n" + encode(t, pod)
}

// asJSON gives a pod as plain values, without fields that are empty both ways.
func asJSON(t *testing.T, pod *corev1.Pod) map[string]any {
	t.Helper()
	data, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	if metadata, is := out["metadata"].(map[string]any); is {
		if annotations, is := metadata["annotations"].(map[string]any); is && len(annotations) == 0 {
			delete(metadata, "annotations")
		}
	}
	return out
}

func applied(t *testing.T, pod *corev1.Pod, operations []Operation) map[string]any {
	t.Helper()
	text, err := json.Marshal(operations)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := jsonpatch.DecodePatch(text)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	if data, err = decoded.Apply(data); err != nil {
		t.Fatal(err)
	}
	var out corev1.Pod
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return asJSON(t, &out)
}

// Another webhook that put a container and a volume before and after ours, after
// which the API server asks again: ours come first again, and the new container's
// probe is redirected too.
func TestReinvocation(t *testing.T) {
	first, err := Inject(readPod(t, "testdata/probes.in.yaml"), ByNamespace, settings())
	if err != nil {
		t.Fatal(err)
	}
	pod := first.Pod.DeepCopy()
	foreign := corev1.Container{Name: "foreign", Image: "x", ReadinessProbe: first.Pod.Spec.Containers[0].ReadinessProbe.DeepCopy()}
	foreign.ReadinessProbe.HTTPGet.Path, foreign.ReadinessProbe.HTTPGet.Port.IntVal = "/other", 8080
	pod.Spec.Containers = append(pod.Spec.Containers, foreign)
	pod.Spec.InitContainers = append([]corev1.Container{{Name: "setup", Image: "x"}}, pod.Spec.InitContainers...)
	pod.Spec.Volumes = append([]corev1.Volume{{Name: "early"}}, append(pod.Spec.Volumes, corev1.Volume{Name: "late"})...)
	outcome, err := Inject(pod, ByNamespace, settings())
	if err != nil || outcome.Pod == nil {
		t.Fatalf("%v, %+v", err, outcome)
	}
	if diff := cmp.Diff(asJSON(t, outcome.Pod), applied(t, pod, outcome.Patch)); diff != "" {
		t.Errorf("the patch does not lead to the pod:\n%s", diff)
	}
	names := []string{}
	for _, container := range outcome.Pod.Spec.InitContainers {
		names = append(names, container.Name)
	}
	if diff := cmp.Diff([]string{InterceptName, SidecarName, "setup"}, names[:3]); diff != "" {
		t.Error(diff)
	}
	last := outcome.Pod.Spec.Containers[len(outcome.Pod.Spec.Containers)-1]
	if last.ReadinessProbe.HTTPGet.Path != "/probe/foreign/readiness" {
		t.Errorf("the new container's probe goes to %s", last.ReadinessProbe.HTTPGet.Path)
	}
	again, err := Inject(outcome.Pod, ByNamespace, settings())
	if err != nil || again.Pod != nil {
		t.Errorf("and once more changed: %v, %+v", err, again.Patch)
	}
}

// New settings, such as the next image, reach a pod that is made from an injected one.
func TestInjectedAnewWithOtherSettings(t *testing.T) {
	first, err := Inject(readPod(t, "testdata/probes.in.yaml"), ByNamespace, settings())
	if err != nil {
		t.Fatal(err)
	}
	later := settings()
	later.Image, later.AttestCA, later.Drain = "registry.example/heddle:1.1.0", "(others)\n", time.Minute
	outcome, err := Inject(first.Pod, ByNamespace, later)
	if err != nil || outcome.Pod == nil {
		t.Fatalf("%v, %+v", err, outcome)
	}
	direct, err := Inject(readPod(t, "testdata/probes.in.yaml"), ByNamespace, later)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(asJSON(t, direct.Pod), asJSON(t, outcome.Pod)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(asJSON(t, outcome.Pod), applied(t, first.Pod, outcome.Patch)); diff != "" {
		t.Errorf("the patch does not lead to the pod:\n%s", diff)
	}
}

// What the hosts' kernels can is the same for all pods of a cluster.
func TestInterceptionAsTheHostsCan(t *testing.T) {
	with := settings()
	with.Iptables, with.NoIPv6 = "legacy", true
	outcome, err := Inject(readPod(t, "testdata/plain.in.yaml"), ByNamespace, with)
	if err != nil || outcome.Pod == nil {
		t.Fatalf("%v, %+v", err, outcome)
	}
	if line := strings.Join(outcome.Pod.Spec.InitContainers[0].Args, " "); !strings.HasPrefix(line, "intercept install ") || !strings.HasSuffix(line, " --backend iptables-legacy --no-ipv6") {
		t.Errorf("heddle-intercept runs heddle %s", line)
	}
}

// What another webhook adds to an injected pod, and makes it one that gets no sidecar,
// takes none away: the pod is as it was, and says nothing else.
func TestWhatComesAfterTheInjection(t *testing.T) {
	first, err := Inject(readPod(t, "testdata/plain.in.yaml"), ByNamespace, settings())
	if err != nil {
		t.Fatal(err)
	}
	pod := first.Pod.DeepCopy()
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "late", Image: "x", Ports: []corev1.ContainerPort{{ContainerPort: 1}, {ContainerPort: 2}}})
	outcome, err := Inject(pod, ByNamespace, settings())
	if err != nil || outcome.Pod != nil || len(outcome.Patch) > 0 || len(outcome.Warnings) == 0 {
		t.Errorf("%v, %+v", err, outcome)
	}
}

func TestNothingInSystemNamespaces(t *testing.T) {
	for _, namespace := range []string{"kube-system", "kube-public", "kube-node-lease", "heddle-system"} {
		pod := readPod(t, "testdata/by-pod.in.yaml")
		pod.Namespace = namespace
		for _, by := range []Opted{ByNamespace, ByPod} {
			outcome, err := Inject(pod, by, settings())
			if err != nil || outcome.Pod != nil || len(outcome.Warnings) > 0 {
				t.Errorf("%s: %v, %+v", namespace, err, outcome)
			}
		}
	}
}

// enormous is a pod near the most that the API server takes.
func enormous(tb testing.TB) *corev1.Pod {
	tb.Helper()
	pod := &corev1.Pod{}
	pod.Name, pod.Namespace, pod.Labels = "enormous", "shop", map[string]string{"app": "enormous"}
	pod.Annotations = map[string]string{AppPortKey: "8080", "filler": strings.Repeat("x", 200_000)}
	for i := range 500 {
		container := corev1.Container{Name: fmt.Sprintf("c%d", i), Image: "x"}
		for j := range 40 {
			container.Env = append(container.Env, corev1.EnvVar{Name: fmt.Sprintf("V%d", j), Value: strings.Repeat("y", 40)})
		}
		pod.Spec.Containers = append(pod.Spec.Containers, container)
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: fmt.Sprintf("v%d", i)})
	}
	return pod
}

// The patch of an enormous pod is as small as another's: it has what is ours.
func TestEnormousPod(t *testing.T) {
	pod := enormous(t)
	pod.Annotations[DrainKey] = "0s"
	outcome, err := Inject(pod, ByNamespace, settings())
	if err != nil || outcome.Pod == nil {
		t.Fatalf("%v, %+v", err, outcome)
	}
	data, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(outcome.Patch)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a pod of %d bytes, a patch of %d in %d operations", len(data), len(text), len(outcome.Patch))
	if len(text) > 8<<10 {
		t.Errorf("the patch has %d bytes", len(text))
	}
	if diff := cmp.Diff(asJSON(t, outcome.Pod), applied(t, pod, outcome.Patch)); diff != "" {
		t.Errorf("the patch does not lead to the pod:\n%s", diff)
	}
}

func BenchmarkEnormousPod(b *testing.B) {
	pod := enormous(b)
	for b.Loop() {
		if _, err := Inject(pod, ByNamespace, settings()); err != nil {
			b.Fatal(err)
		}
	}
}

// Whatever annotations say, there is an answer, and it is stable.
func FuzzAnnotations(f *testing.F) {
	f.Add("8080", "on", "9090", "10.0.0.0/8", "100m", "5s", "v1", `{"delayed":["app"]}`)
	f.Add("http", "off", ",", "x", "-1", "1h", "", "{")
	f.Fuzz(func(t *testing.T, port, interception, ports, cidrs, cpu, drain, injected, was string) {
		pod := readPod(t, "testdata/probes.in.yaml")
		pod.Annotations = map[string]string{
			AppPortKey: port, InterceptionKey: interception, ExcludeOutboundPortsKey: ports, ExcludeOutboundCIDRsKey: cidrs,
			CPUKey: cpu, DrainKey: drain, StatusKey: injected, BeforeKey: was,
		}
		outcome, err := Inject(pod, ByNamespace, settings())
		if err != nil || outcome.Pod == nil {
			return
		}
		if diff := cmp.Diff(asJSON(t, outcome.Pod), applied(t, pod, outcome.Patch)); diff != "" {
			t.Errorf("the patch does not lead to the pod:\n%s", diff)
		}
		if again, err := Inject(outcome.Pod, ByNamespace, settings()); err != nil || again.Pod != nil {
			t.Errorf("injecting twice is not injecting once: %v, %+v", err, again.Patch)
		}
	})
}
