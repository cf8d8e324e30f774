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
var shownFields = []string{"owner", "tier", "deprecated", "protocol", "port", "listenerPort", "dependencies", "access", "hosts", "gateways", "backends"}

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
			change.Before, change.After = short(was[name], is[name])
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

// short gives two values as the audit tells them. Long ones begin shortly before
// they differ: at the end of a long list is who was approved last.
func short(before, after json.RawMessage) (was, is string) {
	if len(before) <= longestShown && len(after) <= longestShown {
		return string(before), string(after)
	}
	same := 0
	for same < min(len(before), len(after)) && before[same] == after[same] {
		same++
	}
	from := max(0, same-longestShown/4)
	return part(before, from), part(after, from)
}

// part is what the audit tells of a value from somewhere on.
func part(value json.RawMessage, from int) string {
	shown, begin, end := value[from:], "", ""
	if from > 0 {
		begin = "…"
	}
	if len(shown) > longestShown {
		shown, end = shown[:longestShown], "…"
	}
	return begin + strings.ToValidUTF8(string(shown), "") + end
}
