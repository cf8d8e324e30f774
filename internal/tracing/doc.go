// Package tracing follows a change from its write to each proxy's acknowledgement,
// as OpenTelemetry spans that are sent to a collector over OTLP.
//
// Main type: a [Tracer]. The API's writes begin spans in it ([Tracer.HTTP],
// [Tracer.GRPC]), and etcd's transactions below those ([Tracer.Etcd]). The write's
// trace context is stored with the object as a W3C traceparent ([Parent]), and so
// comes to every control plane by etcd's watch, which then adds its own spans:
// [Tracer.Delivered] and [Tracer.Translated] say what was done when, and
// [Tracer.Acknowledged] has each proxy's answer. A span "push" holds the answers
// of one control plane's proxies; it has at most [AcksAtMost] spans below it, and
// counts the others, so that a change that reaches thousands costs a few spans.
//
// Nothing is made for a write whose trace is not sampled: it has no trace context,
// and those that look for one find an empty string. [Tracer.Run] owns the
// exporter, and ends the pushes that nobody answers any more.
package tracing
