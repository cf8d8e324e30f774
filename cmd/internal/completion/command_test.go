package completion

import (
	"strings"
	"testing"
)

// bash splits words at "=" before it asks.
func TestRejoin(t *testing.T) {
	for in, want := range map[string]string{
		"get --output = y":   "get --output=y",
		"get --output =":     "get --output=",
		"get --output = y x": "get --output=y x",
		"runtime set a = b":  "runtime set a = b",
		"get -o y":           "get -o y",
	} {
		if got := strings.Join(rejoin(strings.Fields(in)), " "); got != want {
			t.Errorf("rejoin(%q) = %q, want %q", in, got, want)
		}
	}
}
