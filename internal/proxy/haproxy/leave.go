package haproxy

import (
	"context"
	"syscall"
	"time"
)

const (
	idlePoll = 50 * time.Millisecond
	// quiet is how long nothing may have been active before it counts as idle.
	quiet = 200 * time.Millisecond
)

// leave has HAProxy take nothing new, waits until what it has is finished or the time to
// drain is over, and ends it. Clients that are connected and ask nothing hold up nothing.
func (r *Runner) leave(ctx context.Context) {
	p := r.process
	if p == nil {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, r.cfg.DrainTimeout)
	defer cancel()
	p.signal(syscall.SIGUSR1)
	idleSince := time.Now()
	for {
		n, err := active(bounded, p.socket(masterSocket))
		if err != nil || n > 0 {
			idleSince = time.Now()
		}
		if p.exited.Err() != nil || time.Since(idleSince) >= quiet {
			break
		}
		if !sleep(bounded, idlePoll) {
			r.log.Warn("the time to drain is over: requests and connections that are still active are cut", "after", r.cfg.DrainTimeout)
			break
		}
	}
	p.stop()
	r.log.Info("HAProxy stopped")
}
