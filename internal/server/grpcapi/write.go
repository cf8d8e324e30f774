package grpcapi

import (
	"cmp"
	"context"
	"math"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/admission"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/registry"
)

// put is one request to create or update.
type put struct {
	view    *view
	message proto.Message
	name    string // of the service
	// read gives the service in the message, with every fault of it; paths as in
	// the model. It is called once the caller is known: it may take its time.
	read      func() (mesh.Service, mesh.Faults)
	requestID string
	revision  int64 // what the writer last saw; 0: what the service's Meta says
}

// remove is one request to delete.
type remove struct {
	view      *view
	message   proto.Message
	name      string
	requestID string
	revision  int64
	force     bool
}

// never is a revision that no object has: a write on that condition changes
// nothing, but is answered if its request id was used before.
const never = math.MaxInt64

// create adds a service that must not exist.
func (a *API) create(ctx context.Context, p put) (mesh.Service, error) {
	service, w, err := a.admit(ctx, p)
	if err != nil {
		return mesh.Service{}, a.refusal(ctx, err, codes.Aborted)
	}
	w.Create = true
	stored, err := a.registry.PutService(ctx, service, w)
	return stored, a.refusal(ctx, err, codes.AlreadyExists)
}

// update replaces a service that must exist and be shown by the view.
func (a *API) update(ctx context.Context, p put) (mesh.Service, error) {
	service, w, err := a.admit(ctx, p)
	if err != nil {
		return mesh.Service{}, a.refusal(ctx, err, codes.Aborted)
	}
	w.Revision = cmp.Or(p.revision, service.Meta.Revision)
	var stored mesh.Service
	err = a.onExisting(ctx, p.view, service.Name, w, func(w registry.Write) (err error) {
		stored, err = a.registry.PutService(ctx, service, w)
		return err
	})
	return stored, a.refusal(ctx, err, codes.Aborted)
}

// delete removes a service that must exist and be shown by the view.
func (a *API) delete(ctx context.Context, r remove) error {
	w, err := a.writer(ctx, r.message, r.name, r.requestID)
	if err == nil {
		err = inspect(r.view, r.message, r.requestID, r.revision, nameFaults(r.name))
	}
	if err == nil {
		name := mesh.ServiceName(r.name)
		w.Revision, w.Force, w.Known = r.revision, r.force, admission.Dependents(a.catalog.View(), name)
		err = a.onExisting(ctx, r.view, name, w, func(w registry.Write) error {
			return a.registry.DeleteService(ctx, name, w)
		})
	}
	return a.refusal(ctx, err, codes.Aborted)
}

// onExisting runs a write on the condition that the service still is what was
// seen to exist and to be of the view's kind: at the revision the caller gave,
// or else the one it was read at. Without a revision of the caller's, a write of
// someone else in between leads to another try.
func (a *API) onExisting(ctx context.Context, v *view, name mesh.ServiceName, w registry.Write, write func(registry.Write) error) error {
	given, tried := w.Revision, int64(0)
	for {
		current, err := a.read(ctx, v, name)
		if mesh.KindOf(err) == mesh.KindNotFound && w.RequestID != "" {
			// The request may have been carried out before, and the service be
			// gone since: then the first answer is given again.
			w.Revision = never
			if write(w) == nil {
				return nil
			}
		}
		if err != nil {
			return err
		}
		w.Revision = cmp.Or(given, current.Meta.Revision)
		err = write(w)
		if given != 0 || mesh.KindOf(err) != mesh.KindConflict || mesh.ReasonOf(err) == mesh.ReasonDependents || w.Revision == tried {
			return err
		}
		tried = w.Revision
	}
}

// admit checks everything about a put that needs no look at the object that is stored.
func (a *API) admit(ctx context.Context, p put) (mesh.Service, registry.Write, error) {
	w, err := a.writer(ctx, p.message, p.name, p.requestID)
	if err != nil {
		return mesh.Service{}, w, err
	}
	service, found := p.read()
	if len(found) == 0 { // ports can be compared only once they are ports
		found = admission.Ports(a.catalog.View(), &service)
	}
	faults := p.view.faults(found)
	if read := service.Meta.Revision; p.revision != 0 && read != 0 && p.revision != read {
		faults.Add("revision", "is %d, but %s.meta.revision is %d: send only one of them", p.revision, p.view.noun, read)
	}
	return service, w, inspect(p.view, p.message, p.requestID, p.revision, faults)
}

// writer authenticates the caller and holds it to what it may write, and to how much.
func (a *API) writer(ctx context.Context, message proto.Message, name, requestID string) (registry.Write, error) {
	token, err := a.authenticate(ctx)
	if err != nil {
		return registry.Write{}, err
	}
	if !token.MayWrite(mesh.ServiceName(name)) {
		return registry.Write{}, mesh.Denied("this token may write service %q only, not %q", token.Service, shorten(name))
	}
	if size := proto.Size(message); size > maxRequest {
		return registry.Write{}, status.Errorf(codes.ResourceExhausted, "the request has %d bytes; at most %d are allowed", size, maxRequest)
	}
	return registry.Write{Author: authorOf(token), Source: source, From: remote(ctx), By: token, RequestID: requestID}, nil
}

func nameFaults(name string) mesh.Faults {
	if name == "" {
		return mesh.Faults{{Path: "name", Message: "is required"}}
	}
	return nil
}
