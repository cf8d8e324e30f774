package xds

import (
	"log/slog"
	"slices"
)

// maxRefused bounds the unknown types that are remembered of one stream.
const maxRefused = 8

// note logs and counts what a request did.
func (st *stream) note(out outcome) {
	st.server.metrics.answered(out)
	st.arrived(out)
	if n := out.nack; n != nil {
		st.logger().Warn("proxy refused a response; it goes on with what it had",
			"type", out.interest.kind, "message", n.Message, "resources", n.Names, "origins", n.Origins, "version", n.Version)
	}
}

// arrived measures how long a change took from its writer to this proxy.
func (st *stream) arrived(out outcome) {
	since := out.nackSince
	if a := out.ack; a != nil && a.applied {
		since = a.since
	}
	if since.IsZero() {
		return
	}
	news, known := st.server.journal.find(since)
	if !known {
		return
	}
	now := st.server.now()
	if out.ack != nil && !news.written.IsZero() {
		st.server.metrics.propagation.WithLabelValues(out.ack.kind.String()).Observe(now.Sub(news.written).Seconds())
	}
	if len(news.traces) > 0 && st.server.config.Answered != nil {
		st.server.config.Answered(Answer{Traces: news.traces, Node: st.nodeID, Type: out.interest.kind.String(), Refused: out.nack != nil, Applied: since, At: now})
	}
}

// refuse notes once that a type was asked for that is not served. On the
// aggregated stream it is no more than that: a proxy whose bootstrap asks for
// more than this server has must still get what there is.
func (st *stream) refuse(typeURL string) {
	if len(typeURL) > 200 {
		typeURL = typeURL[:200]
	}
	if len(st.refused) >= maxRefused || slices.Contains(st.refused, typeURL) {
		return
	}
	st.refused = append(st.refused, typeURL)
	st.logger().Warn("proxy asks for a type that this server does not serve; it gets no answer", "typeURL", typeURL)
}

// warnOutside logs, once for each type of a stream, that a proxy asked for what
// its scope does not hold.
func (st *stream) warnOutside(k kind, outside []name) {
	if len(outside) == 0 || st.warned[k] {
		return
	}
	st.warned[k] = true
	names := make([]string, 0, min(len(outside), 10))
	for _, id := range outside[:cap(names)] {
		names = append(names, id.Value())
	}
	st.logger().Warn("proxy asks for resources outside its scope; it is told that they do not exist",
		"type", k, "resources", names, "count", len(outside))
}

func (st *stream) logger() *slog.Logger {
	return st.server.logger.With("node", st.nodeID, "scope", st.scopeName, "address", st.peer, "transport", st.transport)
}
