package attest

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Path is where pods ask.
const Path = "/attest"

// reasonToken is for a token that the API server does not know: whoever has a
// newer one may try again.
const reasonToken mesh.Reason = "token"

// What one address may ask: a pod asks once in its life, and again when it was
// refused. All of them together cannot ask more of the API server than perSecond.
const (
	perAddress      = rate.Limit(1)
	addressBurst    = 20
	perSecond       = rate.Limit(100)
	burst           = 300
	mostAddresses   = 20_000
	mostRequest     = 4 << 10
	mostTokenLength = 16 << 10
	mostReading     = 2 * time.Second
)

// Attestor answers pods that want to join.
type Attestor struct {
	cfg Config
	all *rate.Limiter

	mu        sync.Mutex
	addresses map[string]*rate.Limiter // guarded by mu; emptied when full
}

// New makes an Attestor.
func New(cfg Config) *Attestor {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Attestor{cfg: cfg, all: rate.NewLimiter(perSecond, burst), addresses: map[string]*rate.Limiter{}}
}

// ServeHTTP answers POST /attest: {"service","instance","key"}, or "gateway" or "authz"
// in the place of the service, with {"joinToken"}.
func (a *Attestor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		a.answer(w, http.StatusMethodNotAllowed, "POST is what is answered here")
		return
	}
	if !a.allow(r.RemoteAddr) {
		a.limited(w)
		return
	}
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if token = strings.TrimSpace(token); !bearer || token == "" || len(token) > mostTokenLength {
		a.cfg.Metrics.count("refused")
		a.answer(w, http.StatusUnauthorized, "the header Authorization has to be: Bearer, and the pod's projected service account token")
		return
	}
	want, err := read(w, r)
	if err != nil {
		a.cfg.Metrics.count("refused")
		a.answer(w, http.StatusBadRequest, err.Error())
		return
	}
	if !a.all.AllowN(a.cfg.Now(), 1) { // taken by those only that ask something
		a.limited(w)
		return
	}
	secret, err := a.attest(r.Context(), token, want)
	if err != nil {
		a.refuse(w, r, want, err)
		return
	}
	a.cfg.Metrics.count("attested")
	a.cfg.Logger.Info("a pod was attested", "audit", true, "action", "attested", "object", want.String(), "from", r.RemoteAddr)
	writeJSON(w, http.StatusOK, "application/json", struct {
		JoinToken string `json:"joinToken"`
	}{secret})
}

func (a *Attestor) limited(w http.ResponseWriter) {
	a.cfg.Metrics.count("limited")
	w.Header().Set("Retry-After", "5")
	a.answer(w, http.StatusTooManyRequests, "too many attestations at once: try again in some seconds")
}

func read(w http.ResponseWriter, r *http.Request) (wanted, error) {
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(mostReading)) // a recorder has none
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostRequest))
	decoder.DisallowUnknownFields()
	var want wanted
	if err := decoder.Decode(&want); err != nil {
		return want, errors.New(`the body has to be {"service": NAME, "instance": ID, "key": SHA-256}, with gateway or authz in the place of the service: ` + err.Error())
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return want, errors.New(`the body has to be {"service": NAME, "instance": ID} and nothing more`)
	}
	_ = connection.SetReadDeadline(time.Time{}) // it may not end the answer; of a body that was not read it stands
	return want, mesh.Invalid("the body", want.faults())
}

// faults are those of the form: a name is no name, or there are two.
func (w wanted) faults() mesh.Faults {
	of, named := w.identity(), 0
	for _, one := range []bool{w.Service != "", w.Gateway != "", w.Authz} {
		if one {
			named++
		}
	}
	if named != 1 {
		return mesh.Faults{{Path: "service", Message: "is one of service, gateway and authz"}}
	}
	if _, err := hex.DecodeString(w.Key); err != nil || len(w.Key) != 0 && len(w.Key) != 64 {
		return mesh.Faults{{Path: "key", Message: "is not a SHA-256 sum in hexadecimal"}}
	}
	if w.Authz && w.Instance == "" {
		return nil
	}
	return (&mesh.Proxy{Service: cmp.Or(of.Name, "authz"), Instance: w.Instance}).Validate()
}

// String names the workload in the log: "instance/orders/orders-7d4f.shop.prod".
func (w wanted) String() string {
	if w.Service != "" {
		return "instance/" + string(w.Service) + "/" + string(w.Instance)
	}
	return strings.TrimSuffix(w.identity().String()+"/"+string(w.Instance), "/")
}

// refuse tells the caller what it may know, and the log all.
func (a *Attestor) refuse(w http.ResponseWriter, r *http.Request, want wanted, err error) {
	var told *mesh.Error
	status, message := http.StatusServiceUnavailable, "the attestation could not be made: try again"
	if errors.As(err, &told) {
		message = told.Message // without its cause
	}
	switch {
	case mesh.ReasonOf(err) == reasonToken:
		status = http.StatusUnauthorized
	case mesh.KindOf(err) == mesh.KindDenied:
		status = http.StatusForbidden
	}
	if status == http.StatusServiceUnavailable {
		a.cfg.Metrics.count("failed")
		w.Header().Set("Retry-After", "2")
	} else {
		a.cfg.Metrics.count("refused")
	}
	a.cfg.Logger.Warn("a pod was not attested", "audit", true, "action", "attestation-refused",
		"object", want.String(), "from", r.RemoteAddr, "error", err)
	a.answer(w, status, message)
}

// allow takes one from what an address may still ask.
func (a *Attestor) allow(remote string) bool {
	host := remote
	if i := strings.LastIndexByte(remote, ':'); i > 0 {
		host = remote[:i]
	}
	a.mu.Lock()
	limiter := a.addresses[host]
	if limiter == nil {
		if len(a.addresses) >= mostAddresses {
			clear(a.addresses) // bounded memory; the limit on all still holds
		}
		limiter = rate.NewLimiter(perAddress, addressBurst)
		a.addresses[host] = limiter
	}
	a.mu.Unlock()
	return limiter.AllowN(a.cfg.Now(), 1)
}

// answer refuses as the server's REST API does: with problem details (RFC 9457).
func (a *Attestor) answer(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, "application/problem+json", struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(status), status, message})
}

func writeJSON(w http.ResponseWriter, status int, kind string, v any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone
}

func nonEmpty(text string) error {
	if text == "" {
		return nil
	}
	return errors.New(text)
}
