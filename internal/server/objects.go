package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// nameInPath settles the name of an object that has one in its path and may
// have one in its body.
func nameInPath(inPath, inBody string) (string, error) {
	if inPath == "" || inBody == inPath {
		return inBody, nil
	}
	if inBody != "" {
		return "", fault("name", fmt.Sprintf("is \"%s\", but the path says \"%s\": they have to be equal, or the body's left out", shown(inBody), shown(inPath)))
	}
	return inPath, nil
}

// serviceNameFault refuses a name that no service can have.
func serviceNameFault(name string) error {
	probe := mesh.Instance{ID: "x", Service: mesh.ServiceName(name), Address: "127.0.0.1", Port: 1}
	return probeFault(probe, "name")
}

// instanceKeyFault refuses a service name or an ID that no instance can have.
func instanceKeyFault(key mesh.InstanceKey) error {
	return probeFault(mesh.Instance{ID: key.ID, Service: key.Service, Address: "127.0.0.1", Port: 1}, "service")
}

// probeFault asks the model about names; serviceIs is what the path calls the service.
func probeFault(probe mesh.Instance, serviceIs string) error {
	faults := probe.Validate()
	for i := range faults {
		if faults[i].Path == "service" {
			faults[i].Path = serviceIs
		}
	}
	return mesh.Invalid("the path names nothing that can exist", faults)
}

func routeNameFault(name string) error {
	probe := mesh.Route{Name: mesh.RouteName(name)}
	for _, one := range probe.Validate() {
		if one.Path == "name" {
			return mesh.Invalid("the path names nothing that can exist", mesh.Faults{one})
		}
	}
	return nil
}

// deletion makes sure of the caller, the name and the conditions, in this order.
func (s *Server) deletion(ctx context.Context, call *Call, scope mesh.ServiceName, nameFault error, present func(context.Context) (int64, error)) (registry.Write, error) {
	token, err := s.declarer(ctx, call, scope, nameFault)
	if err != nil {
		return registry.Write{}, err
	}
	write, err := call.write(token)
	if err != nil {
		return registry.Write{}, err
	}
	if call.request.Header.Get("If-None-Match") != "" {
		return registry.Write{}, fault("header.If-None-Match", "means nothing for a deletion")
	}
	return write, call.conditional(ctx, &write, 0, present)
}

// conflict tells a writer that came too late which revision there is now.
func (s *Server) conflict(ctx context.Context, err error, present func(context.Context) (int64, error)) error {
	if mesh.KindOf(err) != mesh.KindConflict {
		return err
	}
	refused := s.refuse(err)
	var p *refusal
	if revision, err := present(ctx); err == nil && errors.As(refused, &p) && p.Status == http.StatusConflict {
		p.Revision = revision
		p.header.Set("ETag", etag(revision))
	}
	return refused
}
