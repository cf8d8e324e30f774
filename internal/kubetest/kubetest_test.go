package kubetest_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/heddle-mesh/heddle/internal/kubetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(kubetest.Main(m)) }

// pod is one of the service web.
func pod(namespace, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: web},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "web"}}},
	}
}

var web = map[string]string{"app": "web"}

// headless makes the service web.
func headless(t *testing.T, cluster *kubetest.Cluster, namespace string) {
	t.Helper()
	_, err := cluster.Client.CoreV1().Services(namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: web, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// awaitEndpoints waits until the slices of the service web tell of these, each
// "address conditions zone".
func awaitEndpoints(t *testing.T, cluster *kubetest.Cluster, namespace string, want ...string) {
	t.Helper()
	kubetest.Eventually(t, fmt.Sprintf("have the endpoints %q", want), func() error {
		list, err := cluster.Client.DiscoveryV1().EndpointSlices(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=web"})
		if err != nil {
			return err
		}
		var got []string
		for _, slice := range list.Items {
			for _, endpoint := range slice.Endpoints {
				got = append(got, describe(endpoint))
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			return fmt.Errorf("got %q", got)
		}
		return nil
	})
}

func describe(endpoint discoveryv1.Endpoint) string {
	said := endpoint.Addresses[0]
	for _, condition := range []struct {
		name string
		is   *bool
	}{{"ready", endpoint.Conditions.Ready}, {"serving", endpoint.Conditions.Serving}, {"terminating", endpoint.Conditions.Terminating}} {
		if condition.is != nil && *condition.is {
			said += " " + condition.name
		}
	}
	if endpoint.Zone != nil {
		said += " in " + *endpoint.Zone
	}
	return said
}

func TestEndpointSlicesFollowWhatTheKubeletSays(t *testing.T) {
	cluster := kubetest.Shared(t)
	namespace := cluster.Namespace(t)
	kubelet := cluster.Kubelet(t, "slices-1", map[string]string{corev1.LabelTopologyZone: "zone-a"})
	headless(t, cluster, namespace)

	first := kubelet.RunPod(t, pod(namespace, "web-1"), "10.1.0.1")
	second := kubelet.RunPod(t, pod(namespace, "web-2"), "10.1.0.2")
	awaitEndpoints(t, cluster, namespace, "10.1.0.1 ready serving in zone-a", "10.1.0.2 ready serving in zone-a")

	kubelet.SetReady(t, second, false)
	awaitEndpoints(t, cluster, namespace, "10.1.0.1 ready serving in zone-a", "10.1.0.2 in zone-a")

	kubelet.Terminate(t, first)
	awaitEndpoints(t, cluster, namespace, "10.1.0.1 serving terminating in zone-a", "10.1.0.2 in zone-a")

	kubelet.Finish(t, first)
	awaitEndpoints(t, cluster, namespace, "10.1.0.2 in zone-a")
}

func TestPodsOfADeploymentRunOnceBound(t *testing.T) {
	cluster := kubetest.Shared(t)
	namespace := cluster.Namespace(t)
	kubelet := cluster.Kubelet(t, "deployment-1", nil)
	headless(t, cluster, namespace)
	template := pod(namespace, "")
	_, err := cluster.Client.AppsV1().Deployments(namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: web},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: web}, Spec: template.Spec},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var made corev1.Pod
	kubetest.Eventually(t, "have the deployment's pod", func() error {
		list, err := cluster.Client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 {
			return fmt.Errorf("%d pods (%w)", len(list.Items), err)
		}
		made = list.Items[0]
		return nil
	})
	kubelet.RunPod(t, &made, "10.1.0.3", "fd00::3")
	awaitEndpoints(t, cluster, namespace, "10.1.0.3 ready serving")
}

func TestTokensOfServiceAccountsAreIssuedAndReviewed(t *testing.T) {
	cluster := kubetest.Shared(t)
	namespace := cluster.Namespace(t)
	token := cluster.ServiceAccountToken(t, namespace, "default", "heddle")
	review := func(audience string) authenticationv1.TokenReviewStatus {
		answer, err := cluster.Client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
			Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{audience}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return answer.Status
	}
	if got := review("heddle"); !got.Authenticated || got.User.Username != kubetest.AccountUser(namespace, "default") {
		t.Errorf("for its audience the token is reviewed as %+v", got)
	}
	if got := review("another"); got.Authenticated {
		t.Errorf("for another audience the token is reviewed as %+v", got)
	}
}

func TestUsersMayDoWhatTheyWereGranted(t *testing.T) {
	cluster := kubetest.Shared(t)
	namespace := cluster.Namespace(t)
	listServices := func(name string, client kubernetes.Interface, want bool) {
		t.Helper()
		_, err := client.CoreV1().Services(namespace).List(t.Context(), metav1.ListOptions{})
		if want && err != nil || !want && !apierrors.IsForbidden(err) {
			t.Errorf("%s lists services: %v, want it to be allowed: %v", name, err, want)
		}
	}
	certificate := kubernetes.NewForConfigOrDie(cluster.User(t, "jo"))
	account := kubernetes.NewForConfigOrDie(cluster.WithToken(cluster.ServiceAccountToken(t, namespace, "default")))
	listServices("a user", certificate, false)
	listServices("a service account", account, false)

	rule := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"list"}}
	cluster.Allow(t, "jo", namespace, rule)
	cluster.Allow(t, kubetest.AccountUser(namespace, "default"), "", rule)
	listServices("a user", certificate, true)
	listServices("a service account", account, true)
}

const looms = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: looms.kubetest.example}
spec:
  group: kubetest.example
  scope: Namespaced
  names: {kind: Loom, plural: looms, singular: loom}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {low: {type: integer}, high: {type: integer}}
            x-kubernetes-validations:
            - {rule: self.low <= self.high, message: low must not be above high}
`

func TestRulesOfACustomResourceHold(t *testing.T) {
	cluster := kubetest.Shared(t)
	namespace := cluster.Namespace(t)
	cluster.Apply(t, looms)
	loom := "{apiVersion: kubetest.example/v1, kind: Loom, metadata: {name: one, namespace: " + namespace + "}, spec: {low: %d, high: 2}}"
	cluster.Apply(t, fmt.Sprintf(loom, 1))
	if _, err := cluster.Kubectl(t, fmt.Sprintf(loom, 3), "apply", "-f", "-"); err == nil || !strings.Contains(err.Error(), "low must not be above high") {
		t.Errorf("got %v, want the refusal of the rule", err)
	}
}

func TestWebhookOnLoopbackChangesPods(t *testing.T) {
	cluster := kubetest.Shared(t)
	namespace := cluster.Namespace(t)
	webhook := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		kind := admissionv1.PatchTypeJSONPatch
		review.Response = &admissionv1.AdmissionResponse{
			UID: review.Request.UID, Allowed: true, PatchType: &kind,
			Patch: []byte(`[{"op":"add","path":"/spec/containers/-","value":{"name":"sidecar","image":"heddle"}}]`),
		}
		_ = json.NewEncoder(w).Encode(review)
	}))
	defer webhook.Close()
	webhooks := cluster.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	none := admissionregistrationv1.SideEffectClassNone
	made, err := webhooks.Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "kubetest-"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "pods.kubetest.example", SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL: &webhook.URL, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: webhook.Certificate().Raw}),
			},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = webhooks.Delete(t.Context(), made.Name, metav1.DeleteOptions{}) }()

	kubetest.Eventually(t, "have the webhook called", func() error {
		one, err := cluster.Client.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "web-"}, Spec: pod(namespace, "").Spec,
		}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		if len(one.Spec.Containers) != 2 {
			return fmt.Errorf("the pod has %d containers", len(one.Spec.Containers))
		}
		if token := one.Spec.Containers[1].VolumeMounts; len(token) != 1 {
			return fmt.Errorf("the sidecar has not the service account's token: %v", token)
		}
		return nil
	})
}
