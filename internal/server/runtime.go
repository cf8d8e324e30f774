package server

import (
	"context"
	"net/http"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// RuntimeAnswer is the runtime layer.
type RuntimeAnswer struct {
	ETag string `header:"ETag" doc:"The revision in quotes, for If-Match; \"0\" until it is first written." example:"\"42\""`
	Body mesh.Runtime
}

const runtimeExample = `{"values":{"upstream.healthy_panic_threshold":0}}`

func (s *Server) runtimeOperations() {
	const path, tag = "/api/v1/runtime", "runtime"
	register(s, operation{method: http.MethodGet, path: path, tag: tag, id: "getRuntime", summary: "Get the runtime layer of all proxies"}, s.getRuntime)
	register(s, operation{
		method: http.MethodPut, path: path, tag: tag, id: "putRuntime", summary: "Replace the runtime layer of all proxies",
		body: mesh.Runtime{}, example: runtimeExample, token: true, refusals: []int{http.StatusConflict},
	}, s.putRuntime)
}

func (s *Server) getRuntime(ctx context.Context, _ *struct{}) (*RuntimeAnswer, error) {
	stored, err := s.cfg.Registry.Runtime(ctx)
	if err != nil {
		return nil, err
	}
	return runtimeAnswer(stored), nil
}

func (s *Server) putRuntime(ctx context.Context, in *struct {
	Call
	Repeatable
	Conditions
}) (*RuntimeAnswer, error) {
	token, err := s.declarer(ctx, &in.Call, admin, nil)
	if err != nil {
		return nil, err
	}
	var layer mesh.Runtime
	if err := in.decode(&layer); err != nil {
		return nil, err
	}
	write, err := in.write(token)
	if err != nil {
		return nil, err
	}
	present := func(ctx context.Context) (int64, error) {
		stored, err := s.cfg.Registry.Runtime(ctx)
		return stored.Meta.Revision, err
	}
	if err := in.conditional(ctx, &write, layer.Meta.Revision, present); err != nil {
		return nil, err
	}
	faults := layer.Validate()
	if layer.Values == nil {
		faults.Add("values", "is required: write an empty object ({}) to take every key away")
	}
	if err := mesh.Invalid("the runtime layer cannot be like this", faults); err != nil {
		return nil, err
	}
	stored, err := s.cfg.Registry.PutRuntime(ctx, layer, write)
	if err != nil {
		return nil, s.conflict(ctx, err, present)
	}
	return runtimeAnswer(stored), nil
}

// runtimeAnswer writes a layer that was never set as an empty one.
func runtimeAnswer(stored mesh.Runtime) *RuntimeAnswer {
	if stored.Values == nil {
		stored.Values = map[string]any{}
	}
	return &RuntimeAnswer{ETag: etag(stored.Meta.Revision), Body: stored}
}
