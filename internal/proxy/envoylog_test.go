package proxy

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
)

func TestEnvoysLinesBecomeLogLines(t *testing.T) {
	var log bytes.Buffer
	p := &process{last: &tail{}, exited: context.Background(), log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))}
	p.readLog(strings.NewReader("info|main|all well\n" +
		"trace|http|a|b\n" +
		"critical|main|error initializing config\n" +
		"error while loading shared libraries\n" +
		"odd|one|here\n" +
		"warning|" + strings.Repeat("x", 2*longestLine) + "\n" +
		"info|main|bad \xff byte\n" +
		"info|main|no line end"))
	got := log.String()
	for _, want := range []string{
		`level=INFO msg="all well" from=envoy logger=main`,
		`level=DEBUG msg=a|b from=envoy logger=http`,
		`level=ERROR msg="error initializing config"`,
		`level=WARN msg="error while loading shared libraries" from=envoy logger=""`,
		`level=WARN msg=odd|one|here`,
		`msg="bad ? byte"`,
		`msg="no line end"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no line has %s", want)
		}
	}
	if lines := strings.Count(got, "\n"); lines != 8 {
		t.Errorf("%d lines, want 8", lines)
	}
	if t.Failed() {
		t.Logf("%.4000s", got)
	}
}

func TestTailKeepsTheLastLines(t *testing.T) {
	last := &tail{}
	for _, line := range strings.Split("a b c d e f g h i j k l", " ") {
		last.add(line)
	}
	if got := strings.ReplaceAll(last.String(), "\n", " "); got != "c d e f g h i j k l" {
		t.Errorf("got %q", got)
	}
}
