package kubetest_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/heddle-mesh/heddle/internal/kubetest"
)

func TestAPIServerComesBackAsItWas(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out the starts of an API server")
	}
	cluster := kubetest.Start(t, kubetest.Config{Tokens: []kubetest.Token{{Token: "of-jo", User: "jo", Groups: []string{"system:masters", "people"}}}})
	namespace := cluster.Namespace(t)
	maps := kubernetes.NewForConfigOrDie(cluster.WithToken("of-jo")).CoreV1().ConfigMaps(namespace)
	first, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "first"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	running, err := maps.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer running.Stop()
	if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "second"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	cluster.StopServer(t)
	for range running.ResultChan() { //nolint:revive // until the API server's end closes it
	}
	if _, err := maps.Get(t.Context(), "first", metav1.GetOptions{}); err == nil {
		t.Error("the API server answers though it is stopped")
	}
	cluster.Compact(t)
	cluster.StartServer(t)
	if _, err := maps.Get(t.Context(), "second", metav1.GetOptions{}); err != nil {
		t.Errorf("what was stored before is gone: %v", err)
	}
	expectGone(t, cluster, namespace, first.ResourceVersion)

	cluster.KillServer(t)
	cluster.StartServer(t)
	headless(t, cluster, namespace)
	cluster.Kubelet(t, "restart-1", nil).RunPod(t, pod(namespace, "web-1"), "10.1.0.1")
	awaitEndpoints(t, cluster, namespace, "10.1.0.1 ready serving") // the controller manager goes on
}

func TestCompactionIsFeltAtOnceWithoutWatchCache(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out the starts of an API server")
	}
	cluster := kubetest.Start(t, kubetest.Config{NoControllers: true, APIServer: []string{"--watch-cache=false"}})
	namespace := cluster.Namespace(t)
	maps := cluster.Client.CoreV1().ConfigMaps(namespace)
	versions := make([]string, 0, 3)
	for _, name := range []string{"first", "second", "third"} {
		made, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, made.ResourceVersion)
	}
	cluster.Compact(t)
	expectGone(t, cluster, namespace, versions[0])
}

// expectGone wants a watch from a resource version that is forgotten to be told so.
func expectGone(t *testing.T, cluster *kubetest.Cluster, namespace, version string) {
	t.Helper()
	old, err := cluster.Client.CoreV1().ConfigMaps(namespace).Watch(t.Context(), metav1.ListOptions{ResourceVersion: version})
	if err == nil {
		defer old.Stop()
		event := <-old.ResultChan()
		if event.Type == watch.Error {
			err = apierrors.FromObject(event.Object)
		}
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("a watch from before the compaction got %v, want 410 Gone", err)
	}
}
