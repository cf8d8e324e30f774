package tracing

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// The bounds of what is kept of a change on its way to the proxies.
const (
	AcksAtMost   = 20               // spans of answers below one push
	pushesAtMost = 1000             // changes that are followed at a time
	quiet        = 5 * time.Second  // a push ends when nobody has answered for as long
	longest      = 60 * time.Second // and by then at the latest
)

// push is a change that proxies are sent, until they have answered.
type push struct {
	span         trace.Span
	began, last  time.Time
	acks, nacks  int
	ackSpans     int
	slowest      time.Duration
	slowestProxy string
}

// Delivered says that etcd's watch brought an object that was written at a time.
func (t *Tracer) Delivered(parent, object string, written, at time.Time) {
	if parent != "" {
		t.record(parent, "watch", written, at, attribute.String("heddle.object", object))
	}
}

// Merged says that the catalog took in what the watch brought.
func (t *Tracer) Merged(parent string, began, ended time.Time) {
	if parent != "" {
		t.record(parent, "catalog", began, ended)
	}
}

// Translated says that changes were translated, for a number of scopes into a number
// of resources, and are about to be pushed.
func (t *Tracer) Translated(parents []string, began, ended time.Time, scopes, resources int) {
	for _, parent := range parents {
		t.record(parent, "translate", began, ended, attribute.Int("heddle.scopes", scopes), attribute.Int("heddle.resources", resources))
		t.push(parent, ended)
	}
}

func (t *Tracer) push(parent string, at time.Time) {
	ctx, ok := below(parent)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pushes[parent] != nil || len(t.pushes) >= pushesAtMost {
		return
	}
	_, span := t.tracer.Start(ctx, "push", trace.WithTimestamp(at), trace.WithSpanKind(trace.SpanKindProducer))
	t.pushes[parent] = &push{span: span, began: at, last: at}
}

// Acknowledged says that a proxy answered a response that a change caused: it was put
// in force at one time, and accepted or refused at another.
func (t *Tracer) Acknowledged(parents []string, node, kind string, refused bool, applied, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, parent := range parents {
		p := t.pushes[parent]
		if p == nil {
			continue
		}
		name := "ack"
		if refused {
			name = "nack"
			p.nacks++
		} else {
			p.acks++
		}
		p.last = at
		if took := at.Sub(applied); took > p.slowest {
			p.slowest, p.slowestProxy = took, node
		}
		if p.ackSpans == AcksAtMost {
			continue
		}
		p.ackSpans++
		ctx := trace.ContextWithSpanContext(context.Background(), p.span.SpanContext())
		_, span := t.tracer.Start(ctx, name, trace.WithTimestamp(applied), trace.WithAttributes(
			attribute.String("heddle.node", node), attribute.String("heddle.type", kind)))
		if refused {
			fail(span, "refused")
		}
		span.End(trace.WithTimestamp(at))
	}
}

// endPushes ends those that are over by now; zero: all.
func (t *Tracer) endPushes(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for parent, p := range t.pushes {
		if !now.IsZero() && now.Sub(p.last) < quiet && now.Sub(p.began) < longest {
			continue
		}
		delete(t.pushes, parent)
		p.span.SetAttributes(attribute.Int("heddle.acks", p.acks), attribute.Int("heddle.nacks", p.nacks),
			attribute.Int("heddle.answers_without_span", p.acks+p.nacks-p.ackSpans))
		if p.slowestProxy != "" {
			p.span.SetAttributes(attribute.String("heddle.slowest_node", p.slowestProxy), attribute.Float64("heddle.slowest_seconds", p.slowest.Seconds()))
		}
		if p.nacks > 0 {
			fail(p.span, "a proxy refused it")
		}
		p.span.End(trace.WithTimestamp(p.last))
	}
}
