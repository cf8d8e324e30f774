package agent

import (
	"bytes"
	"context"
	"slices"
	"time"
)

// keysInterval is how often the keys are read anew.
const keysInterval = time.Second

// rotate takes other keys as soon as they are there. Keys that cannot be read change
// nothing, which is told once.
func (a *Agent) rotate(ctx context.Context) {
	have, told := a.cfg.Gossip.Keys, ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(keysInterval):
		}
		keys, err := a.cfg.Keys()
		if err == nil && slices.EqualFunc(keys, have, bytes.Equal) {
			told = ""
			continue
		}
		if err == nil {
			err = a.gossip.SetKeys(keys)
		}
		switch {
		case err == nil:
			have, told = keys, ""
			a.cfg.Logger.Info("the keys of gossip have been changed", "keys", len(keys))
		case told != err.Error():
			told = err.Error()
			a.cfg.Logger.Error("the keys of gossip cannot be read; those before are used", "error", err)
		}
	}
}
