package proxy

import (
	"bufio"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// envoyLogFormat is one line for each message: level, logger, and the message
// with its line ends escaped (Envoy, "command line options", --log-format).
const envoyLogFormat = "%l|%n|%_"

// longestLine bounds, in bytes, what one line may take in memory.
const longestLine = 64 << 10

// readLog hands Envoy's lines on to the log until Envoy closes its end. It must
// not stop before: Envoy would block on a full pipe.
func (p *process) readLog(from io.Reader) {
	lines := bufio.NewReaderSize(from, longestLine)
	for {
		raw, more, err := lines.ReadLine()
		if err != nil {
			return
		}
		line := strings.ToValidUTF8(string(raw), "?")
		for more && err == nil { // the rest of a line that is too long is dropped
			_, more, err = lines.ReadLine()
		}
		level, logger, message := parseLine(line)
		p.last.add(message)
		if p.asked.Load() && level == slog.LevelWarn {
			level = slog.LevelDebug
		}
		attributes := []slog.Attr{slog.String("from", "envoy"), slog.String("logger", logger)}
		if level == slog.LevelWarn {
			ok, left := p.repeats.pass(message, time.Now())
			if !ok {
				continue
			}
			if left > 0 {
				attributes = append(attributes, slog.Int("leftOut", left))
			}
		}
		p.log.LogAttrs(p.exited, level, message, attributes...)
	}
}

// parseLine reads a line of [envoyLogFormat]. Any other line (of the loader,
// an allocator, an abort) is a warning.
func parseLine(line string) (level slog.Level, logger, message string) {
	name, rest, ok := strings.Cut(line, "|")
	if !ok {
		return slog.LevelWarn, "", line
	}
	logger, message, ok = strings.Cut(rest, "|")
	if !ok {
		return slog.LevelWarn, "", line
	}
	switch name {
	case "trace", "debug":
		return slog.LevelDebug, logger, message
	case "info":
		return slog.LevelInfo, logger, message
	case "warning":
		return slog.LevelWarn, logger, message
	case "error", "critical":
		return slog.LevelError, logger, message
	}
	return slog.LevelWarn, "", line
}

// tail keeps the last lines that Envoy wrote, to say why it ended.
type tail struct {
	mu    sync.Mutex
	lines []string // guarded by mu; at most tailLines
}

const tailLines = 10

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == tailLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, line)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}
