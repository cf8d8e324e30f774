package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/heddle-mesh/heddle/internal/demo/stage"
)

// Run runs a demo: until ctx ends, or, with Once, until the scenario has been
// played; its error is then [Result.Err]'s. The end of ctx is the normal end of
// a demo that stays, and an error of one that plays the scenario. When Run
// returns, no process of the demo is left.
func Run(ctx context.Context, config Config) error {
	config, err := config.withDefaults()
	if err != nil {
		return err
	}
	folder, temporary, err := config.workFolder()
	if err != nil {
		return err
	}

	demoCtx, died, fail, release := stage.Guard(ctx)
	defer release()

	progress := config.progress()
	t := &town{
		config: config, folder: folder, fail: fail,
		say:    func(format string, args ...any) { fmt.Fprintf(progress, format+"\n", args...) },
		launch: stage.Launcher{Mark: rand.Text(), Folder: folder, Died: died},
	}
	t.say("This is a demo: its certificates and tokens are its own, on %s only.", loopback)
	err = t.open(demoCtx)
	var result stage.Result
	switch {
	case err != nil && demoCtx.Err() != nil:
		err = context.Cause(demoCtx)
		result = notPlayed(err)
	case err != nil:
		result = notPlayed(err)
	case config.Once:
		result = play(demoCtx, t)
		err = result.Err()
	default:
		err = t.stay(demoCtx)
	}
	if t.begun() {
		t.say("stopping gateway and sidecars, callers first, then AuthZ services and server …")
		if config.Hurry != nil && ctx.Err() != nil {
			t.say("  (some seconds: requests under way are finished; Ctrl-C again ends it at once)")
		}
	}
	closing := t.close(ctx)
	if closing == nil && t.begun() {
		t.say("  nothing is left running")
	}
	release()
	interrupted := ctx.Err() != nil
	switch {
	case interrupted && !config.Once && errors.Is(err, context.Canceled):
		err = nil // Ctrl-C is how a demo ends
	case interrupted && config.Once:
		err = stage.ErrInterrupted // what failed then says nothing
	}
	err = errors.Join(err, closing)
	if config.Once {
		err = errors.Join(err, result.Concluded(err).Report(config.Out, config.JSON))
	}
	switch {
	case temporary == nil:
	case err != nil && !interrupted && holdsSomething(folder):
		t.say("what was logged is kept in %s", folder)
		err = errors.Join(err, temporary.Keep())
	default:
		_ = temporary.Close() // what stays the next demo removes
	}
	return err
}

func holdsSomething(folder string) bool {
	entries, err := os.ReadDir(folder)
	return err != nil || len(entries) > 0
}
