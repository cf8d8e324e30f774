package registry

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// shownFields are those whose values the audit tells. Of all others it tells that
// they changed: what is not in here cannot give a secret away.
var shownFields = []string{"owner", "protocol", "port", "listenerPort", "dependencies", "access", "hosts", "gateways", "backends"}

// longestShown bounds one value in the audit, in bytes.
const longestShown = 300

// differences lists the top-level fields that differ between two objects of the
// model, either of which may be nil.
func differences[T any](before, after *T) []mesh.AuditChange {
	was, is := fieldsOf(before), fieldsOf(after)
	names := slices.Collect(maps.Keys(was))
	for name := range is {
		if _, twice := was[name]; !twice {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out []mesh.AuditChange
	for _, name := range names {
		if name == "meta" || name == "name" || bytes.Equal(was[name], is[name]) {
			continue
		}
		change := mesh.AuditChange{Field: name}
		if slices.Contains(shownFields, name) {
			change.Before, change.After = short(was[name]), short(is[name])
		}
		out = append(out, change)
	}
	return out
}

func fieldsOf[T any](object *T) map[string]json.RawMessage {
	if object == nil {
		return nil
	}
	var fields map[string]json.RawMessage
	data, err := json.Marshal(object)
	if err == nil {
		err = json.Unmarshal(data, &fields)
	}
	if err != nil {
		return nil // it has been encoded before, with success
	}
	return fields
}

func short(value json.RawMessage) string {
	if len(value) > longestShown {
		return strings.ToValidUTF8(string(value[:longestShown]), "") + "…"
	}
	return string(value)
}
