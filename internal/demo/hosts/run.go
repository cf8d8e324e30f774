package hosts

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

// scenarioTime bounds the whole scenario.
const scenarioTime = 5 * time.Minute

// Run runs a demo: until the scenario has been played, whose failures are its error, or,
// with Stay, until ctx ends. When Run returns, nothing of the demo is left.
func Run(ctx context.Context, config Config) error {
	config, err := config.withDefaults()
	if err != nil {
		return err
	}
	t := &town{config: config}
	t.say = func(format string, args ...any) { fmt.Fprintf(config.progress(), format+"\n", args...) }
	found, err := sweep()
	if err != nil {
		return fmt.Errorf("remove what another demo left that was killed: %w", err)
	}
	if found > 0 {
		t.say("removed what %d demo(s) had left that were killed", found)
	}
	mark := rand.Text()
	if t.folder, err = newFolder(mark); err != nil {
		return err
	}
	demoCtx, died, _, release := stage.Guard(ctx)
	defer release()
	t.launch = stage.Launcher{Mark: mark, Folder: t.folder.Path, Died: died}

	result, err := t.run(demoCtx)
	if ctx.Err() != nil {
		t.say("stopping … (some seconds; Ctrl-C again ends it at once)")
	} else {
		t.say("stopping …")
	}
	closing := t.close(context.WithoutCancel(ctx))
	if closing == nil {
		t.say("  nothing is left running")
	}
	release()
	interrupted := ctx.Err() != nil
	switch {
	case interrupted && config.Stay && errors.Is(err, context.Canceled):
		err = nil // Ctrl-C is how a demo ends
	case interrupted && !config.Stay:
		err = stage.ErrInterrupted // what failed then says nothing
	}
	err = errors.Join(err, closing)
	if !config.Stay {
		err = errors.Join(err, t.report(result.Concluded(err)))
	}
	if err != nil && !interrupted {
		t.say("what was logged is kept in %s", t.folder.Path)
		return errors.Join(err, keepLogs(t.folder))
	}
	return errors.Join(err, t.folder.Close())
}

// run opens the town, and plays the scenario or stays.
func (t *town) run(ctx context.Context) (stage.Result, error) {
	if err := t.open(ctx); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return t.notPlayed(err), err
	}
	if t.config.Stay {
		return stage.Result{}, t.stay(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, scenarioTime, fmt.Errorf("the scenario took longer than %s", scenarioTime))
	defer cancel()
	result := t.play(ctx)
	return result, result.Err()
}
