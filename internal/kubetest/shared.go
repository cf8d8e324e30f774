package kubetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The one cluster of a test binary. There is no other way to hand it from the
// first test that wants it to the last.
var one struct {
	sync.Mutex
	ends    bool // Main will end it
	cluster *Cluster
	err     error // why it did not start
}

// Tests are all tests of a package.
type Tests struct{ m *testing.M }

// Main has [Shared] work in a package, in its TestMain:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(kubetest.Main(m)) }
func Main(m *testing.M) Tests {
	one.Lock()
	defer one.Unlock()
	one.ends = true
	return Tests{m}
}

// Run runs the tests and ends the shared cluster, if any test asked for it.
func (tests Tests) Run() int {
	code := tests.m.Run()
	one.Lock()
	defer one.Unlock()
	if one.cluster == nil {
		return code
	}
	if code != 0 {
		fmt.Fprintln(os.Stderr, one.cluster.logs())
	}
	if err := one.cluster.close(); err != nil {
		fmt.Fprintf(os.Stderr, "stop Kubernetes: %v\n", err)
		return 1
	}
	return code
}

// Shared gives the cluster that all tests of the package use, which the first
// one starts; it ends with the last. A test works in a [Cluster.Namespace] of
// its own, leaves the API server running, and removes what it makes outside
// of a namespace.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	found := find(t, names...)
	one.Lock()
	defer one.Unlock()
	if !one.ends {
		t.Fatal("kubetest.Shared needs in this package: func TestMain(m *testing.M) { goleak.VerifyTestMain(kubetest.Main(m)) }")
	}
	if one.cluster == nil && one.err == nil {
		one.cluster, one.err = launch(found, Config{})
	}
	if one.err != nil {
		t.Fatalf("start the shared Kubernetes: %v", one.err)
	}
	return one.cluster
}

// Namespace makes a namespace for the test, in which pods can be made at once,
// and deletes it at the test's end without waiting for it.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	name := strings.ToLower(strings.Map(letters, t.Name()))
	made, err := c.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: strings.Trim(name[:min(len(name), 40)], "-") + "-"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("make a namespace: %v", err)
	}
	t.Cleanup(func() { c.deleteNamespace(t, made.Name) })
	if c.controllers == nil {
		if _, err := c.Client.CoreV1().ServiceAccounts(made.Name).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}); err != nil {
			t.Fatalf("make the service account default: %v", err)
		}
		return made.Name
	}
	Eventually(t, "have what each namespace has", func() error { return c.settled(made.Name) })
	return made.Name
}

// letters keeps what a name in Kubernetes may have.
func letters(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}

// settled says what a namespace still lacks for pods.
func (c *Cluster) settled(namespace string) error {
	_, account := c.Client.CoreV1().ServiceAccounts(namespace).Get(context.Background(), "default", metav1.GetOptions{})
	_, roots := c.Client.CoreV1().ConfigMaps(namespace).Get(context.Background(), "kube-root-ca.crt", metav1.GetOptions{})
	return errors.Join(account, roots)
}

// deleteNamespace also ends its pods, which otherwise wait for their kubelet.
func (c *Cluster) deleteNamespace(t testing.TB, name string) {
	t.Helper()
	if c.server == nil {
		return // it ends with the cluster
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	pods := c.Client.CoreV1().Pods(name).DeleteCollection(ctx, *metav1.NewDeleteOptions(0), metav1.ListOptions{})
	err := c.Client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		err = nil // the test deleted it
	}
	if err := errors.Join(pods, err); err != nil {
		t.Errorf("delete namespace %s: %v", name, err)
	}
}

// deleteNode has pods on it stay, as those of a host that is gone.
func (c *Cluster) deleteNode(t testing.TB, name string) {
	t.Helper()
	if c.server == nil {
		return // it ends with the cluster
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := c.Client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Errorf("delete node %s: %v", name, err)
	}
}

// Eventually polls until attempt gives nil, for as long as a busy machine may need.
func Eventually(t testing.TB, what string, attempt func() error) {
	t.Helper()
	deadline := time.After(startTimeout)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := attempt()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("did not %s within %s: %v", what, startTimeout, err)
		}
	}
}
