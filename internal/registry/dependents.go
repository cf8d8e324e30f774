package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// forced is what the audit calls a deletion that hurts somebody.
const forced = "force-delete"

// mostHurt bounds how many the audit names.
const mostHurt = 100

// deletion is the deletion of a service under way.
type deletion struct {
	store *Store
	name  mesh.ServiceName
	write Write
	hurt  mesh.Dependents // as of the latest look
	known *mesh.Dependents
}

// DeleteService deletes a service's declaration, and the instances that keepers have
// of it; others stay registered. One that others depend on stays too, with
// [mesh.ReasonDependents], unless the write forces it.
func (s *Store) DeleteService(ctx context.Context, name mesh.ServiceName, w Write) error {
	d := &deletion{store: s, name: name, write: w, known: w.Known}
	w.note = d.note
	if err := remove(ctx, s, &services, string(name), w, d.allowed); err != nil {
		return err
	}
	// The declaration is gone, whatever becomes of these: nobody is sent to them, and
	// the next declaration of that name ends those that are left.
	if err := s.endKept(ctx, name, w); err != nil {
		s.logger.Warn("the instances that are kept of a deleted service are still there; the next declaration of that name ends them", "service", name, "error", err)
	}
	return nil
}

// note tells the audit who was hurt.
func (d *deletion) note(entry *mesh.AuditEntry) {
	if d.hurt.None() {
		return
	}
	entry.Action, entry.Dependents = forced, d.hurt.Objects()
	if more := len(entry.Dependents) - mostHurt; more > 0 {
		entry.Dependents = append(entry.Dependents[:mostHurt:mostHurt], fmt.Sprintf("and %d more", more))
	}
}

// allowed is the right to delete: the owner's, of what nobody depends on. The guards
// hold that nobody came to depend on it since. What the caller knows already saves
// reading all declarations; before a refusal, and when something was written since,
// they are read.
func (d *deletion) allowed(ctx context.Context, by Token, before found[mesh.Service], _ *mesh.Service) ([]guard, error) {
	if err := judgeService(by, before, nil); err != nil {
		return nil, err
	}
	// No force helps against a keeper, so nobody is told of it.
	if err := judgeKeeper(&services, before, d.write); err != nil {
		return nil, err
	}
	if before.revision == 0 || d.write.Revision != 0 && d.write.Revision != before.revision {
		return nil, nil // the transaction will say so
	}
	known := d.known
	d.known = nil
	if known == nil || !known.None() && !d.write.Force {
		var err error
		if known, err = d.store.dependents(ctx, d.name); err != nil {
			return nil, err
		}
	}
	d.hurt = *known
	if !d.hurt.None() && !d.write.Force {
		if _, _, done := d.store.repeated(ctx, d.write, "delete "+servicePrefix+string(d.name)); done {
			return nil, nil // of another service of that name: the transaction will answer as it did then
		}
		return nil, d.hurt.Refuse(d.name)
	}
	return []guard{noneNewer(servicePrefix, d.hurt.Revision), noneNewer(routePrefix, d.hurt.Revision)}, nil
}

// dependents reads who depends on a service.
func (s *Store) dependents(ctx context.Context, name mesh.ServiceName) (*mesh.Dependents, error) {
	out := &mesh.Dependents{}
	quoted := []byte(`"` + string(name) + `"`) // no value that names it is without
	revision, err := s.pages(ctx, servicePrefix, 0, func(kv *mvccpb.KeyValue) {
		var one mesh.Service
		caller := mesh.ServiceName(kv.Key[len(servicePrefix):])
		if caller != name && bytes.Contains(kv.Value, quoted) && json.Unmarshal(kv.Value, &one) == nil && slices.Contains(one.Dependencies, name) {
			out.Services = append(out.Services, caller)
		}
	})
	if err == nil {
		out.Revision, err = s.pages(ctx, routePrefix, revision, func(kv *mvccpb.KeyValue) {
			var one mesh.Route
			if bytes.Contains(kv.Value, quoted) && json.Unmarshal(kv.Value, &one) == nil && slices.Contains(one.Services(), name) {
				out.Routes = append(out.Routes, mesh.RouteName(kv.Key[len(routePrefix):]))
			}
		})
	}
	return out, refusal(err, "look for who depends on service "+string(name))
}
