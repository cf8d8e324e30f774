package xds_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/xds"
)

var typeURLs = map[string]string{
	"cds": xds.TypeCluster, "eds": xds.TypeEndpoint, "lds": xds.TypeListener,
	"rds": xds.TypeRoute, "sds": xds.TypeSecret, "rtds": xds.TypeRuntime,
	"ecds": xds.TypeExtension,
	"srds": "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration", // not served
	"none": "",
}

func shortOf(typeURL string) string {
	for short, url := range typeURLs {
		if url == typeURL {
			return short
		}
	}
	return typeURL
}

// methods are the full names of the streaming methods, by transport.
var methods = map[string]string{
	"ads-sotw": "discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources", "ads-delta": "discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
	"cds-sotw": "cluster.v3.ClusterDiscoveryService/StreamClusters", "cds-delta": "cluster.v3.ClusterDiscoveryService/DeltaClusters",
	"eds-sotw": "endpoint.v3.EndpointDiscoveryService/StreamEndpoints", "eds-delta": "endpoint.v3.EndpointDiscoveryService/DeltaEndpoints",
	"lds-sotw": "listener.v3.ListenerDiscoveryService/StreamListeners", "lds-delta": "listener.v3.ListenerDiscoveryService/DeltaListeners",
	"rds-sotw": "route.v3.RouteDiscoveryService/StreamRoutes", "rds-delta": "route.v3.RouteDiscoveryService/DeltaRoutes",
	"sds-sotw": "secret.v3.SecretDiscoveryService/StreamSecrets", "sds-delta": "secret.v3.SecretDiscoveryService/DeltaSecrets",
	"ecds-sotw": "extension.v3.ExtensionConfigDiscoveryService/StreamExtensionConfigs", "ecds-delta": "extension.v3.ExtensionConfigDiscoveryService/DeltaExtensionConfigs",
	"rtds-sotw": "runtime.v3.RuntimeDiscoveryService/StreamRuntime", "rtds-delta": "runtime.v3.RuntimeDiscoveryService/DeltaRuntime",
}

// client is one stream as a client has it: it answers when it is told to.
type client struct {
	t      testing.TB
	delta  bool
	stream grpc.ClientStream
	cancel context.CancelFunc
	node   *corev3.Node // sent with the first request

	mu     sync.Mutex // guards the fields below
	types  map[string]*clientType
	events []event
}

// event is a response, or the end of the stream.
type event struct {
	response proto.Message
	end      string
}

// clientType is what a client remembers of one type.
type clientType struct {
	names    []string // SotW: what it asks for
	nonce    string   // of the last response
	accepted string   // SotW: the version that it acknowledged last
	open     []unanswered
}

// unanswered is a response that the client has neither acknowledged nor refused.
type unanswered struct{ nonce, version string }

func (r *rig) connect(transport, node string) *client {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := r.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/envoy.service."+methods[transport])
	if err != nil {
		r.t.Fatal(err)
	}
	c := &client{t: r.t, delta: strings.HasSuffix(transport, "delta"), stream: stream, cancel: cancel, types: map[string]*clientType{}}
	if node != "-" {
		c.node = &corev3.Node{Id: node, Cluster: "test"}
	}
	go c.receive()
	return c
}

func (c *client) receive() {
	for {
		var m proto.Message = &discoveryv3.DiscoveryResponse{}
		if c.delta {
			m = &discoveryv3.DeltaDiscoveryResponse{}
		}
		err := c.stream.RecvMsg(m)
		c.mu.Lock()
		if err != nil {
			text := "ended"
			if !errors.Is(err, io.EOF) {
				text = fmt.Sprintf("ended: %s: %s", status.Code(err), status.Convert(err).Message())
			}
			c.events = append(c.events, event{end: text})
			c.mu.Unlock()
			return
		}
		response := m.(interface {
			GetTypeUrl() string
			GetNonce() string
		})
		typ := c.typ(response.GetTypeUrl())
		typ.nonce = response.GetNonce()
		one := unanswered{nonce: typ.nonce}
		if sotw, ok := m.(*discoveryv3.DiscoveryResponse); ok {
			one.version = sotw.GetVersionInfo()
		}
		typ.open = append(typ.open, one)
		c.events = append(c.events, event{response: m})
		c.mu.Unlock()
	}
}

// typ is called with c.mu held.
func (c *client) typ(typeURL string) *clientType {
	if c.types[typeURL] == nil {
		c.types[typeURL] = &clientType{}
	}
	return c.types[typeURL]
}

// send sends a request. A server that has ended the stream makes it io.EOF,
// which receive reports.
func (c *client) send(m proto.Message) {
	switch r := m.(type) {
	case *discoveryv3.DeltaDiscoveryRequest:
		if c.node != nil {
			r.Node = c.node
		}
	case *discoveryv3.DiscoveryRequest:
		if c.node != nil {
			r.Node = c.node
		}
	}
	c.node = nil
	if err := c.stream.SendMsg(m); err != nil && !errors.Is(err, io.EOF) {
		c.t.Errorf("send: %v", err)
	}
}

func (c *client) closeSend() {
	if err := c.stream.CloseSend(); err != nil {
		c.t.Error(err)
	}
}

// answer acknowledges the oldest open response of a type, or refuses it.
func (c *client) answer(typeURL, refusal string) {
	c.mu.Lock()
	typ := c.typ(typeURL)
	if len(typ.open) == 0 {
		c.mu.Unlock()
		c.t.Errorf("there is no open response of %s", typeURL)
		return
	}
	one := typ.open[0]
	typ.open = typ.open[1:]
	var detail *rpcstatus.Status
	if refusal != "" {
		detail = &rpcstatus.Status{Code: 3, Message: refusal}
	} else {
		typ.accepted = one.version
	}
	var m proto.Message = &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResponseNonce: one.nonce, ErrorDetail: detail}
	if !c.delta {
		m = &discoveryv3.DiscoveryRequest{TypeUrl: typeURL, ResponseNonce: one.nonce, ErrorDetail: detail, VersionInfo: typ.accepted, ResourceNames: typ.names}
	}
	c.mu.Unlock()
	c.send(m)
}

// open counts the responses of each type that are not answered.
func (c *client) open() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	open := map[string]int{}
	for typeURL, typ := range c.types {
		open[typeURL] = len(typ.open)
	}
	return open
}

func (c *client) taken() []event {
	c.mu.Lock()
	defer c.mu.Unlock()
	events := c.events
	c.events = nil
	return events
}
