package operator

import (
	"context"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// LogLibraries has Kubernetes' libraries, which have one log for a process, write into
// the operator's. What they say of their ordinary work is for debugging.
func LogLibraries(logger *slog.Logger) {
	to := logr.FromSlogHandler(quieter{logger.Handler()})
	log.SetLogger(to)
	klog.SetLogger(to)
}

// quieter makes what is said at level info a matter of debugging.
type quieter struct{ slog.Handler }

// Enabled says whether a record of the level is written.
func (q quieter) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, lower(level))
}

// Handle writes a record.
func (q quieter) Handle(ctx context.Context, r slog.Record) error {
	r.Level = lower(r.Level)
	return q.Handler.Handle(ctx, r)
}

// WithAttrs keeps the attributes for all records.
func (q quieter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quieter{q.Handler.WithAttrs(attrs)}
}

// WithGroup opens a group.
func (q quieter) WithGroup(name string) slog.Handler { return quieter{q.Handler.WithGroup(name)} }

func lower(level slog.Level) slog.Level {
	if level == slog.LevelInfo {
		return slog.LevelDebug
	}
	return level
}
