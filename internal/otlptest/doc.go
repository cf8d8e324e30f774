// Package otlptest takes spans over OTLP's gRPC service, for tests of what makes
// them: a [Receiver] is the real protocol on a free port, and keeps what it is sent.
package otlptest
