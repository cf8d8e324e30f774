package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// memory is what an agent has to know when it starts again.
type memory struct {
	Hosts   []netip.AddrPort `json:"hosts"`             // where the others gossip, or did
	Drained []string         `json:"drained,omitempty"` // "source/id"
	// Claims orders who wanted a port first, by service.
	Claims map[mesh.ServiceName]uint64 `json:"claims,omitempty"`
}

// recall reads what was remembered; a file that is not there is no fault.
func recall(path string) (memory, error) {
	var m memory
	if path == "" {
		return m, nil
	}
	body, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m, nil
	case err != nil:
		return m, err
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, &mesh.Error{Kind: mesh.KindInvalid, Message: fmt.Sprintf("%s is not what an agent remembers: remove it, and the agent starts anew", path), Err: err}
	}
	return m, nil
}

// rememberInterval bounds how often the file is written.
const rememberInterval = time.Second

// keeper keeps the file up to date. One that cannot be written is told of once, and tried again.
type keeper struct {
	path string // "": nothing is remembered
	what func() memory
	log  *slog.Logger

	mu      sync.Mutex
	written memory // guarded by mu
	told    string // guarded by mu
}

// run keeps the file until ctx ends, with what came just before.
func (k *keeper) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(rememberInterval):
		}
		k.now()
	}
}

// now writes what has changed.
func (k *keeper) now() {
	if k.path == "" {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.what()
	if reflect.DeepEqual(now, k.written) {
		return
	}
	err := now.write(k.path)
	switch {
	case err == nil:
		k.written, k.told = now, ""
	case k.told != err.Error():
		k.told = err.Error()
		k.log.Error("what the agent is to know when it starts again cannot be written", "error", err)
	}
}

func (a *Agent) memory() memory {
	a.mu.Lock()
	defer a.mu.Unlock()
	return memory{Hosts: a.gossip.Places(), Drained: slices.Sorted(maps.Keys(a.found.drained)), Claims: a.claimed()}
}

// write replaces the file in one step, which a machine that loses its power does not halve.
// The name beside it is the same each time, so that errors are too.
func (m memory) write(path string) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	beside := path + ".new"
	file, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(body)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(beside, path)
}
