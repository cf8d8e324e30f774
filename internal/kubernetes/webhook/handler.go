package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-mesh/heddle/internal/kubernetes/inject"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The paths of the two webhooks in the MutatingWebhookConfiguration. Each has the
// selector of one way to opt in, so that no labels of namespaces have to be read.
const (
	ByNamespacePath = "/inject/namespace"
	ByPodPath       = "/inject/pod"
)

const (
	// mostBody is a little more than what the API server takes for a request of its own
	// (3 MiB): a review of a creation holds the pod once, and little else.
	mostBody = 3<<20 + 200<<10
	// mostAtOnce bounds what all callers together may have in memory: any pod may call,
	// and a review takes a few milliseconds.
	mostAtOnce = 16
)

// Config has what a Handler needs.
type Config struct {
	Settings func() inject.Settings // asked for each pod: roots change
	Logger   *slog.Logger
	Metrics  *Metrics // nil: none
}

// Handler serves the two paths.
//
// A call that is one too many is refused before its body is read.
func Handler(cfg Config) http.Handler {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+ByNamespacePath, cfg.serve(inject.ByNamespace))
	mux.HandleFunc("POST "+ByPodPath, cfg.serve(inject.ByPod))
	running := make(chan struct{}, mostAtOnce)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case running <- struct{}{}:
			defer func() { <-running }()
			mux.ServeHTTP(w, r)
		default:
			cfg.Metrics.count("limited", time.Now())
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many reviews at once: try again", http.StatusServiceUnavailable)
		}
	})
}

func (c Config) serve(by inject.Opted) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		review, problem := read(w, r)
		if problem != nil {
			c.Metrics.count("malformed", began)
			c.Logger.Warn("a request to the webhook could not be read", "from", r.RemoteAddr, "error", problem.text)
			http.Error(w, problem.text, problem.status)
			return
		}
		response, result := c.review(review.Request, by)
		c.Metrics.count(result, began)
		response.UID = review.Request.UID
		answer := admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: response}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			c.Logger.Debug("the API server did not take an answer", "error", err)
		}
	}
}

// problem is why a request is no review.
type problem struct {
	status int
	text   string
}

func read(w http.ResponseWriter, r *http.Request) (*admissionv1.AdmissionReview, *problem) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, &problem{http.StatusUnsupportedMediaType, "the body has to be application/json"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", tooLarge.Limit)}
	case err != nil:
		return nil, &problem{http.StatusBadRequest, "the body ended early"}
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil {
		return nil, &problem{http.StatusBadRequest, "the body is no AdmissionReview: " + err.Error()}
	}
	if want := admissionv1.SchemeGroupVersion.String(); review.APIVersion != want || review.Kind != "AdmissionReview" {
		return nil, &problem{http.StatusBadRequest, fmt.Sprintf("the body is %.60q of %.60q, not an AdmissionReview of %s", review.Kind, review.APIVersion, want)}
	}
	if review.Request == nil || review.Request.UID == "" {
		return nil, &problem{http.StatusBadRequest, "the AdmissionReview has no request with a uid"}
	}
	return &review, nil
}

// review decides about one pod, and says for the metrics what came of it.
func (c Config) review(request *admissionv1.AdmissionRequest, by inject.Opted) (*admissionv1.AdmissionResponse, string) {
	pods := metav1.GroupVersionResource{Version: "v1", Resource: "pods"}
	if request.Resource != pods || request.SubResource != "" || request.Operation != admissionv1.Create {
		return &admissionv1.AdmissionResponse{Allowed: true}, "left" // not what the manifests ask for
	}
	var pod corev1.Pod
	if err := json.Unmarshal(request.Object.Raw, &pod); err != nil {
		return denied(http.StatusBadRequest, metav1.StatusReasonBadRequest, "the pod cannot be read: "+err.Error()), "refused"
	}
	pod.Namespace = request.Namespace
	outcome, err := inject.Inject(&pod, by, c.Settings())
	if mesh.KindOf(err) == mesh.KindInvalid {
		c.Logger.Info("a pod is refused", "pod", inject.Name(&pod), "user", request.UserInfo.Username, "error", err)
		return denied(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, err.Error()), "refused"
	}
	if err != nil {
		c.Logger.Error("a pod could not be decided about", "pod", inject.Name(&pod), "error", err)
		return denied(http.StatusInternalServerError, metav1.StatusReasonInternalError, err.Error()), "failed"
	}
	response := &admissionv1.AdmissionResponse{Allowed: true, Warnings: outcome.Warnings}
	if len(outcome.Patch) == 0 {
		c.Logger.Debug("a pod is left as it is", "pod", inject.Name(&pod), "warnings", outcome.Warnings)
		return response, "left"
	}
	if response.Patch, err = json.Marshal(outcome.Patch); err != nil {
		return denied(http.StatusInternalServerError, metav1.StatusReasonInternalError, err.Error()), "failed"
	}
	kind := admissionv1.PatchTypeJSONPatch
	response.PatchType = &kind
	c.Logger.Debug("a pod gets its sidecar", "pod", inject.Name(&pod), "service", outcome.Pod.Annotations[inject.ServiceKey])
	return response, "injected"
}

func denied(code int32, reason metav1.StatusReason, message string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}}
}
