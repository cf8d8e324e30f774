package kubernetes_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/identity"
	manifests "github.com/heddle-mesh/heddle/internal/kubernetes/install"
	"github.com/heddle-mesh/heddle/internal/kubetest"
)

// installation is a Heddle of several servers as the manifests have it, as far as a
// cluster without hosts can: the server and the operator run beside it, under the
// names and at the ports that pods call.
type installation struct {
	*world
	host    *host
	own     string // its namespace
	kubelet *kubetest.Kubelet
	options manifests.Options
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	c := cluster(t)
	h := newHost(t, c)
	own := c.Namespace(t)
	etcd := startEtcd(t, c)
	i := &installation{host: h, own: own, options: manifests.Options{Namespace: own, Cluster: "prod", Authz: true, Gateway: true, EtcdEndpoints: etcd.url}}
	i.kubelet = c.Kubelet(t, "host-"+own[len(own)-5:], nil)
	dir := t.TempDir()
	w := &world{t: t, cluster: c, admin: filepath.Join(dir, "admin"), token: filepath.Join(dir, "operator"), name: "prod"}
	i.world = w
	authority := identity.In(dir)
	if err := identity.Create(identity.Config{}, authority); err != nil {
		t.Fatal(err)
	}
	w.server = start(t, "server", "--listen", "127.0.0.1:0", "--xds-listen", "127.0.0.1:0", "--data-dir", dir, "--admin-token-file", w.admin,
		"--etcd-endpoints", etcd.url, "--etcd-ca-file", etcd.file("ca.crt"), "--etcd-cert-file", etcd.file("tls.crt"), "--etcd-key-file", etcd.file("tls.key"),
		"--ca-key", authority.Key, "--ca-cert", authority.Cert, "--tls-listen", hostAddress+":7443", "--xds-tls-listen", hostAddress+":18443", "--require-identity", "--mtls", "strict", "--host", "heddle-server."+own+".svc")
	w.server.awaitReady()
	text, err := os.ReadFile(w.admin)
	if err != nil {
		t.Fatal(err)
	}
	if w.api, err = client.New(client.Config{Address: w.server.said["rest"], Token: strings.TrimSpace(string(text))}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.api.Close)
	if err := os.WriteFile(w.token, []byte(w.heddle("token", "create", "--keeper", "kubernetes/prod", "--vouch", "gateway/edge", "--vouch", "heddle/authz")), 0o600); err != nil {
		t.Fatal(err)
	}
	i.secret("heddle-etcd", etcd.files)
	i.secret("heddle-authz-keys", map[string][]byte{"secret": []byte(strings.Repeat("0123456789abcdef", 4))})
	w.operator = start(t, append([]string{"operator", "--server", w.server.said["restTLS"], "--server-ca-file", filepath.Join(dir, "ca-cert.pem"), "--token-file", w.token,
		"--cluster", "prod=" + rights(t, c, own), "--http-listen", "127.0.0.1:0", "--namespace", own,
		"--webhook-listen", hostAddress + ":443", "--image", "heddle:test", "--pod-server", w.server.said["restTLS"], "--pod-xds", w.server.said["xdsTLS"]}, i.vouches()...)...)
	w.operator.awaitReady()
	h.hosts = fmt.Sprintf("%s heddle-server.%s.svc heddle-operator.%s.svc\n", hostAddress, own, own)
	return i
}

func (i *installation) secret(name string, files map[string][]byte) {
	i.t.Helper()
	_, err := i.cluster.Client.CoreV1().Secrets(i.own).Create(i.t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: files}, metav1.CreateOptions{})
	if err != nil {
		i.t.Fatal(err)
	}
}

// each gives the objects of the manifests.
func (i *installation) each(do func(component string, object runtime.Object)) {
	for _, component := range manifests.Objects(i.options) {
		for _, object := range component.Objects {
			do(component.Name, object)
		}
	}
}

// vouches is what the operator's Deployment tells it about service accounts.
func (i *installation) vouches() (args []string) {
	i.each(func(_ string, object runtime.Object) {
		if deployment, is := object.(*appsv1.Deployment); is && deployment.Name == manifests.Operator {
			for _, one := range deployment.Spec.Template.Spec.Containers[0].Args {
				if strings.HasPrefix(one, "--vouch=") {
					args = append(args, one)
				}
			}
		}
	})
	return args
}

// deploy applies a component, of which one replica is to run, and gives its pod.
func (i *installation) deploy(name string) *corev1.Pod {
	i.t.Helper()
	var objects []runtime.Object
	i.each(func(component string, object runtime.Object) {
		switch object := object.(type) {
		case *appsv1.Deployment:
			if object.Name == name {
				object.Spec.Replicas = new(int32(1))
				objects = append(objects, object)
			}
		case *corev1.ServiceAccount:
			if object.Name == name {
				objects = append(objects, object)
			}
		}
	})
	text, err := manifests.YAML(objects)
	if err != nil {
		i.t.Fatal(err)
	}
	i.cluster.Apply(i.t, string(text))
	return i.pod(name, "")
}

// pod awaits a component's pod, another one than that of a name.
func (i *installation) pod(component, not string) (found *corev1.Pod) {
	i.t.Helper()
	kubetest.Eventually(i.t, "have a pod of "+component, func() error {
		list, err := i.cluster.Client.CoreV1().Pods(i.own).List(i.t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + component})
		if err != nil {
			return err
		}
		for _, one := range list.Items {
			if one.Name != not && one.DeletionTimestamp == nil {
				found = &one
				return nil
			}
		}
		return errors.New("none")
	})
	return found
}

// runs starts what the API server has stored of a pod, and awaits that it is ready.
func (i *installation) runs(pod *corev1.Pod) *space {
	i.t.Helper()
	s := i.host.space()
	i.host.volumes(s, pod)
	pod = i.kubelet.RunPod(i.t, pod, s.address) // its address is known before its processes begin
	s.background(s.container(pod, pod.Spec.Containers[0]))
	s.awaits(pod.Spec.Containers[0].Name, pod.Spec.Containers[0].ReadinessProbe)
	return s
}

// id is the SPIFFE ID in the identity that a pod has got.
func (s *space) id() string {
	s.host.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.folder, "identity", "current", "cert.pem"))
	if err != nil {
		s.host.t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		s.host.t.Fatal(err)
	}
	return certificate.URIs[0].String()
}

// A gateway and an AuthZ service join by the service accounts of their pods: nothing
// ends after which a pod that is moved could not start.
func TestComponentsJoinByTheirServiceAccounts(t *testing.T) {
	i := newInstallation(t)
	for component, want := range map[string]string{manifests.Authz: "spiffe://heddle.local/heddle/authz", manifests.Gateway: "spiffe://heddle.local/gateway/edge"} {
		first := i.deploy(component)
		if got := i.runs(first).id(); got != want {
			t.Errorf("%s is %s", component, got)
		}
		if err := i.cluster.Client.CoreV1().Pods(i.own).Delete(t.Context(), first.Name, *metav1.NewDeleteOptions(0)); err != nil {
			t.Fatal(err)
		}
		if got := i.runs(i.pod(component, first.Name)).id(); got != want {
			t.Errorf("%s, moved, is %s", component, got)
		}
	}
	tokens, err := i.api.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range tokens {
		if one.Kind == "join" && time.Until(one.ExpiresAt) > time.Minute {
			t.Errorf("a join token that lives on: %+v", one)
		}
	}
	// Another service account of that namespace is neither.
	account := i.deploy(manifests.Gateway)
	impostor := account.DeepCopy()
	impostor.ObjectMeta = metav1.ObjectMeta{Name: "impostor", Namespace: i.own}
	impostor.Spec.ServiceAccountName, impostor.Spec.NodeName = "default", ""
	made, err := i.cluster.Client.CoreV1().Pods(i.own).Create(t.Context(), impostor, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := i.host.space()
	i.host.volumes(s, made)
	made = i.kubelet.RunPod(t, made, s.address)
	s.background(s.container(made, made.Spec.Containers[0]))
	kubetest.Eventually(t, "refuse another service account", func() error {
		if !strings.Contains(s.log.String(), "service account "+i.own+"/default does not run gateway") {
			return errors.New(s.log.String())
		}
		return nil
	})
	i.operator.hadAllRights(t)
}
