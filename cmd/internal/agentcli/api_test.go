package agentcli

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/logtest"
)

func TestAMissingFileOfTokensIsToldOnce(t *testing.T) {
	var log logtest.Buffer
	path := filepath.Join(t.TempDir(), "tokens")
	read := tokensOf(path, slog.New(slog.NewTextHandler(&log, nil)))
	told := func(want int) {
		t.Helper()
		for range 3 {
			read()
		}
		if got := strings.Count(log.String(), "nobody may write"); got != want {
			t.Errorf("told %d times, to be %d:\n%s", got, want, log.String())
		}
	}
	told(1)
	if err := os.WriteFile(path, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	told(1)
	if string(read()) != "0123456789abcdef\n" {
		t.Error("the tokens are not read")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	told(2)
}
