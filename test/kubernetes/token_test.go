package kubernetes_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/kubetest"
)

// ask gets a page of what the operator says of itself.
func (w *world) ask(path string) (int, string) {
	answer, err := http.Get(w.operator.said["http"] + path) //nolint:noctx // a test
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, fmt.Sprint(string(text), err)
}

// A token that is revoked and another that takes its place in the file, as in a Secret
// that is rotated: the operator neither ends nor loses what was declared meanwhile.
func TestTheOperatorsTokenIsRotated(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	namespace := c.Namespace(t)
	before := w.operator.PID()
	tokens, err := w.api.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range tokens {
		if one.Kind == "keeper" {
			w.heddle("token", "revoke", one.ID)
		}
	}
	c.Apply(t, strings.ReplaceAll(`
apiVersion: heddle.io/v1alpha1
kind: MeshService
metadata: {name: rotated, namespace: NS}
spec: {owner: team-shop, protocol: http, port: 80, dependencies: []}
`, "NS", namespace))
	kubetest.Eventually(t, "say that the token is not known", func() error {
		status, text := w.ask("/readyz")
		_, metrics := w.ask("/metrics")
		condition, _ := c.Kubectl(t, "", "get", "-n", namespace, "meshservice/rotated", "-o", `jsonpath={.status.conditions[?(@.type=="Accepted")].reason}`)
		if status != http.StatusServiceUnavailable || !strings.Contains(text, "does not know the operator's access token") ||
			!strings.Contains(metrics, "heddle_operator_token_denied 1") || condition != "TokenUnknown" {
			return fmt.Errorf("%d %s, condition %q, metrics %.600s", status, text, condition, metrics)
		}
		return nil
	})
	if err := os.WriteFile(w.token, []byte(w.heddle("token", "create", "--keeper", "kubernetes/prod")), 0o600); err != nil {
		t.Fatal(err)
	}
	kubetest.Eventually(t, "go on with the newest token", func() error {
		status, text := w.ask("/readyz")
		if _, err := w.api.Service(t.Context(), "rotated"); err != nil || status != http.StatusOK {
			return errors.Join(err, fmt.Errorf("%d %s", status, text))
		}
		return nil
	})
	if _, metrics := w.ask("/metrics"); !strings.Contains(metrics, "heddle_operator_token_denied 0") {
		t.Error("the metric says that it is not known still")
	}
	select {
	case <-w.operator.Exited():
		t.Errorf("the operator (%d) ended", before)
	default:
	}
	if told := strings.Count(w.operator.Log.String(), "does not know the operator's access token: nothing is lost"); told != 1 {
		t.Errorf("it is said %d times", told)
	}
}

// Where reads need a token too, the operator waits for one that is known.
func TestTheOperatorAwaitsAToken(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	w.operator.End() // a cluster has one name
	unknown := t.TempDir() + "/token"
	awaiting := start(t, "operator", "--server", w.server.said["rest"], "--token-file", unknown, "--no-leader-election",
		"--cluster", "prod="+c.Kubeconfig, "--http-listen", "127.0.0.1:0")
	kubetest.Eventually(t, "wait for the file", func() error {
		select {
		case <-awaiting.Exited():
			t.Fatalf("it ended:\n%s", awaiting.Log.String())
		default:
		}
		if !strings.Contains(awaiting.Log.String(), "there is no access token now") {
			return errors.New(awaiting.Log.String())
		}
		return nil
	})
	if err := os.WriteFile(unknown, []byte(w.heddle("token", "create", "--keeper", "kubernetes/prod")), 0o600); err != nil {
		t.Fatal(err)
	}
	awaiting.awaitReady()
}

// An operator whose lease has no namespace writes nothing: it is not ready, and says what
// to do, until there is one.
func TestTheOperatorAwaitsTheNamespaceOfItsLease(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	w.operator.End()
	name := "lease-of-" + strings.ToLower(rand.Text()[:8])
	awaiting := start(t, "operator", "--server", w.server.said["rest"], "--token-file", w.token, "--namespace", name,
		"--cluster", "prod="+c.Kubeconfig, "--http-listen", "127.0.0.1:0")
	kubetest.Eventually(t, "say what to do", func() error {
		if !strings.Contains(awaiting.Log.String(), "kubectl create namespace "+name) {
			return errors.New(awaiting.Log.String())
		}
		return nil
	})
	if _, err := os.Stat(awaiting.Ready); err == nil {
		t.Error("it says that it is ready")
	}
	t.Cleanup(func() { _, _ = c.Kubectl(t, "", "delete", "namespace", name, "--ignore-not-found", "--wait=false") })
	if out, err := c.Kubectl(t, "", "create", "namespace", name); err != nil {
		t.Fatal(out, err)
	}
	awaiting.awaitReady()
}
