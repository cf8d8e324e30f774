package xds_test

import (
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/heddle-mesh/heddle/internal/xds"
)

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
				one, cluster, covers := strings.Cut(one, "+")
				r := p.contents[kind+"/"+one]
				switch {
				case covers:
					delta.InitialResourceVersions[name] = xds.Covering(r, p.contents["cds/"+name+"@"+cluster])
				case r != nil:
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
			if label == "" { // endpoints in a version that covers their clusters
				_, label, _ = strings.Cut(p.find(one.GetResource()), "@")
				p.labels[one.GetVersion()] = label
			}
			if one.GetResource() != nil || one.GetTtl() == nil {
				p.check(r.GetTypeUrl(), one.GetName(), label, one.GetResource())
			}
			parts = append(parts, one.GetName()+"@"+label+ttlOf(one))
		}
		for _, name := range r.GetRemovedResources() {
			parts = append(parts, "-"+name)
		}
		return fmt.Sprintf("%s %s: %s", shortOf(r.GetTypeUrl()), r.GetNonce(), strings.Join(parts, " "))
	case *discoveryv3.DiscoveryResponse:
		for _, one := range r.GetResources() {
			wrapped := &discoveryv3.Resource{}
			if !one.MessageIs(wrapped) {
				parts = append(parts, p.find(one))
				continue
			}
			if err := one.UnmarshalTo(wrapped); err != nil {
				p.t.Error(err)
			}
			label := wrapped.GetName() + " version " + p.letter(wrapped.GetVersion())
			if wrapped.GetResource() != nil {
				label = p.find(wrapped.GetResource())
			}
			parts = append(parts, label+ttlOf(wrapped))
		}
		return fmt.Sprintf("%s %s version %s: %s", shortOf(r.GetTypeUrl()), r.GetNonce(), p.letter(r.GetVersionInfo()), strings.Join(parts, " "))
	}
	return "?"
}

// ttlOf shows the TTL of a resource, and whether it is a heartbeat.
func ttlOf(r *discoveryv3.Resource) string {
	switch {
	case r.GetTtl() == nil:
		return ""
	case r.GetResource() == nil:
		return fmt.Sprintf(" (beat %s)", r.GetTtl().AsDuration())
	}
	return fmt.Sprintf(" (%s)", r.GetTtl().AsDuration())
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
