package stage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Result is what the scenario found.
type Result struct {
	OK       bool     `json:"ok"`              // every check passed, no request failed, and all ended in order
	Error    string   `json:"error,omitempty"` // why not, in one line
	Checks   []Check  `json:"checks"`          // in the order of the scenario
	Requests Requests `json:"requests"`
}

// Check is one step of the scenario.
type Check struct {
	Name    string             `json:"name"`
	OK      bool               `json:"ok"`
	Detail  string             `json:"detail"` // what was seen, or why it is not as it should be
	Figures map[string]float64 `json:"figures"`
}

// Requests counts the requests that were to succeed.
type Requests struct {
	Sent     int       `json:"sent"`
	Failed   int       `json:"failed"`
	Lost     int       `json:"lost,omitempty"`     // under way at what was killed on purpose
	Failures []Failure `json:"failures,omitempty"` // the first ones
}

// Err is nil when all is well: every check passed and no request failed.
func (r Result) Err() error {
	var bad []string
	for _, check := range r.Checks {
		if !check.OK {
			bad = append(bad, check.Name)
		}
	}
	var found []error
	if len(bad) > 0 {
		found = append(found, fmt.Errorf("%d of %d checks failed: %s", len(bad), len(r.Checks), strings.Join(bad, ", ")))
	}
	if r.Requests.Failed > 0 {
		found = append(found, fmt.Errorf("%d of %d requests failed", r.Requests.Failed, r.Requests.Sent))
	}
	return errors.Join(found...)
}

// Concluded gives the result with how the demo ended.
func (r Result) Concluded(err error) Result {
	r.OK, r.Error = err == nil, ""
	if err != nil {
		r.Error, _, _ = strings.Cut(err.Error(), "\n")
	}
	return r
}

// Report gives the result to a person, who has seen the checks, or as one JSON object.
func (r Result) Report(w io.Writer, asJSON bool) error {
	if asJSON {
		if err := r.WriteJSON(w); err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
		return nil
	}
	lost := ""
	if r.Requests.Lost > 0 {
		lost = fmt.Sprintf(", %d lost that were under way at what was killed", r.Requests.Lost)
	}
	fmt.Fprintf(w, "requests: %d sent, %d failed%s\n", r.Requests.Sent, r.Requests.Failed, lost)
	for _, failure := range r.Requests.Failures {
		fmt.Fprintf(w, "  failed after %s, during %s: %s\n", failure.At, failure.During, failure.Why)
	}
	return nil
}

// WriteJSON writes the result as one object.
func (r Result) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// Line tells one check to a person.
func (c Check) Line() string {
	mark := "ok    "
	if !c.OK {
		mark = "FAILED"
	}
	var figures []string
	for _, name := range slices.Sorted(maps.Keys(c.Figures)) {
		figures = append(figures, name+" "+strconv.FormatFloat(c.Figures[name], 'f', -1, 64))
	}
	line := fmt.Sprintf("%s %-10s %s", mark, c.Name, c.Detail)
	if len(figures) > 0 {
		line += "\n                  " + strings.Join(figures, ", ")
	}
	return line
}

// MS gives a duration in milliseconds, to the microsecond.
func MS(d time.Duration) float64 { return math.Round(float64(d)/float64(time.Microsecond)) / 1000 }

// Percentile gives the q-th part (0 to 1) of what was measured.
func Percentile(measured []time.Duration, q float64) time.Duration {
	if len(measured) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(measured))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// Share is a part in percent, to a tenth.
func Share(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return math.Round(1000*float64(part)/float64(whole)) / 10
}
