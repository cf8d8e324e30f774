package server

import (
	"context"
	"net/http"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Keeper is a keeper of instances that a source is noted for.
type Keeper struct {
	Name mesh.Keeper `json:"name" doc:"kubernetes/CLUSTER." example:"kubernetes/prod"`
}

func (s *Server) keeperOperation() {
	register(s, operation{
		method: http.MethodGet, path: "/api/v1/keepers", tag: "instances", id: "listKeepers", summary: "List the clusters that operators have joined to the mesh",
		description: "The keepers of instances that a source is noted for, by name. One stays when its cluster is gone.",
	}, s.listKeepers)
	register(s, operation{
		method: http.MethodPut, path: "/api/v1/keepers/kubernetes/{cluster}", tag: "instances", id: "noteKeeper", summary: "Note which source a keeper belongs to",
		description: "Two clusters that take one name would have each other's objects withdrawn, and one cluster of two names would have its objects twice. From the first note on, what is written with the header X-Heddle-Keeper-Source is refused unless the keeper is that source's. For admins and tokens of the keeper. 409 with reason other_source: it is noted to belong to another, which instead does not name; with reason other_name: the source is noted as another keeper's, which renamed does not name.",
		status:      http.StatusNoContent, body: mesh.KeeperSource{}, example: `{"source":"8f14e45f-ceea-467f-a2b1-3c1b6d1f9a10"}`, token: true, refusals: []int{http.StatusConflict},
	}, s.noteKeeper)
}

func (s *Server) listKeepers(ctx context.Context, _ *struct{}) (*Listed[Keeper], error) {
	all, revision, err := s.cfg.Registry.Keepers(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Keeper, len(all))
	for i, one := range all {
		out[i].Name = one
	}
	return listed(out, revision), nil
}

func (s *Server) noteKeeper(ctx context.Context, in *struct {
	Call
	Cluster string `path:"cluster" maxLength:"63" pattern:"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" doc:"The cluster's name in the mesh." example:"prod"`
}) (*struct{}, error) {
	in.object = "keeper/" + mesh.KubernetesKeeper + "/" + shown(in.Cluster)
	token, err := s.authenticate(ctx, &in.Call)
	if err != nil {
		return nil, err
	}
	keeper := mesh.OfCluster(in.Cluster)
	if why := keeper.Fault(); why != "" || !keeper.OfInstances() {
		return nil, fault("path.cluster", "is no name of a cluster: use a DNS label such as prod")
	}
	write, err := in.write(token)
	if err != nil {
		return nil, err
	}
	var note mesh.KeeperSource
	if err := in.decode(&note); err != nil {
		return nil, err
	}
	return nil, s.cfg.Registry.NoteKeeper(ctx, keeper, note, write)
}
