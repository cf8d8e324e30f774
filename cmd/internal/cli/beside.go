package cli

import (
	"context"
	"errors"
	"sync"
)

// Beside runs what a command is about, and others beside it, which live until it has
// ended: longer than ctx, as it drains. A fault of one of them ends the command.
func Beside(ctx context.Context, command func(context.Context) error, others ...func(context.Context) error) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	faults := make(chan error, len(others))
	var tasks sync.WaitGroup
	for _, other := range others {
		tasks.Go(func() {
			if err := other(life); err != nil {
				faults <- err
				stop()
			}
		})
	}
	err := command(ctx)
	end()
	tasks.Wait()
	close(faults)
	for fault := range faults {
		err = errors.Join(err, fault)
	}
	return err
}
