package mesh

import (
	"context"
	"log/slog"
	"strings"
	"time"
)

// AuditEntry says who changed what, or was refused to. It never holds a secret.
type AuditEntry struct {
	Time      time.Time     `json:"time" doc:"When it was written."`
	Outcome   AuditOutcome  `json:"outcome" enum:"done,refused" doc:"Whether it was done."`
	Action    string        `json:"action" doc:"What was done: create, replace, delete, force-delete, approve, revoke, join, … Of a refused request: the operation's ID." example:"replace"`
	Object    string        `json:"object" doc:"On what." example:"service/orders"`
	Author    string        `json:"author,omitempty" doc:"By which token or certificate; left out, nobody who is known." example:"token:4f2a9c81d0e3"`
	From      string        `json:"from,omitempty" doc:"From which address." example:"10.0.0.7:52114"`
	Source    string        `json:"source,omitempty" doc:"By which way: rest, grpc, ui or xds." example:"rest"`
	RequestID string        `json:"requestID,omitempty" doc:"The name that the caller gave the request."`
	Revision  int64         `json:"revision,omitempty" doc:"The registry's revision that it brought."`
	Previous  int64         `json:"previous,omitempty" doc:"The object's revision before it."`
	Changes   []AuditChange `json:"changes,omitempty" doc:"The fields that differ."`
	// To is the revision whose content a rollback brought back.
	To int64 `json:"to,omitempty" doc:"Of a rollback: the revision whose content it brought back; previous says from where."`
	// Dependents are those whom a forced deletion hurt.
	Dependents []string    `json:"dependents,omitempty" doc:"Of a forced deletion: who depended on it, up to 100." example:"service/web"`
	Reason     string      `json:"reason,omitempty" doc:"Why it was refused."`
	Service    ServiceName `json:"service,omitempty" doc:"The service that it is about."`
	Owners     []string    `json:"owners,omitempty" doc:"The owners of the object, before and after."`
}

// AuditChange is one top-level field of an object that a write changed.
type AuditChange struct {
	Field  string `json:"field" doc:"Its name." example:"owner"`
	Before string `json:"before,omitempty" doc:"What it was, as JSON, cut short; given for a few fields that are short and no secret."`
	After  string `json:"after,omitempty" doc:"What it is now, in the same way."`
}

// AuditOutcome says whether something was done.
type AuditOutcome string

// The outcomes.
const (
	AuditDone    AuditOutcome = "done"
	AuditRefused AuditOutcome = "refused"
)

// Log writes the entry as one line. All audit lines are written here, so that
// they have the same fields: "audit", always true, is what to look for.
func (e *AuditEntry) Log(ctx context.Context, logger *slog.Logger) {
	level := slog.LevelInfo
	if e.Outcome == AuditRefused {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{slog.Bool("audit", true), slog.String("outcome", string(e.Outcome)), slog.String("action", e.Action), slog.String("object", e.Object)}
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	text("author", e.Author)
	text("from", e.From)
	text("source", e.Source)
	text("requestID", e.RequestID)
	if e.Revision != 0 {
		attrs = append(attrs, slog.Int64("revision", e.Revision))
	}
	if e.Previous != 0 {
		attrs = append(attrs, slog.Int64("previous", e.Previous))
	}
	if e.To != 0 {
		attrs = append(attrs, slog.Int64("to", e.To))
	}
	changed := make([]string, len(e.Changes))
	for i, change := range e.Changes {
		changed[i] = change.Field
	}
	text("changed", strings.Join(changed, ","))
	text("dependents", strings.Join(e.Dependents, ","))
	text("reason", e.Reason)
	logger.LogAttrs(ctx, level, "audit", attrs...)
}
