package attest

import (
	"context"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Gate gives the client by which a cluster writes while its name in the mesh is its own,
// or says why nothing is written for it.
type Gate func() (*client.Client, error)

// OfClient asks the mesh through the REST API, with the token that the client has; what
// it writes for a cluster goes through its gate.
func OfClient(api *client.Client, cluster string, gate Gate) Mesh {
	return throughClient{api, mesh.OfCluster(cluster), gate}
}

type throughClient struct {
	api    *client.Client
	keeper mesh.Keeper
	gate   Gate
}

func (t throughClient) Service(ctx context.Context, name mesh.ServiceName) (*mesh.Service, error) {
	service, err := t.api.Service(ctx, name)
	return &service.Service, err
}

func (t throughClient) JoinToken(ctx context.Context, of mesh.Identity, to client.Bound, judged int64, description string, life time.Duration) (string, error) {
	writes, err := t.gate()
	if err != nil {
		return "", err
	}
	_, secret, err := writes.KeptBy(t.keeper).CreateBoundJoinToken(ctx, of, to, judged, description, life)
	return secret, err
}
