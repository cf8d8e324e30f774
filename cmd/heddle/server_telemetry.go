package main

import (
	"net"
	"path/filepath"
	"strconv"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// telemetryFlags are what all proxies of the mesh tell of their requests. Servers that
// share an etcd need the same.
type telemetryFlags struct {
	SidecarAccessLog       string  `default:"off" placeholder:"PLACE" help:"Where all Envoys write a line of JSON for each request and connection: off, stdout (heddle proxy passes it on to its own), or the path of a file, in a folder that is there on each of their machines."`
	SidecarTracingEndpoint string  `placeholder:"HOST:PORT" help:"An OpenTelemetry collector (OTLP over gRPC, plain text) that all Envoys send spans of their requests to. Default: none are made."`
	SidecarTracingSample   float64 `default:"1" placeholder:"SHARE" help:"Share of the requests without a trace that begin one, 0 to 1."`
}

// check finds flags that make no sense.
func (f *telemetryFlags) check(wrong func(format string, args ...any) error) error {
	if log := f.SidecarAccessLog; log != "" && log != "off" && log != translate.Stdout && !filepath.IsAbs(log) {
		return wrong("--sidecar-access-log %q is off, stdout or an absolute path", log)
	}
	if f.SidecarTracingEndpoint != "" {
		host, port, err := net.SplitHostPort(f.SidecarTracingEndpoint)
		number, bad := strconv.ParseUint(port, 10, 16)
		if err != nil || bad != nil || number == 0 || host == "" {
			return wrong("--sidecar-tracing-endpoint %q is not HOST:PORT, such as 127.0.0.1:4317 for a collector on each machine", f.SidecarTracingEndpoint)
		}
	}
	if f.SidecarTracingSample < 0 || f.SidecarTracingSample > 1 {
		return wrong("--sidecar-tracing-sample %v is not from 0 to 1", f.SidecarTracingSample)
	}
	return nil
}

// telemetry is what the flags say, once they were checked.
func (f *telemetryFlags) telemetry() translate.Telemetry {
	var t translate.Telemetry
	if f.SidecarAccessLog != "off" {
		t.AccessLog = f.SidecarAccessLog
	}
	if host, port, err := net.SplitHostPort(f.SidecarTracingEndpoint); err == nil {
		number, _ := strconv.ParseUint(port, 10, 16)
		t.Collector, t.CollectorPort, t.Sample = host, mesh.Port(number), f.SidecarTracingSample
	}
	return t
}
