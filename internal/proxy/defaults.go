package proxy

import (
	"os"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// DefaultInstance names the instance after this machine.
func DefaultInstance() (mesh.InstanceID, error) {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "", &mesh.Error{Kind: mesh.KindInvalid, Message: "this machine has no host name to name the instance after: name it with --instance", Err: err}
	}
	return mesh.InstanceID(name), nil
}
