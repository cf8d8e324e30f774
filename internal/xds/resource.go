package xds

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Key names a resource: its type URL and its name.
type Key struct {
	Type string
	Name string
}

// Origin says which stored object a resource was made from, so that a refusal
// can name who wrote it.
type Origin struct {
	Object   string // e.g. "service/orders"
	Author   string
	Revision int64
}

// Resource is one named piece of configuration, encoded. It is not changed
// once it was given to [Server.Apply].
type Resource struct {
	Type    string // type URL
	Name    string
	Version string // of this content: the same on every replica (endpoints are sent in one that covers their clusters too)
	Origin  Origin

	// Settle is how long after its acknowledgement a cluster is taken to be
	// ready, for clusters whose readiness Envoy does not tell: those that
	// resolve names. Listeners and routes that are due wait that much longer.
	// It may be set after [NewResource].
	Settle time.Duration

	kind    kind
	id      name
	version version
	content version // the same, without what is covered besides: see cover.go
	origin  *Origin // Origin, for those who remember it and should not keep the rest alive
	// endpoints names the EDS resource over ADS that a cluster is warmed by;
	// the zero name is none.
	endpoints name

	// wire is the resource as the field "resources" of a delta response; from
	// sotwAt on it is the same field of a SotW response. See encode.
	wire   []byte
	sotwAt int
	size   int    // bytes of the message, with which wire ends
	lease  *lease // nil: it has no TTL; see ttl.go
}

// NewResource encodes a resource. The encoding is deterministic and the version
// is a hash of it, so that equal content has one version wherever and whenever
// it is made.
func NewResource(typeURL, resourceName string, m proto.Message, o Origin) (*Resource, error) {
	k, ok := kindOf(typeURL)
	if !ok {
		return nil, fmt.Errorf("encode resource %q: type %q is not served; use one of the Type constants", resourceName, typeURL)
	}
	if resourceName == "" || resourceName == wildcardName {
		return nil, fmt.Errorf("encode %s resource: %q cannot be a resource's name", k, resourceName)
	}
	if m == nil {
		return nil, fmt.Errorf("encode %s resource %q: there is no message", k, resourceName)
	}
	if got := "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName()); got != typeURL {
		return nil, fmt.Errorf("encode %s resource %q: the message is a %s", k, resourceName, got)
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s resource %q: %w", k, resourceName, err)
	}
	r := &Resource{Type: typeURL, Name: resourceName, Origin: o, kind: k, id: nameOf(resourceName), size: len(body), origin: &o}
	r.version = contentVersion(k, resourceName, body)
	r.content, r.Version = r.version, r.version.String()
	r.wire, r.sotwAt = encodeResource(typeURL, resourceName, r.Version, body)
	if cluster, ok := m.(*clusterv3.Cluster); ok {
		r.endpoints = awaitedEndpoints(cluster)
	}
	return r, nil
}

// body is the encoded message.
func (r *Resource) body() []byte { return r.wire[len(r.wire)-r.size:] }

// Any decodes the resource's envelope.
func (r *Resource) Any() (*anypb.Any, error) {
	_, n := protowire.ConsumeVarint(r.wire[r.sotwAt+1:]) // behind the one-byte tag
	envelope := &anypb.Any{}
	if err := proto.Unmarshal(r.wire[r.sotwAt+1+n:], envelope); err != nil {
		return nil, fmt.Errorf("decode %s resource %q: %w", r.kind, r.Name, err)
	}
	return envelope, nil
}

// contentVersion hashes the name too: the version of a set of resources is the
// sum of theirs, and must change when a content moves to another name.
func contentVersion(k kind, resourceName string, body []byte) version {
	h := sha256.New()
	h.Write([]byte(k.facts().url))
	h.Write([]byte{0})
	h.Write([]byte(resourceName))
	h.Write([]byte{0})
	h.Write(body)
	return versionOf(h.Sum(nil))
}

// versionOf cuts a hash down to a version.
func versionOf(hash []byte) version {
	v := version(binary.BigEndian.Uint64(hash)) & versionMask
	if v == 0 {
		v = ^versionMask + 1 // 0 stands for "no version"
	}
	return v
}

// awaitedEndpoints names the EDS resource over ADS that has to follow a cluster
// before it can take traffic.
func awaitedEndpoints(c *clusterv3.Cluster) name {
	if c.GetType() != clusterv3.Cluster_EDS || c.GetEdsClusterConfig().GetEdsConfig().GetAds() == nil {
		return noName
	}
	if service := c.GetEdsClusterConfig().GetServiceName(); service != "" {
		return nameOf(service)
	}
	return nameOf(c.GetName())
}
