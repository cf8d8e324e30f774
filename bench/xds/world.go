package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/catalog"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// instancesEach is how many instances each service has.
const instancesEach = 2

// shape is the size of one measurement.
type shape struct {
	name              string
	services, streams int
}

// world is a mesh, and which of its services the streams stand beside.
type world struct {
	services  []mesh.Service
	instances []mesh.Instance
}

func serviceName(i int) mesh.ServiceName { return mesh.ServiceName(fmt.Sprintf("service-%04d", i)) }

// callsAll is a world in which one service, "caller", calls all others.
func callsAll(services int) world {
	var w world
	caller := mesh.Service{Name: "caller", Owner: "bench", Protocol: mesh.HTTP, Port: 80}
	for i := range services {
		caller.Dependencies = append(caller.Dependencies, serviceName(i))
		w.add(i, []mesh.ServiceName{})
	}
	w.services = append(w.services, caller)
	return w
}

func (w *world) add(i int, calls []mesh.ServiceName) {
	w.services = append(w.services, mesh.Service{Name: serviceName(i), Owner: "bench", Protocol: mesh.HTTP, Port: 80, Dependencies: calls})
	for n := range instancesEach {
		w.instances = append(w.instances, mesh.Instance{
			ID: mesh.InstanceID(fmt.Sprintf("i%d", n)), Service: serviceName(i),
			Address: fmt.Sprintf("10.%d.%d.%d", n, i/250, i%250+1), Port: 80, Health: mesh.Healthy,
		})
	}
}

// files is what the servers that are not Heddle serve: what Heddle's own
// translation makes of the world, so that all send the same.
type files struct {
	Resources []encoded `json:"resources"`
	// Drained are the endpoints of each service with its first instance draining,
	// the other state that a change goes to.
	Drained map[string][]byte `json:"drained"`
}

// encoded is one resource.
type encoded struct {
	Type string `json:"type"`
	Name string `json:"name"`
	Body []byte `json:"body"`
}

// translated gives what the scope of a service holds.
func (w world) translated(service mesh.ServiceName) (files, error) {
	c := catalog.New(catalog.Config{})
	var changes []mesh.Change
	for i := range w.services {
		w.services[i].Meta.UpdatedAt = time.Time{}
		changes = append(changes, mesh.Change{Service: &w.services[i]})
	}
	for i := range w.instances {
		changes = append(changes, mesh.Change{Instance: &w.instances[i]})
	}
	c.Apply(1, true, changes)
	scope := translate.ScopeOf(mesh.Proxy{Service: service})
	resources, _ := translate.Build(c.View(), scope, translate.Trust{})
	out := files{Drained: map[string][]byte{}}
	for _, r := range resources {
		body, err := encode(r.Message)
		if err != nil {
			return out, err
		}
		out.Resources = append(out.Resources, encoded{Type: r.Type, Name: r.Name, Body: body})
	}
	changes = changes[:0]
	for i := 0; i < len(w.instances); i += instancesEach {
		one := w.instances[i]
		one.Health = mesh.Draining
		changes = append(changes, mesh.Change{Instance: &one})
	}
	c.Apply(2, true, changes)
	for _, s := range w.services {
		for _, r := range translate.Endpoints(c.View(), s.Name) {
			body, err := encode(r.Message)
			if err != nil {
				return out, err
			}
			out.Drained[r.Name] = body
		}
	}
	return out, nil
}

func encode(m proto.Message) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

func (f files) write(path string) error {
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

func readFiles(path string) (f files, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(data, &f)
}
