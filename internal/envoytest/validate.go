package envoytest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// validateTimeout is far above the 50 ms that a validation takes, for busy machines.
const validateTimeout = time.Minute

// Validate fails the test unless Envoy accepts a bootstrap (`--mode validate`)
// without a warning: warnings are how it tells of deprecated and ignored fields.
func Validate(t testing.TB, bootstrap []byte) {
	t.Helper()
	warnings, err := Judge(t, bootstrap)
	if err != nil {
		t.Errorf("Envoy refuses the configuration: %v", err)
	}
	for _, warning := range warnings {
		t.Errorf("Envoy warns: %s", warning)
	}
}

// Judge asks Envoy about a bootstrap: its warnings, and as an error why it
// refuses it.
func Judge(t testing.TB, bootstrap []byte) (warnings []string, err error) {
	t.Helper()
	envoy := Path(t)
	file := filepath.Join(t.TempDir(), "bootstrap.json")
	if err := os.WriteFile(file, bootstrap, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), validateTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, envoy, "--mode", "validate", "-c", file, "-l", "warning").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, strings.TrimSpace(string(out)))
	}
	for line := range strings.Lines(string(out)) {
		if logged.MatchString(line) {
			warnings = append(warnings, strings.TrimSpace(line))
		}
	}
	return warnings, nil
}

// logged matches the head of a line in Envoy's log that is at least a warning.
var logged = regexp.MustCompile(`^\[[^\]]+\]\[\d+\]\[(warning|error|critical)\]`)
