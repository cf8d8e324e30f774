package attest

import (
	"net/http"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// runBy makes a pod of a service account, which nobody injected, and its token.
func (b *bench) runBy(t *testing.T, namespace, account, name string, addresses ...string) string {
	t.Helper()
	return b.runLabelled(t, namespace, account, name, nil, addresses...)
}

func (b *bench) runLabelled(t *testing.T, namespace, account, name string, labels map[string]string, addresses ...string) string {
	t.Helper()
	core := b.cluster.Client.CoreV1()
	if _, err := core.ServiceAccounts(namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod, err := core.Pods(namespace).Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: corev1.PodSpec{ServiceAccountName: account, Containers: []corev1.Container{{Name: "heddle", Image: "x"}}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range addresses {
		pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: one})
		pod.Status.PodIP = addresses[0]
	}
	if _, err := core.Pods(namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	answer, err := core.ServiceAccounts(namespace).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{"heddle"}, BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Token
}

// Gateways and AuthZ services are pods of the service accounts that the operator was
// told of, and of no others.
func TestGatewaysAndAuthzServices(t *testing.T) {
	b := newBench(t)
	other := b.cluster.Namespace(t)
	key := strings.Repeat("ab", 32)
	gateway, authz := b.runBy(t, b.namespace, "gateways", "edge-1", "10.1.1.1", "fd00::1"), b.runBy(t, b.namespace, "authz", "authz-1", "10.1.1.2")
	elsewhere, stranger := b.runBy(t, other, "gateways", "edge-1", "10.1.1.3"), b.token(t, b.pod, "heddle")
	unborn := b.runBy(t, other, "authz", "authz-2")
	edge := func(namespace string) string {
		return `{"gateway":"edge","instance":"edge-1.` + namespace + `.prod","key":"` + key + `"}`
	}
	for name, test := range map[string]struct {
		token, body string
		status      int
		says        string
	}{
		"a gateway":                    {gateway, edge(b.namespace), 200, "join|gateway/edge|pod " + b.namespace + "/edge-1 of prod|1m0s|edge-1." + b.namespace + ".prod|" + key + "|10.1.1.1|fd00::1"},
		"an AuthZ service":             {authz, `{"authz":true,"key":"` + key + `"}`, 200, "join|heddle/authz|"},
		"the account elsewhere":        {elsewhere, edge(other), 403, "does not run gateway"},
		"another account":              {stranger, edge(b.namespace), 403, "is instance"},
		"another account, as itself":   {stranger, `{"gateway":"edge","instance":"web-1.` + b.namespace + `.prod"}`, 403, "does not run gateway"},
		"another account, as AuthZ":    {stranger, `{"authz":true}`, 403, "does not run the AuthZ service"},
		"a gateway as AuthZ":           {gateway, `{"authz":true}`, 403, "does not run the AuthZ service"},
		"an AuthZ service as gateway":  {authz, `{"gateway":"edge","instance":"authz-1.` + b.namespace + `.prod"}`, 403, "does not run gateway"},
		"another gateway":              {gateway, `{"gateway":"inner","instance":"edge-1.` + b.namespace + `.prod"}`, 403, "does not run gateway"},
		"another instance":             {gateway, `{"gateway":"edge","instance":"edge-2.` + b.namespace + `.prod"}`, 403, "is instance"},
		"a gateway as a service":       {gateway, `{"service":"web","instance":"edge-1.` + b.namespace + `.prod"}`, 403, "was not injected"},
		"an AuthZ service as a server": {authz, `{"server":true}`, 400, "unknown field"},
		"no address yet":               {unborn, `{"authz":true}`, 403, "does not run"},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := b.send(t, test.token, test.body)
			if status != test.status || !strings.Contains(answer, test.says) || status != 200 && strings.Contains(answer, "joinToken") {
				t.Errorf("%d %s", status, answer)
			}
		})
	}
	b.mesh.refuses = mesh.Denied("no")
	if status, answer := b.send(t, gateway, edge(b.namespace)); status != http.StatusForbidden || !strings.Contains(answer, "--keeper kubernetes/prod --vouch gateway/edge") {
		t.Errorf("a token that vouches for nobody: %d %s", status, answer)
	}
}

// A join token without the pod's address would be good from everywhere.
func TestAPodWithoutAnAddressWaits(t *testing.T) {
	b := newBench(t)
	token := b.runBy(t, b.namespace, "authz", "authz-1")
	if status, answer := b.send(t, token, `{"authz":true}`); status != http.StatusServiceUnavailable || !strings.Contains(answer, "has no address yet") {
		t.Errorf("%d %s", status, answer)
	}
}

func TestAccountsAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"gateway/edge=gw": "gateway/edge mesh-system/gw", "heddle/authz=other/az": "heddle/authz other/az",
		"gateway/edge": "", "gateway/edge=": "", "gateway/edge=a/": "", "gateway/edge=a/b/c": "", "service/web=x": "", "heddle/server=x": "", "edge=x": "", "gateway/edge=A": "",
	} {
		of, account, err := ParseAccount(text, "mesh-system")
		if got := of.String() + " " + account.String(); (err != nil) != (want == "") || err == nil && got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}
