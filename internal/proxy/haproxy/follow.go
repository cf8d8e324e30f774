package haproxy

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// portPoll is how often it is seen whether a port is free again.
	portPoll = time.Second
	// lookEvery is how often HAProxy is asked whether it still answers, and mostUnheard
	// how often it may not.
	lookEvery   = 5 * time.Second
	mostUnheard = 3
)

// follow has HAProxy serve what the catalog says, until ctx ends or HAProxy has to be
// replaced, which is the error.
func (r *Runner) follow(ctx context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	ports := time.NewTicker(portPoll)
	defer ports.Stop()
	pauses := newPauses()
	unheard := 0
	var due <-chan time.Time // nil: no reload is
	r.apply(ctx)             // servers that drain, and what changed since it was started
	for {
		if r.broken && due == nil { // by what was applied after it began: nobody may say anything again
			due = time.After(pauses.NextBackOff())
		}
		reload := false
		select {
		case <-ctx.Done():
			return nil
		case <-r.process.exited.Done():
			return r.process.death()
		case <-look.C:
			if unheard = r.look(ctx, unheard); unheard == mostUnheard {
				return fmt.Errorf("HAProxy did not answer %d times", unheard)
			}
			continue
		case <-ports.C:
			if !r.missing {
				continue
			}
		case <-r.feed.Ready():
			view, _, err := r.feed.Take()
			if err != nil {
				return err
			}
			r.take(view)
			r.apply(ctx)
		case <-due:
			due, reload = nil, true
		}
		if due != nil {
			continue // what is due will have this in it
		}
		_, next := fit(r.running, r.wanted())
		if !r.broken && sameShape(r.running, next) {
			r.recover()
			continue
		}
		if !reload {
			if wait := r.pace.Reserve().Delay(); wait > 0 {
				due = time.After(wait)
				continue
			}
		}
		switch err := r.reload(ctx, next); {
		case err == nil:
			if r.apply(ctx); !r.broken {
				pauses.Reset()
			}
		case ctx.Err() != nil:
			return nil
		case !errors.Is(err, errRefused):
			return err
		default:
			pause := pauses.NextBackOff()
			r.log.Error("HAProxy cannot be reloaded: it goes on with the services that it had", "again", pause.Round(time.Millisecond), "error", err)
			r.suffer("HAProxy cannot be reloaded: it goes on with the services and ports that it had, and is told again by itself", err)
			due = time.After(pause)
		}
	}
}

// look asks HAProxy whether it is there; it gives how often in a row it did not answer.
func (r *Runner) look(ctx context.Context, unheard int) int {
	if _, err := ask(ctx, r.socket(), "show version"); err != nil {
		return unheard + 1
	}
	return 0
}

// apply changes servers by the Runtime API, as far as that goes.
func (r *Runner) apply(ctx context.Context) {
	now, _ := fit(r.running, r.plan)
	list := commands(r.running, now)
	if len(list) == 0 {
		return
	}
	if err := send(ctx, r.socket(), list); err != nil {
		if ctx.Err() == nil {
			r.broken = true
			r.log.Error("HAProxy does not change its servers: reloading it", "error", err)
			r.suffer("HAProxy does not take what changed of copies, and is reloaded", err)
		}
		return
	}
	r.running = now
	settings := r.settings
	r.keeper.keep(func() {
		if err := r.write(render(settings, now)); err != nil {
			r.log.Warn("the configuration of HAProxy cannot be written: it is as before", "error", err)
		}
	})
}
