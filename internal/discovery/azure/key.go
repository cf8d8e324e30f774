package azure

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/heddle-mesh/heddle/internal/discovery"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// id makes an ID comparable.
func id(of string) string { return strings.ToLower(strings.TrimPrefix(of, "/")) }

// key is what the registry has as a machine's ID. What is not plain ASCII, such as a resource
// group's name may be, is percent-encoded, so that idOf finds the resource again.
func key(id string) string { return discovery.TidyID(encoded(id)) }

func plain(c byte) bool { return c > ' ' && c <= '~' && c != '%' }

func encoded(id string) string {
	out := strings.Builder{}
	for i := range len(id) {
		if c := id[i]; plain(c) {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02x", c)
		}
	}
	return out.String()
}

// idOf is the ID of the machine that the registry has; false if the registry's does not tell
// it, because it was too long, or was written before such IDs were encoded.
func idOf(vm *mesh.VM) (string, bool) {
	decoded, err := url.PathUnescape(vm.ID)
	if err != nil || encoded(decoded) != vm.ID {
		return vm.ID, false
	}
	if hashed.MatchString(vm.ID) && (setOf(vm.ID) != "" || nameOf(decoded) != strings.ToLower(vm.Name)) {
		return vm.ID, false
	}
	return decoded, true
}

// hashed is how discovery.TidyID ends what it cannot keep.
var hashed = regexp.MustCompile(`-[0-9a-f]{16}$`)
