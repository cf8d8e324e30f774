package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// edit is one field that an apply changes. A side that has no such field is nil.
type edit struct {
	Path string          `json:"path"`
	From json.RawMessage `json:"from,omitempty"`
	To   json.RawMessage `json:"to,omitempty"`
}

// String writes "port: 80 -> 8080".
func (e edit) String() string {
	side := func(raw json.RawMessage) string {
		if raw == nil {
			return "(none)"
		}
		const most = 200
		if runes := []rune(string(raw)); len(runes) > most {
			return fmt.Sprintf("%s… (+%d more characters)", string(runes[:most]), len(runes)-most)
		}
		return string(raw)
	}
	return fmt.Sprintf("%s: %s -> %s", e.Path, side(e.From), side(e.To))
}

// editsBetween gives the fields in which two objects differ, apart from what
// the registry itself sets.
func editsBetween(before, after manifest.Object) ([]edit, error) {
	from, err := declared(before)
	if err != nil {
		return nil, err
	}
	to, err := declared(after)
	if err != nil {
		return nil, err
	}
	var d differ
	d.compare("", from, to)
	return d.edits, d.err
}

// declared gives the fields that an owner sets, with the defaults spelled out
// that the registry may fill in.
func declared(o manifest.Object) (any, error) {
	var value any
	switch o.Kind {
	case manifest.KindService:
		service := *o.Service
		service.Meta = mesh.Meta{}
		value = service
	case manifest.KindInstance:
		instance := *o.Instance
		instance.Meta, instance.Epoch, instance.Stale = mesh.Meta{}, "", false
		instance.Weight = max(instance.Weight, 1)
		if instance.Health == "" {
			instance.Health = mesh.Healthy
		}
		value = instance
	case manifest.KindRoute:
		route := *o.Route
		route.Meta = mesh.Meta{}
		value = route
	default:
		values := maps.Clone(o.Runtime.Values)
		if o.Runtime.TTL != 0 {
			if values == nil {
				values = map[string]any{}
			}
			values["ttl of the layer"] = o.Runtime.TTL // no key has spaces
		}
		value = values
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("compare %s: %w", &o, err)
	}
	var plain any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	err = dec.Decode(&plain)
	return plain, err
}

type differ struct {
	edits []edit
	err   error
}

func (d *differ) compare(path string, from, to any) {
	before, isObject := from.(map[string]any)
	after, stillObject := to.(map[string]any)
	if isObject && stillObject {
		d.compareFields(path, before, after)
		return
	}
	list, isList := from.([]any)
	next, stillList := to.([]any)
	if isList && stillList && (holdsObjects(list) || holdsObjects(next)) {
		for i := range max(len(list), len(next)) {
			d.compare(fmt.Sprintf("%s[%d]", path, i), element(list, i), element(next, i))
		}
		return
	}
	was, is := d.raw(from), d.raw(to)
	if !bytes.Equal(was, is) {
		d.edits = append(d.edits, edit{Path: path, From: was, To: is})
	}
}

func (d *differ) compareFields(path string, before, after map[string]any) {
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		d.compare(strings.TrimPrefix(path+"."+name, "."), before[name], after[name])
	}
}

// raw gives a value's JSON; nil for one that is not there.
func (d *differ) raw(value any) json.RawMessage {
	if value == nil {
		return nil
	}
	raw, err := json.Marshal(value)
	if err != nil {
		d.err = err
	}
	return raw
}

func holdsObjects(list []any) bool {
	return slices.ContainsFunc(list, func(one any) bool {
		_, is := one.(map[string]any)
		return is
	})
}

func element(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return nil
}
