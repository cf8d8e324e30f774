package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// goodbye bounds the deregistration at the end.
const goodbye = 5 * time.Second

// keeper holds a registration for as long as it runs.
type keeper struct {
	api      *client.Client
	log      *slog.Logger
	instance mesh.Instance
	ttl      time.Duration
	epoch    string
}

// keep renews the lease three times in its life, until ctx ends; then it
// deregisters the instance. A server that is away is waited for. It fails when
// somebody else registered the instance, for then it is theirs.
func (k *keeper) keep(ctx context.Context) error {
	tick := time.NewTicker(max(k.ttl/3, 100*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return k.leave(ctx)
		case <-tick.C:
		}
		if err := k.renew(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func (k *keeper) renew(ctx context.Context) error {
	_, err := k.api.Renew(ctx, k.instance.Key(), k.epoch)
	switch mesh.KindOf(err) {
	case mesh.KindUnavailable:
		k.log.Warn("the lease could not be renewed; trying again", "instance", k.instance.Key().String(), "error", err)
		return nil
	case mesh.KindNotFound:
		registered, err := registerOne(ctx, k.api, k.instance, k.ttl)
		if mesh.KindOf(err) == mesh.KindUnavailable {
			k.log.Warn("the instance could not be registered again; trying again", "instance", k.instance.Key().String(), "error", err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("the lease had ended; register %s again: %w", k.instance.Key(), err)
		}
		k.epoch = registered.Epoch
		k.log.Info("the lease had ended; registered again", "instance", k.instance.Key().String())
		return nil
	case mesh.KindConflict:
		return fmt.Errorf("%s was registered by somebody else meanwhile: %w", k.instance.Key(), err)
	}
	return err
}

// leave deregisters with time of its own, as ctx has ended. An instance that is
// gone, or somebody else's by now, is left alone.
func (k *keeper) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	err := k.api.Deregister(ctx, k.instance.Key(), k.epoch)
	if kind := mesh.KindOf(err); kind == mesh.KindNotFound || kind == mesh.KindConflict {
		return nil
	}
	if err != nil {
		return fmt.Errorf("deregister %s; its lease ends within %s: %w", k.instance.Key(), k.ttl, err)
	}
	k.log.Info("deregistered", "instance", k.instance.Key().String())
	return nil
}
