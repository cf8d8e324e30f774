package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// probeTime bounds one look at a control plane.
const probeTime = time.Second

// explain finds out why a sidecar cannot serve when the reason may be that Envoy
// gets nothing from the control plane: is there one where --xds says?
func (r *Runner) explain(ctx context.Context, e *envoy, err error) error {
	if given, unknown := e.admin.configured(ctx); given || unknown != nil {
		return err
	}
	planes := r.config.Bootstrap.XDS
	if len(planes) == 0 {
		planes = []string{defaultXDS}
	}
	var faults []string
	for _, plane := range planes {
		fault := planeFault(ctx, plane)
		if fault == "" && r.config.isGateway() {
			return fmt.Errorf("the control plane at %s (--xds) answers, and has not given Envoy its configuration: has it read the mesh yet?", plane)
		}
		if fault == "" {
			return fmt.Errorf("the control plane at %s (--xds) answers, and has not given Envoy its configuration: is service %q declared?", plane, r.config.Bootstrap.Proxy.Service)
		}
		faults = append(faults, fault)
	}
	return errors.New(strings.Join(faults, "; "))
}

// preface is what an HTTP/2 connection begins with: the magic octets, and an
// empty SETTINGS frame (RFC 9113, 3.4 and 6.5).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// planeFault says why what is at the address is no control plane, as far as can
// be told from outside; "" when it speaks HTTP/2, as a gRPC server does.
func planeFault(ctx context.Context, address string) string {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Sprintf("no control plane answers at %s (--xds): %v", address, err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(probeTime))
	begin := make([]byte, 9) // the head of the server's first frame, which is SETTINGS
	n := 0
	if _, err := connection.Write([]byte(preface)); err == nil {
		n, _ = io.ReadFull(connection, begin)
	}
	if n == len(begin) && begin[3] == 0x4 && !bytes.HasPrefix(begin, []byte("HTTP/")) {
		return ""
	}
	return fmt.Sprintf("no control plane answers at %s (--xds): what listens there does not speak gRPC; is it the port of the REST API, or one with TLS? (heddle server serves xDS on --xds-listen, port 18000 unless told otherwise)", address)
}
