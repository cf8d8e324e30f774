package gossip

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// logLines turns memberlist's log lines into records. What it says over and over,
// such as of each packet with a wrong key, is said once in a while.
type logLines struct {
	logger *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time // guarded by mu: by the line's beginning
}

const (
	sayAgain  = 30 * time.Second
	lineStart = 60 // bytes that tell lines apart: before addresses and names
)

// Write implements io.Writer: one line.
func (l *logLines) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	level := slog.LevelDebug
	// 2006/01/02 15:04:05 [WARN] memberlist: …
	if at := strings.IndexByte(text, '['); at >= 0 {
		switch kind, rest, _ := strings.Cut(text[at+1:], "] "); kind {
		case "ERR", "WARN":
			level, text = slog.LevelWarn, rest
		case "INFO", "DEBUG":
			text = rest
		}
	}
	if level == slog.LevelDebug || l.due(text) {
		l.logger.Log(context.Background(), level, text)
	}
	return len(line), nil
}

func (l *logLines) due(text string) bool {
	start := text[:min(len(text), lineStart)]
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Sub(l.last[start]) < sayAgain {
		return false
	}
	if l.last == nil || len(l.last) > 100 {
		l.last = map[string]time.Time{}
	}
	l.last[start] = now
	return true
}
