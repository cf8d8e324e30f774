package attest

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Account is a service account.
type Account struct{ Namespace, Name string }

// String writes "heddle-system/heddle-gateway".
func (a Account) String() string { return a.Namespace + "/" + a.Name }

// ParseAccount reads "gateway/edge=heddle-system/heddle-gateway": who is run by a service
// account, which is in the namespace own unless it says another.
func ParseAccount(text, own string) (mesh.Identity, Account, error) {
	name, of, _ := strings.Cut(text, "=")
	is, err := mesh.ParseIdentity(name)
	account := Account{own, of}
	if namespace, name, elsewhere := strings.Cut(of, "/"); elsewhere {
		account = Account{namespace, name}
	}
	if err != nil || is.Kind != mesh.GatewayIdentity && is.Kind != mesh.AuthzIdentity ||
		len(validation.IsDNS1123Label(account.Namespace)) > 0 || len(validation.IsDNS1123Subdomain(account.Name)) > 0 {
		return is, account, fmt.Errorf("%q is not IDENTITY=[NAMESPACE/]ACCOUNT, such as gateway/edge=heddle-gateway or %s=heddle-authz", text, mesh.Identity{Kind: mesh.AuthzIdentity})
	}
	return is, account, nil
}
