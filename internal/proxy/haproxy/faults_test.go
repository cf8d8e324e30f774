package haproxy

import (
	"errors"
	"testing"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// A port that HAProxy may not have is left out from then on; one that it lost in a race is
// looked at again.
func TestPortsThatHAProxyCannotBind(t *testing.T) {
	for reason, stays := range map[string]bool{
		"Permission denied": true, "Operation not permitted": true,
		"Address already in use": false, "Cannot assign requested address": false,
	} {
		r := &Runner{faults: faults{unbound: map[mesh.Port]string{}}}
		r.suffer("HAProxy does not start", errors.New("[ALERT] (1) : Starting frontend port.80: cannot bind socket ("+reason+") for [127.0.0.1:80]\n[ALERT] (1) : [haproxy.main()] Some protocols failed to start"))
		if _, noted := r.faults.unbound[80]; noted != stays {
			t.Errorf("%s: noted for good: %v", reason, noted)
		}
		if r.faults.trouble == "" {
			t.Errorf("%s: nobody is told", reason)
		}
	}
}
