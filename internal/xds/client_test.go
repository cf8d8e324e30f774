package xds_test

import (
	"context"
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
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/heddle-mesh/heddle/internal/xds"
)

var typeURLs = map[string]string{
	"cds": xds.TypeCluster, "eds": xds.TypeEndpoint, "lds": xds.TypeListener,
	"rds": xds.TypeRoute, "sds": xds.TypeSecret, "rtds": xds.TypeRuntime,
	"ecds": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", // not served
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
			if err != io.EOF {
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
	if err := c.stream.SendMsg(m); err != nil && err != io.EOF {
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

// request reads the words of a send.
func (p *player) request(c *client, kind string, words []string) proto.Message {
	typeURL := typeURLs[kind]
	c.mu.Lock()
	defer c.mu.Unlock()
	typ := c.typ(typeURL)
	delta := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL}
	sotw := &discoveryv3.DiscoveryRequest{TypeUrl: typeURL, ResponseNonce: typ.nonce, VersionInfo: typ.accepted, ResourceNames: typ.names}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		var list []string
		if value != "" {
			list = strings.Split(value, ",")
		}
		switch key {
		case "sub":
			delta.ResourceNamesSubscribe = list
		case "unsub":
			delta.ResourceNamesUnsubscribe = list
		case "init":
			delta.InitialResourceVersions = map[string]string{}
			for _, one := range list {
				name, _, _ := strings.Cut(one, "@")
				delta.InitialResourceVersions[name] = "unheard-of"
				if r := p.contents[kind+"/"+one]; r != nil {
					delta.InitialResourceVersions[name] = r.Version
				}
			}
		case "names":
			sotw.ResourceNames, typ.names = list, list
		case "nonce":
			delta.ResponseNonce, sotw.ResponseNonce = value, value
		case "node":
			delta.Node, sotw.Node = &corev3.Node{Id: value}, &corev3.Node{Id: value}
		case "version":
			for version, letter := range p.letters {
				if letter == value {
					sotw.VersionInfo = version
				}
			}
		default:
			p.t.Fatalf("unknown word %q", word)
		}
	}
	if c.delta {
		return delta
	}
	return sotw
}

// show prints a response, after checking that every resource in it decodes to
// what was put.
func (p *player) show(m proto.Message) string {
	var parts []string
	switch r := m.(type) {
	case *discoveryv3.DeltaDiscoveryResponse:
		for _, one := range r.GetResources() {
			label := p.labels[one.GetVersion()]
			p.check(r.GetTypeUrl(), one.GetName(), label, one.GetResource())
			parts = append(parts, one.GetName()+"@"+label)
		}
		for _, name := range r.GetRemovedResources() {
			parts = append(parts, "-"+name)
		}
		return fmt.Sprintf("%s %s: %s", shortOf(r.GetTypeUrl()), r.GetNonce(), strings.Join(parts, " "))
	case *discoveryv3.DiscoveryResponse:
		for _, one := range r.GetResources() {
			parts = append(parts, p.find(one))
		}
		return fmt.Sprintf("%s %s version %s: %s", shortOf(r.GetTypeUrl()), r.GetNonce(), p.letter(r.GetVersionInfo()), strings.Join(parts, " "))
	}
	return "?"
}

func (p *player) check(typeURL, name, content string, body *anypb.Any) {
	got, err := body.UnmarshalNew()
	if err != nil {
		p.t.Errorf("%s: %v", name, err)
		return
	}
	if want := message(typeURL, name, content); !proto.Equal(got, want) {
		p.t.Errorf("%s@%s was sent as %v", name, content, got)
	}
}

// find says which of the resources that were put this one is: a SotW response
// says neither name nor version of its resources.
func (p *player) find(body *anypb.Any) string {
	for key, r := range p.contents {
		_, label, _ := strings.Cut(key, "/")
		content := p.labels[r.Version]
		want, err := anypb.New(message(r.Type, r.Name, content))
		if err == nil && proto.Equal(want, body) {
			return label
		}
	}
	p.t.Errorf("this was never put: %v", body)
	return "?"
}
