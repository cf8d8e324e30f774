package agent

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// A listener whose port was another process's is sent again as soon as the port is free:
// by itself that takes 10 seconds after the second refusal.
func TestAPortThatIsFreeIsTriedAgainSoon(t *testing.T) {
	a := start(t, Config{Gossip: quick("a", "127.0.0.1:0"), Sources: []Source{newSource("test")}})
	connection, err := grpc.NewClient(a.xds, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ads, err := discoveryv3.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ask := &discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: string(HostProxy) + "/observer"}, TypeUrl: xds.TypeListener, ResourceNamesSubscribe: []string{"*"}}
	if err := ads.Send(ask); err != nil {
		t.Fatal(err)
	}
	for refusal := range 2 {
		response, err := ads.Recv()
		if err != nil {
			t.Fatal(err)
		}
		thief, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		words := fmt.Sprintf("Error adding/updating listener(s) %s: cannot bind '%s': Address already in use\n", response.GetResources()[0].GetName(), thief.Addr())
		if err := ads.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: xds.TypeListener, ResponseNonce: response.GetNonce(), ErrorDetail: &status.Status{Message: words}}); err != nil {
			t.Fatal(err)
		}
		a.until(t, "the port to be told of", func(s *hosts.State) error {
			if len(s.Problems) != 1 || !strings.Contains(s.Problems[0].Message, thief.Addr().String()) {
				return fmt.Errorf("problems: %+v", s.Problems)
			}
			return nil
		})
		thief.Close()
		if refusal == 0 {
			continue
		}
		began := time.Now()
		if _, err := ads.Recv(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 7*time.Second {
			t.Errorf("it took %s", took)
		}
	}
}
