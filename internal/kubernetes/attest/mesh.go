package attest

import (
	"context"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// OfClient asks the mesh through the REST API, with the token that the client has.
func OfClient(api *client.Client) Mesh { return throughClient{api} }

type throughClient struct{ api *client.Client }

func (t throughClient) Service(ctx context.Context, name mesh.ServiceName) (*mesh.Service, error) {
	service, err := t.api.Service(ctx, name)
	return &service.Service, err
}

func (t throughClient) JoinToken(ctx context.Context, of mesh.Identity, to client.Bound, description string, life time.Duration) (string, error) {
	_, secret, err := t.api.CreateBoundJoinToken(ctx, of, to, description, life)
	return secret, err
}
