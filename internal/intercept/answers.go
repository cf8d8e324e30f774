package intercept

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// AnswersComeBack refuses an application's port for which TPROXY has no rules of routing while
// it has some for others: its answers would go nowhere, and callers wait. Where there are none
// yet, or they cannot be looked at, nothing is known, and nothing is refused.
func AnswersComeBack(ctx context.Context, port mesh.Port) error {
	has, err := routing{ipLimit}.present(ctx)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	ports := map[Family][]string{}
	for _, one := range has {
		if one.port != "" {
			ports[one.family] = append(ports[one.family], one.port)
		}
	}
	for _, f := range []Family{IPv4, IPv6} {
		if there := ports[f]; len(there) > 0 && !slices.Contains(there, strconv.Itoa(int(port))) {
			return &mesh.Error{Kind: mesh.KindInvalid, Message: fmt.Sprintf("--app-port %d is not one of the ports for which this machine's rules have TPROXY (%s): callers would wait for ever; "+
				"give heddle intercept install --mode tproxy that port among --inbound-ports, or have the application listen on one of those", port, strings.Join(there, ", "))}
		}
	}
	return nil
}
