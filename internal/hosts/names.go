package hosts

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// MeshName is how the mesh calls a service of a name that may be no DNS label, as
// other systems allow: "Some_Service" is "some-service". A name that is too long is cut,
// and ends in a hash of all of it. It is "" if nothing is left.
func MeshName(name string) mesh.ServiceName {
	var label strings.Builder
	for _, r := range strings.ToLower(strings.TrimPrefix(name, "/")) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			label.WriteRune(r)
		case label.Len() > 0 && !strings.HasSuffix(label.String(), "-"):
			label.WriteByte('-')
		}
	}
	text := strings.Trim(label.String(), "-")
	if len(text) > maxLabel {
		sum := fnv.New32a()
		_, _ = sum.Write([]byte(text)) // it never fails
		text = fmt.Sprintf("%s-%08x", strings.TrimRight(text[:maxLabel-len("-01234567")], "-"), sum.Sum32())
	}
	return mesh.ServiceName(text)
}

// maxLabel leaves room in a DNS label of 63 bytes for "-" and a port.
const maxLabel = 57

// called tells apart what one name of the mesh may stand for.
func (c copyOf) called(name mesh.ServiceName) string {
	if MeshName(c.service.Name) != name {
		return fmt.Sprintf("%s at port %d", c.service.Name, c.port.ServicePort)
	}
	return c.service.Name
}

// namesakes takes out the copies of other services that the mesh would call the same:
// who had the name first has it. What a mesh with a server runs has its name already.
func (f *Fleet) namesakes(name mesh.ServiceName, copies map[key]copyOf) map[key]copyOf {
	claims := map[string]uint64{}
	for _, c := range copies {
		called := c.called(name)
		if first, is := claims[called]; c.service.Source != FromMesh && (!is || c.service.Claim < first) {
			claims[called] = c.service.Claim
		}
	}
	if len(claims) < 2 {
		return copies
	}
	called := slices.Sorted(maps.Keys(claims))
	owner := slices.MinFunc(called, func(a, b string) int { return cmp.Compare(claims[a], claims[b]) }) // of equals the first
	kept := map[key]copyOf{}
	for _, k := range slices.SortedFunc(maps.Keys(copies), compareKeys) {
		c := copies[k]
		if c.service.Source == FromMesh || c.called(name) == owner {
			kept[k] = c
			continue
		}
		f.problem(name, c, fmt.Sprintf("the mesh would call %q as it calls %q, %s, which had the name first: no proxy calls it until it is named differently", ShortReason(c.called(name)), ShortReason(owner), name))
	}
	return kept
}
