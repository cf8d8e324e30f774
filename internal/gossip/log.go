package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// logLines turns memberlist's log lines into records. What it says over and over,
// such as of each packet with a wrong key, is said once in a while.
type logLines struct {
	logger *slog.Logger

	mu   sync.Mutex
	pace *rate.Limiter        // guarded by mu: of all warnings
	last map[string]time.Time // guarded by mu: by the line's beginning
}

const (
	sayAgain  = 30 * time.Second
	lineStart = 60 // bytes that tell lines apart: before addresses and names
	linesPace = time.Second
	mostLines = 30 // in a row
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
	text = plainly(text)
	if strings.Contains(text, net.ErrClosed.Error()) {
		level = slog.LevelDebug // this host ends
	}
	if level == slog.LevelDebug || l.due(text) {
		l.logger.Log(context.Background(), level, text)
	}
	return len(line), nil
}

func (l *logLines) due(text string) bool {
	start := text[:min(len(text), lineStart)]
	if at := strings.IndexAny(start, "'\"="); at > 0 { // what others chose
		start = start[:at]
	}
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
	if l.pace == nil {
		l.pace = rate.NewLimiter(rate.Every(linesPace), mostLines)
	}
	return l.pace.Allow()
}

// ofStrangers says what the usual cause is when hosts do not understand each other.
const ofStrangers = "the other side is of another fleet or has another key: compare --fleet and --key-file of both"

// plainly adds to a line of memberlist's what it comes of, where that is not said.
func plainly(text string) string {
	for _, one := range []string{"unacceptable label", "no installed keys could decrypt", "remote state is encrypted", "remote state is not encrypted", "stream label header"} {
		if strings.Contains(strings.ToLower(text), one) {
			return text + "; " + ofStrangers
		}
	}
	return text
}

// hungUp explains an error of joining: who gets what it cannot read says nothing, and hangs up.
func hungUp(err error) error {
	if err != nil && (strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "reset by peer")) {
		return fmt.Errorf("%w; it was reached and hung up: %s", err, ofStrangers)
	}
	return err
}
