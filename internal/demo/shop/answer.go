package shop

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// The sample services. They are DNS labels: the names that callers use.
const (
	Web      = "web"
	Orders   = "orders"
	Payments = "payments"
	Ledger   = "ledger"
	Stock    = "stock"
	Reviews  = "reviews"
)

// Answer says who served a request, and what those said that it called.
type Answer struct {
	Service  string   `json:"service"`
	Instance string   `json:"instance"`
	Version  string   `json:"version,omitempty"`
	Caller   string   `json:"caller,omitempty"` // who asked, as the mesh's token says: service/web, gateway/edge
	User     string   `json:"user,omitempty"`   // for whom, if a gateway knows
	Detail   string   `json:"detail,omitempty"`
	Calls    []Answer `json:"calls,omitempty"`
	Error    string   `json:"error,omitempty"` // what went wrong in this app, with the sidecar's words
}

// Find gives the part of the answer that a service gave, or nil.
func (a *Answer) Find(service string) *Answer {
	if a.Service == service {
		return a
	}
	for i := range a.Calls {
		if found := a.Calls[i].Find(service); found != nil {
			return found
		}
	}
	return nil
}

// Check says whether the answer came from service, without an error anywhere,
// having called exactly what is listed; nil means that it is as expected.
func (a *Answer) Check(service string, calls ...string) error {
	if a.Service != service || a.Instance == "" {
		return fmt.Errorf("expected an answer of %s, got one of %q, instance %q", service, a.Service, a.Instance)
	}
	if a.Error != "" {
		return fmt.Errorf("%s: %s", a.Instance, a.Error)
	}
	if len(a.Calls) != len(calls) {
		return fmt.Errorf("%s called %d services, expected %d %v", a.Instance, len(a.Calls), len(calls), calls)
	}
	for i, want := range calls {
		if got := a.Calls[i]; got.Service != want || got.Error != "" {
			return fmt.Errorf("call %d of %s: expected %s, got %q %s", i+1, a.Instance, want, got.Service, got.Error)
		}
	}
	return nil
}

// Checkout is the way of one whole checkout through the mesh; nil means that
// the answer tells of exactly that.
func (a *Answer) Checkout() error {
	if err := a.Check(Web, Orders); err != nil {
		return err
	}
	orders := &a.Calls[0]
	if err := orders.Check(Orders, Payments, Stock); err != nil {
		return err
	}
	return orders.Calls[0].Check(Payments, Ledger)
}

// Proven says whether each part of the answer was asked for with a token of who
// is said to call it; nil means that it was. TCP has no tokens.
func (a *Answer) Proven() error {
	for i := range a.Calls {
		call := &a.Calls[i]
		if want := "service/" + a.Service; call.Service != Ledger && call.Caller != want {
			return fmt.Errorf("%s was called by %q, as its token says, expected %s", call.Instance, call.Caller, want)
		}
		if err := call.Proven(); err != nil {
			return err
		}
	}
	return nil
}

// Explain makes a refusal short: what an app says went wrong, if an app said
// it, else the body as it is.
func Explain(status int, body []byte) error {
	var answer Answer
	if json.Unmarshal(body, &answer) == nil && answer.Error != "" {
		return fmt.Errorf("status %d of %s: %s", status, answer.Instance, answer.Error)
	}
	return fmt.Errorf("status %d: %s", status, body)
}

func (a *App) write(w http.ResponseWriter, status int, answer Answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(answer) // fails only when the caller is gone
}

// finish answers with the calls that went well, or says which did not.
func (a *App) finish(w http.ResponseWriter, r *http.Request, detail string, err error, calls ...Answer) {
	answer := a.answer(detail, calls...)
	answer.Caller, answer.User = readToken(r.Header.Get(TokenHeader))
	if err != nil {
		answer.Error = err.Error()
		a.write(w, http.StatusBadGateway, answer)
		return
	}
	a.write(w, http.StatusOK, answer)
}

func (a *App) answer(detail string, calls ...Answer) Answer {
	return Answer{Service: a.id.Service, Instance: a.id.Instance, Version: a.id.Version, Detail: detail, Calls: calls}
}
