package operator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// keepers knows which clusters have been joined to the mesh, by whatever operator.
type keepers struct {
	registry *client.Client

	mu    sync.Mutex
	known []mesh.Keeper // guarded by mu, as below
	read  time.Time
}

// keepersLast is how long what was read is taken to be so.
const keepersLast = 5 * time.Second

// without gives the clusters of a list that no operator has joined; none when that is
// not known.
func (k *keepers) without(ctx context.Context, clusters []string) []string {
	known := k.recent(ctx)
	if known == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(clusters), func(one string) bool { return slices.Contains(known, mesh.OfCluster(one)) })
}

// recent gives the keepers as of some seconds ago; nil: that is not known. One of the
// workers asks, the others take what was known before.
func (k *keepers) recent(ctx context.Context) []mesh.Keeper {
	k.mu.Lock()
	known, due := k.known, time.Since(k.read) > keepersLast
	if due {
		k.read = time.Now() // also if it fails: it is not asked again and again
	}
	k.mu.Unlock()
	if !due {
		return known
	}
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	read, err := k.registry.Keepers(ctx)
	if err != nil {
		read = nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.known = read
	return read
}

// unjoined says which clusters a service is to have pods of that nobody joins, or "".
func (c *objects) unjoined(ctx context.Context, service mesh.ServiceName) string {
	pods, _ := c.mirror.podsOf(service)
	if pods == nil || pods.Discovery == mesh.KubernetesDNS || len(pods.Clusters) == 1 && pods.Clusters[0] == c.cluster {
		return ""
	}
	without := c.keepers.without(ctx, pods.Clusters)
	if len(without) == 0 {
		return ""
	}
	return fmt.Sprintf("endpoints.kubernetes.clusters names %s, which no operator has joined to the mesh: correct the name, or start its operator", strings.Join(without, ", "))
}
