package azure

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Events says how Event Grid tells of changes.
type Events struct {
	SecretFile string `yaml:"secretFile"` // what callers have to know; read at each call
}

// The bounds of what Event Grid tells.
const (
	leastSecret = 16
	mostEvents  = 1 << 20 // bytes; Event Grid sends no more at once
	atOnce      = 16
	wakeGap     = time.Second // between wakes
	wakeTime    = 10 * time.Second
	wakeTries   = 30
)

// EventsHandler answers Event Grid's webhook: its handshakes, and its events, by calling
// wake. What an event says is not believed: it only has the source asked sooner. Whoever
// serves it has run go on until its end: run wakes the source for events that were answered
// before it was woken. Both are nil if the settings have no events.
func (s *Source) EventsHandler(wake func(context.Context) error) (handler http.Handler, run func(context.Context)) {
	if s.cfg.Events == nil {
		return nil, nil
	}
	h := &eventsHandler{secretFile: s.cfg.Events.SecretFile, wake: wake, slots: make(chan struct{}, atOnce), pending: make(chan struct{}, 1)}
	for _, one := range s.cfg.Subscriptions {
		h.scopes = append(h.scopes, one.scopes()...)
	}
	return h, h.run
}

// Concern says why this server could not take events now: those that come are refused. It
// is none of the machines'.
func (s *Source) Concern() error {
	if s.cfg.Events == nil {
		return nil
	}
	if _, err := readSecret(s.cfg.Events.SecretFile); err != nil {
		return fmt.Errorf("events are refused, and changes are seen at the next refresh: %w", err)
	}
	return nil
}

type eventsHandler struct {
	secretFile string
	scopes     []string
	wake       func(context.Context) error
	slots      chan struct{}
	pending    chan struct{} // capacity one: run is to wake the source

	mu   sync.Mutex // guards last
	last time.Time  // when it was woken
}

// event is one, in Event Grid's own schema or in that of CloudEvents.
type event struct {
	EventType string `json:"eventType"`
	Type      string `json:"type"`
	Subject   string `json:"subject"`
	Data      struct {
		ValidationCode string `json:"validationCode"`
	} `json:"data"`
}

func (h *eventsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch known, err := h.known(r); {
	case err != nil: // a stranger is not told where it is; who subscribes sees the deliveries fail, and they come again
		http.Error(w, fmt.Sprintf("this server cannot read the source's events.secretFile, or it has fewer than %d characters", leastSecret), http.StatusServiceUnavailable)
		return
	case !known:
		http.Error(w, "the secret is not the one of the source's events.secretFile", http.StatusUnauthorized)
		return
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many events at once", http.StatusTooManyRequests)
		return
	}
	switch r.Method {
	case http.MethodOptions: // CloudEvents, "HTTP 1.1 Web Hooks for Event Delivery", section 4
		if origin := r.Header.Get("WebHook-Request-Origin"); origin != "" {
			w.Header().Set("WebHook-Allowed-Origin", origin)
			w.Header().Set("WebHook-Allowed-Rate", "120")
		}
	case http.MethodPost:
		h.told(w, r)
	default:
		w.Header().Set("Allow", "OPTIONS, POST")
		http.Error(w, "Event Grid posts events", http.StatusMethodNotAllowed)
	}
}

// known compares the secret, in the query or a bearer token, in a time that does not
// depend on it. It fails if this server has no secret to compare it with.
func (h *eventsHandler) known(r *http.Request) (bool, error) {
	want, err := readSecret(h.secretFile)
	if err != nil {
		return false, err
	}
	got, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		got = r.URL.Query().Get("secret")
	}
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1, nil
}

func readSecret(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read events.secretFile: %w", err)
	}
	secret := strings.TrimSpace(string(data))
	if len(secret) < leastSecret {
		return "", fmt.Errorf("events.secretFile %s wants at least %d characters, such as what openssl rand -hex 32 prints", path, leastSecret)
	}
	return secret, nil
}

func (h *eventsHandler) told(w http.ResponseWriter, r *http.Request) {
	events, err := readEvents(http.MaxBytesReader(w, r.Body, mostEvents))
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, err.Error(), status)
		return
	}
	of := false
	for _, one := range events {
		if strings.EqualFold(one.EventType, "Microsoft.EventGrid.SubscriptionValidationEvent") {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]string{"validationResponse": one.Data.ValidationCode})
			return
		}
		of = of || h.of(one.Subject)
	}
	if !of {
		return // 200: Event Grid need not send it again
	}
	if err := h.wakeSoon(r.Context()); err != nil {
		http.Error(w, "the server that lists the machines cannot be told now", http.StatusServiceUnavailable)
	}
}

// readEvents reads one event, or a list.
func readEvents(body interface{ Read([]byte) (int, error) }) ([]event, error) {
	var raw json.RawMessage
	if err := json.NewDecoder(body).Decode(&raw); err != nil {
		return nil, fmt.Errorf("this is not JSON with events: %w", err)
	}
	var many []event
	if json.Unmarshal(raw, &many) == nil {
		return many, nil
	}
	one := event{}
	if err := json.Unmarshal(raw, &one); err != nil {
		return nil, fmt.Errorf("this is not JSON with events: %w", err)
	}
	return []event{one}, nil
}

// of says whether an event is of something that is listed here.
func (h *eventsHandler) of(subject string) bool {
	subject = id(subject)
	ours := false
	for _, kind := range []string{"/microsoft.compute/virtualmachine", "/microsoft.network/networkinterfaces", "/microsoft.network/publicipaddresses"} {
		ours = ours || strings.Contains(subject, kind)
	}
	for _, scope := range h.scopes {
		if ours && strings.HasPrefix(subject, scope+"/") {
			return true
		}
	}
	return false
}

// wakeSoon wakes the source at most once in a while. What comes too soon after is answered
// at once, and has run wake it when it is time: once for all that comes until then.
func (h *eventsHandler) wakeSoon(ctx context.Context) error {
	if !h.due() {
		h.pend()
		return nil
	}
	return h.wakeNow(context.WithoutCancel(ctx)) // others rely on it
}

func (h *eventsHandler) pend() {
	select {
	case h.pending <- struct{}{}:
	default:
	}
}

// due says whether it is time to wake the source again, which the caller then does.
func (h *eventsHandler) due() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pending) > 0 || time.Since(h.last) < wakeGap {
		return false
	}
	h.last = time.Now()
	return true
}

// run wakes the source for events that have been answered, until ctx ends. They do not come
// again, so it is tried for a while: the next refresh is not far then.
func (h *eventsHandler) run(ctx context.Context) {
	for h.await(ctx) {
		for range wakeTries {
			if !h.pause(ctx) || h.wakeNow(ctx) == nil {
				break
			}
		}
	}
}

// await waits for an event that is pending, and leaves it so.
func (h *eventsHandler) await(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-h.pending:
		h.pend()
		return true
	}
}

// pause waits until the source may be woken again, for all that came until then.
func (h *eventsHandler) pause(ctx context.Context) bool {
	h.mu.Lock()
	wait := time.Until(h.last.Add(wakeGap))
	h.mu.Unlock()
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = time.Now()
	select {
	case <-h.pending:
	default:
	}
	return true
}

func (h *eventsHandler) wakeNow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, wakeTime)
	defer cancel()
	return h.wake(ctx)
}
