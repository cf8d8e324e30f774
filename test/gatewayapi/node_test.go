package gatewayapi_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/heddle-mesh/heddle/internal/kubetest"
)

// node runs pods, as a kubelet and a CNI plugin do together.
type node struct {
	t       *testing.T
	cluster *kubetest.Cluster
	name    string
	echo    string // the program of the suite's servers
	folder  string
	last    int // of the addresses
	running map[types.UID]*process
}

const bridge = "pods0"

// runNode runs pods until the test ends.
func runNode(t *testing.T, c *kubetest.Cluster, echo string) {
	t.Helper()
	if err := ip("link add "+bridge+" type bridge", "addr add 10.79.0.1/16 dev "+bridge, "link set "+bridge+" up"); err != nil {
		t.Fatal(err)
	}
	c.Kubelet(t, "conformance", nil)
	n := &node{t: t, cluster: c, name: "conformance", echo: echo, folder: t.TempDir(), running: map[types.UID]*process{}}
	n.serveLogs()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); every(ctx, 200*time.Millisecond, func() { n.look(ctx) }) }()
	t.Cleanup(func() {
		cancel()
		<-done
		for _, one := range n.running {
			one.end()
		}
	})
}

// look starts what is not running, and ends what is to.
func (n *node) look(ctx context.Context) {
	pods, err := n.cluster.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return // looked at again
	}
	there := map[types.UID]bool{}
	for i := range pods.Items {
		pod := &pods.Items[i]
		there[pod.UID] = true
		switch running := n.running[pod.UID]; {
		case pod.DeletionTimestamp != nil:
			if running != nil {
				running.end()
				delete(n.running, pod.UID)
			}
			_ = n.cluster.Client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *metav1.NewDeleteOptions(0))
		case pod.Spec.NodeName == "":
			if err := n.start(ctx, pod); err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
				n.t.Logf("pod %s/%s: %v", pod.Namespace, pod.Name, err)
			}
		}
	}
	for uid, one := range n.running {
		if !there[uid] {
			one.end()
			delete(n.running, uid)
		}
	}
}

// start runs a pod: the suite's server in a network namespace of its own. Of other
// images nothing runs.
func (n *node) start(ctx context.Context, pod *corev1.Pod) error {
	n.last++
	address := fmt.Sprintf("10.79.%d.%d", 1+n.last/250, 1+n.last%250)
	container := pod.Spec.Containers[0]
	if strings.Contains(container.Image, "/echo-basic:") {
		environment, err := n.environment(ctx, pod, &container)
		if err != nil {
			return err // its Secret may come yet
		}
		p, err := run(n.logOf(pod.Namespace, pod.Name), environment, syscall.CLONE_NEWNET, n.echo)
		if err != nil {
			return err
		}
		n.running[pod.UID] = p
		if err := n.connect(p.command.Process.Pid, address); err != nil {
			return err
		}
	}
	pods := n.cluster.Client.CoreV1().Pods(pod.Namespace)
	err := pods.Bind(ctx, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: pod.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: n.name}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	now, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	now.Status.Phase, now.Status.PodIP, now.Status.PodIPs = corev1.PodRunning, address, []corev1.PodIP{{IP: address}}
	for _, kind := range []corev1.PodConditionType{corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		now.Status.Conditions = append(now.Status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()})
	}
	_, err = pods.UpdateStatus(ctx, now, metav1.UpdateOptions{})
	return err
}

func (n *node) logOf(namespace, name string) string {
	return filepath.Join(n.folder, namespace+"_"+name+".log")
}

// serveLogs answers what the API server asks a kubelet for: the suite reads there which
// requests were copied.
func (n *node) serveLogs() {
	n.t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, n.logOf(r.PathValue("namespace"), r.PathValue("pod")))
	})
	server := httptest.NewUnstartedServer(mux)
	listener, err := net.Listen("tcp", "10.79.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	_ = server.Listener.Close()
	server.Listener = listener
	server.StartTLS()
	n.t.Cleanup(server.Close)
	nodes := n.cluster.Client.CoreV1().Nodes()
	this, err := nodes.Get(n.t.Context(), n.name, metav1.GetOptions{})
	if err != nil {
		n.t.Fatal(err)
	}
	this.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.79.0.1"}}
	this.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(listener.Addr().(*net.TCPAddr).Port)
	if _, err := nodes.UpdateStatus(n.t.Context(), this, metav1.UpdateOptions{}); err != nil {
		n.t.Fatal(err)
	}
}

// connect gives a process's network namespace an address.
func (n *node) connect(pid int, address string) error {
	link := fmt.Sprintf("p%d", n.last)
	inside := []string{"nsenter", "-t", fmt.Sprint(pid), "-n", "sh", "-c",
		"ip link set lo up && ip addr add " + address + "/16 dev eth0 && ip link set eth0 up && ip route add default via 10.79.0.1"}
	if err := ip("link add "+link+" type veth peer name eth0 netns "+fmt.Sprint(pid), "link set "+link+" master "+bridge, "link set "+link+" up"); err != nil {
		return err
	}
	p, err := run(filepath.Join(n.folder, link+".log"), nil, 0, inside...)
	if err != nil {
		return err
	}
	<-p.ended
	if !p.command.ProcessState.Success() {
		out, _ := os.ReadFile(p.log)
		return fmt.Errorf("%v: %s", inside, out)
	}
	return nil
}

// environment is a container's, with the files of its Secrets.
func (n *node) environment(ctx context.Context, pod *corev1.Pod, container *corev1.Container) ([]string, error) {
	folders := map[string]string{} // by where they are mounted
	for _, mount := range container.VolumeMounts {
		for _, volume := range pod.Spec.Volumes {
			if volume.Name != mount.Name || volume.Secret == nil {
				continue
			}
			secret, err := n.cluster.Client.CoreV1().Secrets(pod.Namespace).Get(ctx, volume.Secret.SecretName, metav1.GetOptions{})
			if err != nil {
				return nil, err
			}
			folder := filepath.Join(n.folder, string(pod.UID))
			if err := os.MkdirAll(folder, 0o700); err != nil {
				return nil, err
			}
			paths := map[string]string{}
			for _, item := range volume.Secret.Items {
				paths[item.Key] = item.Path
			}
			for key, data := range secret.Data {
				if paths[key] != "" {
					key = paths[key]
				}
				if err := os.WriteFile(filepath.Join(folder, key), data, 0o600); err != nil {
					return nil, err
				}
			}
			folders[mount.MountPath] = folder
		}
	}
	var out []string
	for _, one := range container.Env {
		value := one.Value
		if one.ValueFrom != nil && one.ValueFrom.FieldRef != nil {
			value = map[string]string{"metadata.name": pod.Name, "metadata.namespace": pod.Namespace}[one.ValueFrom.FieldRef.FieldPath]
		}
		for path, folder := range folders {
			if rest, below := strings.CutPrefix(value, path); below {
				value = folder + rest
			}
		}
		out = append(out, one.Name+"="+value)
	}
	return out, nil
}
