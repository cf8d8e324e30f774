package controlplane

import (
	"sync"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// scopeBoard holds the open scopes by name; the loop writes, the API reads.
type scopeBoard struct {
	mu     sync.Mutex
	byName map[string]translate.Scope // guarded by mu
}

func (b *scopeBoard) open(scope translate.Scope) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byName == nil {
		b.byName = map[string]translate.Scope{}
	}
	b.byName[scope.Name()] = scope
}

func (b *scopeBoard) close(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byName, name)
}

// hasGateway says whether a gateway of that name is connected.
func (b *scopeBoard) hasGateway(name mesh.ServiceName) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, scope := range b.byName {
		if scope.Service == name && scope.Proxy.Profile == mesh.GatewayProfile {
			return true
		}
	}
	return false
}

// Scope gives a scope by its name, for as long as it is open.
func (c *ControlPlane) Scope(name string) (scope translate.Scope, open bool) {
	c.scopes.mu.Lock()
	defer c.scopes.mu.Unlock()
	scope, open = c.scopes.byName[name]
	return scope, open
}
