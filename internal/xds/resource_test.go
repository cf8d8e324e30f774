package xds_test

import (
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/xds"
)

func TestNewResource(t *testing.T) {
	make := func(name string, m proto.Message) *xds.Resource {
		t.Helper()
		r, err := xds.NewResource(xds.TypeCluster, name, m, xds.Origin{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	a, again := make("a", &clusterv3.Cluster{Name: "a"}), make("a", &clusterv3.Cluster{Name: "a"})
	if a.Version != again.Version {
		t.Errorf("equal content, versions %s and %s", a.Version, again.Version)
	}
	if other := make("a", &clusterv3.Cluster{Name: "a", AltStatName: "b"}); other.Version == a.Version {
		t.Error("other content, same version")
	}
	if other := make("b", &clusterv3.Cluster{Name: "a"}); other.Version == a.Version {
		t.Error("other name, same version")
	}
}

func TestNewResourceRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		typeURL, name string
		message       proto.Message
		want          string
	}{
		"unknown type":  {"type.googleapis.com/x.Y", "a", &clusterv3.Cluster{}, "is not served"},
		"no name":       {xds.TypeCluster, "", &clusterv3.Cluster{}, "cannot be a resource's name"},
		"wildcard":      {xds.TypeCluster, "*", &clusterv3.Cluster{}, "cannot be a resource's name"},
		"no message":    {xds.TypeCluster, "a", nil, "there is no message"},
		"other message": {xds.TypeCluster, "a", &listenerv3.Listener{}, "is a type.googleapis.com/envoy.config.listener.v3.Listener"},
		"not UTF-8":     {xds.TypeCluster, "a", &clusterv3.Cluster{Name: "\xff"}, "invalid UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := xds.NewResource(c.typeURL, c.name, c.message, xds.Origin{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}
