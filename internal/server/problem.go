package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

const problemType = "application/problem+json"

// maxFaults bounds a refusal: a body of 1 MiB can be wrong in 100,000 places.
const maxFaults = 200

// refusal is problem details (RFC 9457). Its type is about:blank: title and status say
// what kind of refusal it is, reason tells those of one status apart, detail says what
// happened and how to mend it.
type refusal struct {
	Title    string       `json:"title" doc:"What the status means."`
	Status   int          `json:"status" doc:"The HTTP status."`
	Detail   string       `json:"detail" doc:"What was tried, why it was refused, and how to mend it."`
	Reason   mesh.Reason  `json:"reason,omitempty" enum:"already_exists,stale_revision,request_id_reused,other_epoch,has_dependents,kept,taken,other_source,other_name,corrupt" doc:"For a 409: why, for programs. For a 503: corrupt, when the stored value cannot be read and has to be written anew."`
	Errors   []mesh.Fault `json:"errors,omitempty" nullable:"false" doc:"Every fault of the input, each with the path of its field; for has_dependents, each dependent (service/web) with what becomes of it; up to 200, then how many more."`
	Revision int64        `json:"revision,omitempty" doc:"For a 409: the object's present revision, if there is one."`

	header http.Header
}

func newProblem(status int, detail string) *refusal {
	return &refusal{Title: http.StatusText(status), Status: status, Detail: detail, header: http.Header{}}
}

// Error, GetStatus, GetHeaders and ContentType make it an answer for huma.
func (p *refusal) Error() string             { return p.Detail }
func (p *refusal) GetStatus() int            { return p.Status }
func (p *refusal) GetHeaders() http.Header   { return p.header }
func (p *refusal) ContentType(string) string { return problemType }

// writeProblem answers outside huma.
func writeProblem(w http.ResponseWriter, p *refusal) {
	for name, values := range p.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a client that left is no error of ours
}

// refuse turns an error of the inner packages into a problem. Errors without a
// kind are ours: they are logged, and their text stays here.
func (s *Server) refuse(err error) error {
	var ready *refusal
	if errors.As(err, &ready) {
		return ready
	}
	var e *mesh.Error
	if !errors.As(err, &e) {
		if errors.Is(err, context.Canceled) {
			return newProblem(http.StatusServiceUnavailable, "the request was given up")
		}
		s.logger.Error("a request failed", "error", err)
		return newProblem(http.StatusInternalServerError, "the server failed on this request; its log says why")
	}
	p := newProblem(http.StatusInternalServerError, e.Message)
	p.Reason, p.Errors = e.Reason, e.Faults
	if more := len(p.Errors) - maxFaults; more > 0 {
		p.Errors = append(p.Errors[:maxFaults:maxFaults], mesh.Fault{Message: fmt.Sprintf("and %d more", more)})
	}
	switch e.Kind {
	case mesh.KindInvalid:
		p.Status = http.StatusUnprocessableEntity
	case mesh.KindNotFound:
		p.Status = http.StatusNotFound
	case mesh.KindConflict:
		p.Status = http.StatusConflict
	case mesh.KindDenied:
		p.Status = http.StatusForbidden
	case mesh.KindUnavailable:
		p.Status = http.StatusServiceUnavailable
		p.header.Set("Retry-After", "1")
		s.logger.Warn("a request found something unavailable", "error", e)
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// ourProblems gives huma's own refusals (parameters that cannot be read) the
// form of all others.
func ourProblems(_ huma.Context, _ string, body any) (any, error) {
	theirs, ok := body.(*huma.ErrorModel)
	if !ok {
		return body, nil
	}
	p := newProblem(theirs.Status, theirs.Detail)
	for _, one := range theirs.Errors {
		if one.Location == "" {
			continue
		}
		p.Errors = append(p.Errors, mesh.Fault{Path: strings.TrimPrefix(one.Location, "body."), Message: one.Message})
	}
	if len(p.Errors) > 0 {
		p.Detail = "the request's parameters are wrong"
	}
	return p, nil
}
