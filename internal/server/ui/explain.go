package ui

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/insight"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// explainView is why a call arrives, or does not.
type explainView struct {
	From, To, Method, Path, Host, Header string // as typed
	Names                                []string
	Faults                               []string
	Answer                               *mesh.Explanation
	Verdict                              chip
	Sees                                 string // what the caller sees of a call that is stopped
	Steps                                []explainedStep
}

// explainedStep is a step with how its state is shown.
type explainedStep struct {
	mesh.ExplainedStep
	Chip  chip
	First bool // it is the one that stops the call
}

func (u *UI) explanation(r *request) (*answer, error) {
	q := r.URL.Query()
	view := explainView{
		From: strings.TrimSpace(q.Get("from")), To: strings.TrimSpace(q.Get("to")), Method: strings.TrimSpace(q.Get("method")),
		Path: strings.TrimSpace(q.Get("path")), Host: strings.TrimSpace(q.Get("host")), Header: q.Get("header"),
	}
	for s := range u.cfg.Catalog.View().Services() {
		view.Names = append(view.Names, string(s.Name))
	}
	if view.From+view.To == "" {
		return &answer{Template: "explain.html", Data: view}, nil
	}
	question := insight.Question{From: view.From, To: mesh.ServiceName(view.To), Request: mesh.ExplainedRequest{Method: view.Method, Path: view.Path, Host: view.Host}}
	for line := range strings.Lines(view.Header) {
		if name, value, is := strings.Cut(strings.TrimSpace(line), ":"); is && strings.TrimSpace(name) != "" {
			if question.Request.Headers == nil {
				question.Request.Headers = map[string]string{}
			}
			question.Request.Headers[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
	for _, fault := range question.Validate() {
		view.Faults = append(view.Faults, fault.Path+" "+fault.Message)
	}
	if len(view.Faults) > 0 {
		return &answer{Template: "explain.html", Data: view, Status: 422}, nil
	}
	explained, err := insight.Explain(u.mesh(), question)
	if err != nil {
		view.Faults = []string{err.Error()}
		return &answer{Template: "explain.html", Data: view, Status: 404}, nil //nolint:nilerr // the page tells it
	}
	u.authors(r).Explanation(&explained)
	view.show(explained)
	return &answer{Template: "explain.html", Data: view}, nil
}

func (v *explainView) show(e mesh.Explanation) {
	v.Answer, v.Verdict = &e, chip{Kind: "ok", Text: "Arrives"}
	switch e.Verdict {
	case mesh.CallStopped:
		v.Verdict = chip{Kind: "bad", Text: "Stopped"}
	case mesh.CallUncertain:
		v.Verdict = chip{Kind: "warn", Text: "Not known to arrive"}
	}
	chips := map[mesh.StepStatus]chip{
		mesh.StepOK: {Kind: "ok", Text: "OK"}, mesh.StepStops: {Kind: "bad", Text: "Stops here"}, mesh.StepWarns: {Kind: "warn", Text: "Look at it"},
		mesh.StepUnknown: {Kind: "info", Text: "Not known here"}, mesh.StepNotReached: {Kind: "none", Text: "Not reached"},
	}
	for _, step := range e.Steps {
		v.Steps = append(v.Steps, explainedStep{step, chips[step.Status], step.ID == e.Stopped})
		if step.ID == e.Stopped && step.Sees != nil {
			var parts []string
			if step.Sees.Status != 0 {
				parts = append(parts, fmt.Sprint(step.Sees.Status))
			}
			if step.Sees.Reason != "" {
				parts = append(parts, "x-heddle-reason: "+step.Sees.Reason)
			}
			v.Sees = strings.Join(append(parts, nonEmpty(step.Sees.Text)...), ", ")
		}
	}
}

func nonEmpty(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// mesh is what questions are asked of.
func (u *UI) mesh() insight.Mesh {
	if u.cfg.Mesh == nil {
		return insight.Mesh{View: u.cfg.Catalog.View(), Now: time.Now()}
	}
	return u.cfg.Mesh()
}

// authors says whose writes whoever asks is told of: of those whose audit is theirs.
func (u *UI) authors(r *request) insight.Authors {
	out := insight.Authors{View: u.cfg.Catalog.View()}
	if r.User != nil {
		out.May = r.User.Token.MayRead
	}
	return out
}

// impactView is who would feel the deletion of a service.
type impactView struct {
	mesh.Impact
	Owner string
}

func (u *UI) impactPage(r *request) (*answer, error) {
	m, name := u.mesh(), mesh.ServiceName(r.PathValue("name"))
	s, declared := m.View.Service(name)
	if !declared {
		return nil, mesh.NotFound("service %q is not declared", mesh.Cut(string(name), 100))
	}
	seen, err := u.seenCalls(r.Context())
	if err != nil {
		u.logger.Warn("what proxies saw is not known now", "error", err)
	}
	done, err := u.cfg.Turns.Take(r.Context(), r.User != nil)
	if err != nil {
		return nil, err
	}
	defer done()
	impact, err := insight.Impact(r.Context(), m, name, nil, seen)
	if err != nil {
		return nil, err
	}
	view := impactView{impact, s.Owner}
	for i := range view.Callers {
		view.Callers[i].Traffic = cmp.Or(view.Callers[i].Traffic, "further away")
	}
	return &answer{Template: "impact.html", Data: view}, nil
}
