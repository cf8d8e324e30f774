package agentcli

import (
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/present"
)

func TestAChangeOfACopyIsToldWithItsReason(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	sick := hosts.Service{ID: "a", Name: "web", Health: hosts.Unhealthy, Reason: "connection refused"}
	for want, event := range map[string]hosts.Event{
		"03:04:05 web on one (a): healthy, now unhealthy: connection refused": {Host: "one", Service: sick, Previous: hosts.Healthy},
		"03:04:05 web on one (a): new, unhealthy: connection refused":         {Host: "one", Service: sick},
		"03:04:05 web on one (a): gone":                                       {Host: "one", Service: sick, Previous: hosts.Unhealthy, Gone: true},
	} {
		if got := hostEventLine(present.Palette{}, at, event); got != want {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}
