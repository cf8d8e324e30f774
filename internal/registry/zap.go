package registry

import (
	"context"
	"log/slog"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapTo makes etcd's kind of logger, whose lines go to ours. Its information
// and warnings are our debugging.
func zapTo(logger *slog.Logger) *zap.Logger { return zap.New(&slogCore{logger: logger}) }

// zapUntil is zapTo for an etcd that is closed on purpose: it then calls every
// socket that closes an error.
func zapUntil(closing *atomic.Bool, logger *slog.Logger) *zap.Logger {
	return zap.New(&slogCore{logger: logger, closing: closing})
}

// slogCore writes zap's entries to a slog.Logger.
type slogCore struct {
	logger  *slog.Logger
	closing *atomic.Bool // nil: never
}

// newFolder is what etcd logs, as an error, whenever it starts on an empty folder.
const newFolder = "failed to update storage version"

func (c *slogCore) level(entry zapcore.Entry) slog.Level {
	if entry.Level >= zapcore.ErrorLevel && entry.Message != newFolder && (c.closing == nil || !c.closing.Load()) {
		return slog.LevelError
	}
	return slog.LevelDebug
}

// Enabled implements zapcore.LevelEnabler.
func (c *slogCore) Enabled(level zapcore.Level) bool {
	return c.logger.Enabled(context.Background(), c.level(zapcore.Entry{Level: level}))
}

// With implements zapcore.Core.
func (c *slogCore) With(fields []zapcore.Field) zapcore.Core {
	return &slogCore{logger: slog.New(c.logger.Handler().WithAttrs(attributes(fields))), closing: c.closing}
}

// Check implements zapcore.Core.
func (c *slogCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c *slogCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	c.logger.LogAttrs(context.Background(), c.level(entry), "etcd: "+entry.Message, attributes(fields)...)
	return nil
}

// Sync implements zapcore.Core.
func (c *slogCore) Sync() error { return nil }

func attributes(fields []zapcore.Field) []slog.Attr {
	encoder := zapcore.NewMapObjectEncoder()
	for _, field := range fields {
		field.AddTo(encoder)
	}
	attrs := make([]slog.Attr, 0, len(encoder.Fields))
	for key, value := range encoder.Fields {
		attrs = append(attrs, slog.Any(key, value))
	}
	return attrs
}
