package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// write puts the object into the mesh, unless it is there as it should be.
func (s *step) write(ctx context.Context, api *client.Client, ttl time.Duration) error {
	if s.object.Kind == manifest.KindInstance {
		return s.register(ctx, api, ttl)
	}
	if s.Result == unchanged {
		return nil
	}
	var err error
	switch s.object.Kind {
	case manifest.KindService:
		var written client.Service
		written, err = api.PutService(ctx, *s.object.Service)
		s.pending, s.waiting = written.Status.Pending, written.Status.Unapproved
	case manifest.KindRoute:
		_, err = api.PutRoute(ctx, *s.object.Route)
	case manifest.KindRuntime:
		_, err = api.PutRuntime(ctx, *s.object.Runtime)
	}
	return err
}

// notePending tells which dependencies are still missing when all is written.
func notePending(steps []step) {
	declared := map[mesh.ServiceName]bool{}
	for _, s := range steps {
		if s.object.Kind == manifest.KindService && s.Result != refused {
			declared[s.object.Service.Name] = true
		}
	}
	for i := range steps {
		for _, name := range steps[i].pending {
			if !declared[name] {
				steps[i].note += fmt.Sprintf("; dependency %q is pending: no such service yet", name)
			}
		}
		for _, name := range steps[i].waiting {
			steps[i].note += fmt.Sprintf("; dependency %q waits for the approval of its owner: heddle approve %s %s", name, name, steps[i].object.Service.Name)
		}
	}
}

// register renews the lease of an instance that is as it should be, whoever
// holds it, and registers any other anew.
func (s *step) register(ctx context.Context, api *client.Client, ttl time.Duration) error {
	if s.Result == unchanged {
		left, err := api.Renew(ctx, s.object.Instance.Key(), s.before.Instance.Epoch)
		if err == nil {
			s.note = fmt.Sprintf(" (renewed for %s)", present.Age(left))
			return nil
		}
		if kind := mesh.KindOf(err); kind != mesh.KindNotFound && kind != mesh.KindConflict {
			return err
		}
		s.Result = created // it ended between the look and the renewal
	}
	instance := *s.object.Instance
	instance.Meta, instance.Epoch, instance.Stale = mesh.Meta{}, "", false
	_, err := api.Register(ctx, []mesh.Instance{instance}, ttl)
	if err == nil {
		s.note = fmt.Sprintf(" (for %s)", present.Age(ttl))
	}
	return err
}

// located gives the server's faults their places in the file.
func located(o manifest.Object, err error) error {
	var refusal *mesh.Error
	if !errors.As(err, &refusal) || len(refusal.Faults) == 0 {
		return err
	}
	placed := *refusal
	placed.Faults = nil
	for _, fault := range refusal.Faults {
		at := o.Locate(fault.Path, fault.Message)
		placed.Faults = append(placed.Faults, mesh.Fault{Path: at.Place() + ": " + fault.Path, Message: fault.Message})
	}
	return &placed
}
