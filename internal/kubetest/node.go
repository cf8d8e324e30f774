package kubetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodeConfig says what a real node is like.
type NodeConfig struct {
	Name string
	// Images are all that its pods can have. One is Pause.
	Images []Image
	// Pause is the image of what keeps a pod's namespaces.
	Pause string
	// Bridge exists in the test's network namespace and has the address Gateway;
	// pods get addresses of Subnet from First to Last.
	Bridge, Gateway, Subnet, First, Last string
	// DNS is the resolver of the pods.
	DNS string
}

// Node is a real one: containerd and a kubelet, which run pods as containers.
type Node struct {
	cluster *Cluster
	config  NodeConfig
	folder  string
	cgroup  string // of all its containers
	main    *process
}

// Node runs a node until the test ends. The test process has to have a network
// namespace of its own, which is the node's, and be root. Without the programs
// for it, which hack/kube.sh builds and hack/system.sh installs, the test is skipped.
func (c *Cluster) Node(t testing.TB, config NodeConfig) *Node {
	t.Helper()
	kubelet := findNode(t)
	if hostNetwork() {
		t.Fatal("a node needs a network namespace of its own, since the kubelet and its plugins change what they find there")
	}
	n := &Node{cluster: c, config: config}
	if err := n.start(kubelet, c.User(t, "system:node:"+config.Name, "system:nodes")); err != nil {
		err = errors.Join(err, fmt.Errorf("%s", n.Logs()), n.close())
		t.Fatalf("start node %s: %v", config.Name, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(n.Logs())
		}
		if err := n.close(); err != nil {
			t.Errorf("stop node %s: %v", config.Name, err)
		}
		c.deleteNode(t, config.Name)
	})
	return n
}

// findNode finds the kubelet, and makes sure of what it needs of the system.
func findNode(t testing.TB) (kubelet string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a kubelet needs root")
	}
	for _, program := range []string{"containerd", "ctr", "runc", cniFolder + "/bridge", cniFolder + "/host-local", "mount", "ldd"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no container runtime: %v: run hack/system.sh containerd runc containernetworking-plugins", err)
		}
	}
	return find(t, "kubelet")["kubelet"]
}

// hostNetwork says whether this process is in the machine's own network
// namespace, as far as it may know.
func hostNetwork() bool {
	own, err := os.Readlink("/proc/self/ns/net")
	first, denied := os.Readlink("/proc/1/ns/net")
	return err == nil && denied == nil && own == first
}

// Logs gives the ends of the logs of containerd, the kubelet and all containers.
func (n *Node) Logs() string {
	var b strings.Builder
	for _, name := range []string{"node", "containerd", "kubelet"} {
		fmt.Fprintf(&b, "log of %s:\n%s\n", name, tail(logFile(n.folder, name)))
	}
	if n.main == nil {
		return b.String()
	}
	files, _ := filepath.Glob(n.inside("/var/log/pods/*/*/*.log")) // the pattern is right
	for _, file := range files {
		fmt.Fprintf(&b, "log of %s:\n%s\n", strings.TrimPrefix(file, n.inside("/var/log/pods")), tail(file))
	}
	return b.String()
}

// inside is where this process finds a file of the node.
func (n *Node) inside(path string) string { return fmt.Sprintf("/proc/%d/root%s", n.main.Pid, path) }

// close ends the node. Its programs, its containers and its mounts are in
// namespaces that end with their first process, however this one ends.
func (n *Node) close() error {
	if n.main != nil {
		n.main.Kill()
	}
	return errors.Join(removeCgroups(n.cgroup), os.RemoveAll(n.folder))
}

// removeCgroups removes an empty cgroup and those in it, of each hierarchy.
func removeCgroups(name string) error {
	if name == "" {
		return nil
	}
	var faults []error
	for _, pattern := range []string{"/sys/fs/cgroup/" + name, "/sys/fs/cgroup/*/" + name} {
		found, _ := filepath.Glob(pattern) // the pattern is right
		for _, top := range found {
			var folders []string
			faults = append(faults, filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					folders = append(folders, path)
				}
				return err
			}))
			for i := len(folders) - 1; i >= 0; i-- {
				faults = append(faults, os.Remove(folders[i]))
			}
		}
	}
	return errors.Join(faults...)
}

// ready asks the API server whether the kubelet says that it can run pods.
func (n *Node) ready() error {
	node, err := n.cluster.Client.CoreV1().Nodes().Get(context.Background(), n.config.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return nil
		}
	}
	text, _ := json.Marshal(node.Status.Conditions) // plain structs cannot fail
	return fmt.Errorf("not ready: %s", text)
}
