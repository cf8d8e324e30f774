package webhook

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-mesh/heddle/internal/kubernetes/inject"
)

func settings() inject.Settings {
	return inject.Settings{Cluster: "prod", Namespace: "heddle-system", Image: "heddle:1", Server: "https://s:7443", XDS: []string{"s:18443"}, AttestURL: "https://o:9443"}
}

// ask sends a body and gives the status, and the review or the text that came back.
func ask(t *testing.T, path, contentType, body string) (int, *admissionv1.AdmissionResponse, string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	request.Header.Set("Content-Type", contentType)
	Handler(Config{Settings: settings}).ServeHTTP(recorder, request)
	text, err := io.ReadAll(recorder.Body)
	if err != nil {
		t.Fatal(err)
	}
	if recorder.Code != http.StatusOK {
		return recorder.Code, nil, string(text)
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(text, &review); err != nil || review.Response == nil {
		t.Fatalf("no review: %v: %s", err, text)
	}
	if review.APIVersion != "admission.k8s.io/v1" || review.Response.UID != "u" {
		t.Errorf("version %q, uid %q", review.APIVersion, review.Response.UID)
	}
	return recorder.Code, review.Response, ""
}

func review(object, more string) string {
	return fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","resource":{"version":"v1","resource":"pods"},"operation":"CREATE","namespace":"shop"%s,"object":%s}}`, more, object)
}

const webPod = `{"metadata":{"name":"web-1","labels":{"app":"web"}},"spec":{"containers":[{"name":"app","image":"web:1"}],"somethingNewer":{"a":1}}}`

func TestAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		path, object, more string
		allowed            bool
		patch              bool
		warning, message   string
	}{
		"injected":           {path: ByNamespacePath, object: webPod, allowed: true, patch: true},
		"not asked":          {path: ByPodPath, object: webPod, allowed: true},
		"no service":         {path: ByNamespacePath, object: `{"metadata":{"name":"x"},"spec":{"containers":[]}}`, allowed: true, patch: true, warning: "which service"},
		"asks, two ports":    {path: ByPodPath, object: `{"metadata":{"name":"x","labels":{"app":"web","heddle.io/inject":"true"}},"spec":{"containers":[{"name":"a","ports":[{"containerPort":1},{"containerPort":2}]}]}}`, message: "2 TCP ports"},
		"bad annotation":     {path: ByNamespacePath, object: strings.Replace(webPod, `"labels"`, `"annotations":{"heddle.io/app-port":"99999"},"labels"`, 1), message: "heddle.io/app-port"},
		"no pod":             {path: ByNamespacePath, object: `{"metadata": 5}`, message: "cannot be read"},
		"null":               {path: ByNamespacePath, object: `null`, message: "cannot be read"},
		"a subresource":      {path: ByNamespacePath, object: webPod, more: `,"subResource":"ephemeralcontainers"`, allowed: true},
		"namespace it lies":  {path: ByNamespacePath, object: strings.Replace(webPod, `"name":"web-1"`, `"name":"web-1","namespace":"kube-system"`, 1), allowed: true, patch: true},
		"deep nesting":       {path: ByNamespacePath, object: `{"metadata":{"name":"x","managedFields":[{"fieldsV1":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}]}}`, allowed: true, patch: true, warning: "which service"},
		"commas in a text":   {path: ByNamespacePath, object: strings.Replace(webPod, `"labels"`, `"annotations":{"list":"\"`+strings.Repeat(`,{\"`, mostElements)+`"},"labels"`, 1), allowed: true, patch: true},
		"terminal in a name": {path: ByNamespacePath, object: strings.Replace(webPod, `"labels"`, `"annotations":{"heddle.io/drain":"\u001b[2J"},"labels"`, 1), message: `"\x1b[2J"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, response, text := ask(t, test.path, "application/json; charset=utf-8", review(test.object, test.more))
			if response == nil {
				t.Fatal(text)
			}
			if response.Allowed != test.allowed || len(response.Patch) > 0 != test.patch || !strings.Contains(strings.Join(response.Warnings, "\n"), test.warning) {
				t.Errorf("%+v", response)
			}
			if test.message != "" && (response.Result == nil || !strings.Contains(response.Result.Message, test.message)) {
				t.Errorf("message: %+v", response.Result)
			}
			if strings.Contains(string(response.Patch), "somethingNewer") {
				t.Error("the patch touches what this program does not know")
			}
		})
	}
}

func TestHostileBodies(t *testing.T) {
	for name, test := range map[string]struct {
		contentType, body string
		status            int
	}{
		"empty":            {"application/json", "", 400},
		"no JSON":          {"application/json", "hello", 400},
		"no content type":  {"", review(webPod, ""), 415},
		"YAML":             {"application/yaml", "a: b", 415},
		"another version":  {"application/json", strings.Replace(review(webPod, ""), "/v1", "/v1beta1", 1), 400},
		"no request":       {"application/json", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, 400},
		"no uid":           {"application/json", strings.Replace(review(webPod, ""), `"uid":"u",`, "", 1), 400},
		"too deep":         {"application/json", strings.Repeat("[", 20_000), 400},
		"too many values":  {"application/json", review(`{"spec":{"containers":[{}`+strings.Repeat(",{}", mostElements)+`]}}`, ""), 413},
		"too large":        {"application/json", review(`"`+strings.Repeat("x", mostBody)+`"`, ""), 413},
		"a list":           {"application/json", "[]", 400},
		"something behind": {"application/json", review(webPod, "") + "x", 400},
	} {
		t.Run(name, func(t *testing.T) {
			if status, _, text := ask(t, ByNamespacePath, test.contentType, test.body); status != test.status || len(text) > 1000 {
				t.Errorf("status %d, want %d: %.200s", status, test.status, text)
			}
		})
	}
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		recorder := httptest.NewRecorder()
		Handler(Config{Settings: settings}).ServeHTTP(recorder, httptest.NewRequest(method, ByPodPath, nil))
		if recorder.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: status %d", method, recorder.Code)
		}
	}
}

// TestAPodWithoutItsSidecarIsInTheLog and counted as one, not as injected: nobody is
// shown the warnings of pods that a controller makes.
func TestAPodWithoutItsSidecarIsInTheLog(t *testing.T) {
	var log strings.Builder
	registry := prometheus.NewRegistry()
	metrics := NewMetrics(registry)
	handler := Handler(Config{Settings: settings, Logger: slog.New(slog.NewTextHandler(&log, nil)), Metrics: metrics})
	request := httptest.NewRequest(http.MethodPost, ByNamespacePath, strings.NewReader(review(`{"metadata":{"name":"x"},"spec":{"containers":[]}}`, "")))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	if said := log.String(); !strings.Contains(said, `level=INFO msg="a pod gets no sidecar" pod=shop/x reason="nothing says which service`) {
		t.Errorf("the log says %q", said)
	}
	var told admissionv1.AdmissionReview
	if err := json.Unmarshal(recorder.Body.Bytes(), &told); err != nil || !strings.Contains(string(told.Response.Patch), `"heddle.io/not-injected":"nothing says`) {
		t.Errorf("%v, %s", err, recorder.Body)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, one := range family.GetMetric() {
			if labels := one.GetLabel(); len(labels) > 0 && one.GetCounter().GetValue() > 0 && labels[0].GetValue() != "left" {
				t.Errorf("counted as %s", labels[0].GetValue())
			}
		}
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	handler := Handler(Config{Settings: settings, Metrics: NewMetrics(registry)})
	for _, body := range []string{review(webPod, ""), review(webPod, ""), "x", review(`{"metadata": 5}`, "")} {
		request := httptest.NewRequest(http.MethodPost, ByNamespacePath, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		handler.ServeHTTP(httptest.NewRecorder(), request)
	}
	want := `
# HELP heddle_operator_pods_total Pods that the injector was asked about, by result: injected, left (no sidecar, or it has it), refused, failed; malformed: no pod at all; limited: one of too many at once.
# TYPE heddle_operator_pods_total counter
heddle_operator_pods_total{result="failed"} 0
heddle_operator_pods_total{result="injected"} 2
heddle_operator_pods_total{result="left"} 0
heddle_operator_pods_total{result="limited"} 0
heddle_operator_pods_total{result="malformed"} 1
heddle_operator_pods_total{result="refused"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "heddle_operator_pods_total"); err != nil {
		t.Error(err)
	}
}

// fits says whether an answer is one that the body may have: only a pod that can be
// decoded gets a patch, and that is a list of operations.
func fits(t *testing.T, body string, answer []byte) {
	t.Helper()
	var asked, answered admissionv1.AdmissionReview
	if err := json.Unmarshal([]byte(body), &asked); err != nil || asked.Request == nil {
		t.Fatalf("an answer to what is no review: %s", answer)
	}
	if err := json.Unmarshal(answer, &answered); err != nil || answered.Response == nil || answered.Response.UID != asked.Request.UID {
		t.Fatalf("no answer to it (%v): %s", err, answer)
	}
	of, got := asked.Request, answered.Response
	isPod := of.Resource == metav1.GroupVersionResource{Version: "v1", Resource: "pods"} && of.SubResource == "" && of.Operation == admissionv1.Create
	if !isPod {
		if !got.Allowed || got.Patch != nil {
			t.Errorf("no creation of a pod: %s", answer)
		}
		return
	}
	var operations []map[string]any
	if err := json.Unmarshal(of.Object.Raw, &corev1.Pod{}); err != nil && (got.Allowed || got.Patch != nil) {
		t.Errorf("a pod that cannot be decoded (%v): %s", err, answer)
	} else if got.Patch != nil && (!got.Allowed || json.Unmarshal(got.Patch, &operations) != nil || len(operations) == 0) {
		t.Errorf("its patch: %s", answer)
	}
}

// Whatever the body, there is an answer, and never a patch of a malformed one.
func FuzzBody(f *testing.F) {
	f.Add(review(webPod, ""))
	f.Add(review(`{"metadata": 5}`, ""))
	f.Add(review(webPod, `,"subResource":"status"`))
	f.Add(review(`{"metadata":{"annotations":{"heddle.io/injected":"v1","heddle.io/before":"{}"}}}`, ""))
	handler := Handler(Config{Settings: settings})
	f.Fuzz(func(t *testing.T, body string) {
		request := httptest.NewRequest(http.MethodPost, ByNamespacePath, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if recorder.Code == http.StatusOK {
			fits(t, body, recorder.Body.Bytes())
		}
	})
}
