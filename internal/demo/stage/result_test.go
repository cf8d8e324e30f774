package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAFailedRequestFailsItsCheck(t *testing.T) {
	tally := NewTally()
	checks := Play(t.Context(), []Step{{"planted", func(context.Context) (Finding, error) {
		tally.Note(errors.New("status 503"))
		return Finding{"all is well", map[string]float64{"x": 1}}, nil
	}}}, tally, func(Check) {})
	if check := checks[0]; check.OK || !strings.Contains(check.Detail, "1 of 1 requests failed") || check.Figures["x"] != 1 {
		t.Errorf("got %+v", check)
	}
}

func TestChecksThatWereNotPlayedAreSaidToHaveFailed(t *testing.T) {
	stopped, stop := context.WithCancelCause(t.Context())
	stop(errors.New("the server ended"))
	checks := Play(stopped, []Step{{Name: "never"}}, NewTally(), func(Check) {})
	if checks[0].OK || !strings.Contains(checks[0].Detail, "not played: the server ended") {
		t.Errorf("got %+v", checks)
	}
}

func TestResultAsJSON(t *testing.T) {
	var out bytes.Buffer
	r := Result{Checks: []Check{{Name: "spread", OK: true, Detail: "a → b", Figures: map[string]float64{}}}, Requests: Requests{Sent: 3}}
	if err := r.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, out.Bytes()); err != nil {
		t.Fatal(err)
	}
	want := `{"ok":false,"checks":[{"name":"spread","ok":true,"detail":"a → b","figures":{}}],"requests":{"sent":3,"failed":0}}`
	if compact.String() != want {
		t.Errorf("got  %s\nwant %s", compact.String(), want)
	}
	if r.Err() != nil {
		t.Error(r.Err())
	}
	if good := r.Concluded(nil); !good.OK || good.Error != "" {
		t.Errorf("got %+v", good)
	}
	if bad := r.Concluded(errors.New("no\nits log")); bad.OK || bad.Error != "no" {
		t.Errorf("got %+v", bad)
	}
	r.Requests.Failed = 1
	if r.Err() == nil {
		t.Error("a failed request passes")
	}
}

func TestPercentiles(t *testing.T) {
	measured := []time.Duration{9, 1, 5, 3, 7}
	if Percentile(measured, 0.5) != 5 || Percentile(measured, 1) != 9 || Percentile(measured, 0) != 1 || Percentile(nil, 0.5) != 0 {
		t.Errorf("p50 %d, max %d, min %d", Percentile(measured, 0.5), Percentile(measured, 1), Percentile(measured, 0))
	}
}
