package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"os"
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
	// mostElements bounds the values in a review: an empty container takes three bytes
	// there, and some hundreds once it is decoded.
	mostElements = 20_000
	// mostAtOnce are decided about at once. It takes some milliseconds, for which the
	// others wait: the API server gives up after 5 s.
	mostAtOnce  = 4
	mostWaiting = 4 * time.Second
)

// Config has what a Handler needs.
type Config struct {
	Settings func() inject.Settings // asked for each pod: roots change
	Logger   *slog.Logger
	Metrics  *Metrics // nil: none
}

// Handler serves the two paths. Any pod may call: a body is read before anything is
// taken that all callers share but memory, and of that others leave enough.
func Handler(cfg Config) http.Handler {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h := &handler{Config: cfg, intake: newIntake(), deciding: make(chan struct{}, mostAtOnce)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+ByNamespacePath, h.serve(inject.ByNamespace))
	mux.HandleFunc("POST "+ByPodPath, h.serve(inject.ByPod))
	return mux
}

type handler struct {
	Config
	intake   intake
	deciding chan struct{}
}

func (h *handler) serve(by inject.Opted) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		body, leave, problem := h.read(w, r)
		defer leave()
		if problem == nil && !h.wait(r) {
			problem = &limited
		}
		if problem != nil {
			h.refuse(w, r, problem, began)
			return
		}
		answer, result, problem := h.decideInTurn(body, by)
		if problem != nil {
			h.refuse(w, r, problem, began)
			return
		}
		h.Metrics.count(result, began)
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			h.Logger.Debug("the API server did not take an answer", "error", err)
		}
	}
}

// wait waits for one of the places of those that are decided about.
func (h *handler) wait(r *http.Request) bool {
	enough := time.NewTimer(mostWaiting)
	defer enough.Stop()
	select {
	case h.deciding <- struct{}{}:
		return true
	case <-r.Context().Done():
	case <-enough.C:
	}
	return false
}

func (h *handler) refuse(w http.ResponseWriter, r *http.Request, problem *problem, began time.Time) {
	result := "malformed"
	if problem.status == http.StatusServiceUnavailable {
		result = "limited"
		w.Header().Set("Retry-After", "1")
	}
	h.Metrics.count(result, began)
	h.Logger.Warn("a request to the webhook is not answered", "from", r.RemoteAddr, "error", problem.text)
	http.Error(w, problem.text, problem.status)
}

// decideInTurn gives the turn back that wait took.
func (h *handler) decideInTurn(body []byte, by inject.Opted) (*admissionv1.AdmissionReview, string, *problem) {
	defer func() { <-h.deciding }()
	return h.decide(body, by)
}

func (h *handler) decide(body []byte, by inject.Opted) (*admissionv1.AdmissionReview, string, *problem) {
	review, problem := parse(body)
	if problem != nil {
		return nil, "", problem
	}
	response, result := h.review(review.Request, by)
	response.UID = review.Request.UID
	return &admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: response}, result, nil
}

// problem is why a request is no review.
type problem struct {
	status int
	text   string
}

var limited = problem{http.StatusServiceUnavailable, errFull.Error()}

func (h *handler) read(w http.ResponseWriter, r *http.Request) ([]byte, func(), *problem) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, func() {}, &problem{http.StatusUnsupportedMediaType, "the body has to be application/json"}
	}
	body, leave, err := h.intake.read(w, r, mostBody)
	switch {
	case err == nil:
		return body, leave, nil
	case errors.Is(err, errFull):
		return nil, leave, &limited
	case errors.Is(err, errLarge):
		return nil, leave, &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", mostBody)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, leave, &problem{http.StatusRequestTimeout, fmt.Sprintf("the body took more than %s", mostReading)}
	}
	return nil, leave, &problem{http.StatusBadRequest, "the body ended early"}
}

// elements counts what may become a value: what is behind a comma or opens an object or a list.
func elements(text []byte) (n int) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			quoted = !quoted
		case '\\':
			i++ // outside of strings it is no JSON
		case ',', '{', '[':
			if !quoted {
				n++
			}
		}
	}
	return n
}

func parse(body []byte) (*admissionv1.AdmissionReview, *problem) {
	if n := elements(body); n > mostElements {
		return nil, &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has %d values; at most %d are taken", n, mostElements)}
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
	if outcome.Without != "" {
		c.Logger.Info("a pod gets no sidecar", "pod", inject.Name(&pod), "reason", outcome.Without)
	}
	if len(outcome.Patch) == 0 {
		c.Logger.Debug("a pod is left as it is", "pod", inject.Name(&pod), "warnings", outcome.Warnings)
		return response, "left"
	}
	if response.Patch, err = json.Marshal(outcome.Patch); err != nil {
		return denied(http.StatusInternalServerError, metav1.StatusReasonInternalError, err.Error()), "failed"
	}
	kind := admissionv1.PatchTypeJSONPatch
	response.PatchType = &kind
	if outcome.Without != "" {
		return response, "left"
	}
	c.Logger.Debug("a pod gets its sidecar", "pod", inject.Name(&pod), "service", outcome.Pod.Annotations[inject.ServiceKey])
	return response, "injected"
}

func denied(code int32, reason metav1.StatusReason, message string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}}
}
