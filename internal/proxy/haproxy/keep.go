package haproxy

import (
	"sync"
	"time"
)

// What is to be written is, once nothing more was for keptQuiet, and at the latest after keptLongest.
const (
	keptQuiet   = 100 * time.Millisecond
	keptLongest = time.Second
)

// keeper has the last of what is to be written written some time later, for neither the
// work nor the disk is to be beside a change that callers wait for, nor beside the next.
type keeper struct {
	work sync.WaitGroup

	mu    sync.Mutex
	last  func()        // guarded by mu; nil: there is nothing to write
	first time.Time     // guarded by mu; when there began to be
	since time.Time     // guarded by mu; when last came
	now   chan struct{} // guarded by mu; closed: without waiting; nil: nobody works
}

// keep writes soon, and not what was to be written before and is not yet.
func (k *keeper) keep(write func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.since = time.Now()
	if k.last == nil {
		k.first = k.since
	}
	k.last = write
	if k.now == nil {
		now := make(chan struct{})
		k.now = now
		k.work.Go(func() { k.run(now) })
	}
}

// settle has all written at once, and waits for it. It may not be called beside keep.
func (k *keeper) settle() {
	k.mu.Lock()
	if k.now != nil {
		close(k.now)
	}
	k.mu.Unlock()
	k.work.Wait()
}

func (k *keeper) run(now <-chan struct{}) {
	for k.wait(now) {
		k.mu.Lock()
		write := k.last
		k.last = nil
		k.mu.Unlock()
		write()
	}
}

// wait waits until it is time to write; false: there is nothing to, and nobody works any more.
func (k *keeper) wait(now <-chan struct{}) bool {
	for {
		k.mu.Lock()
		if k.last == nil {
			k.now = nil
			k.mu.Unlock()
			return false
		}
		pause := min(time.Until(k.since.Add(keptQuiet)), time.Until(k.first.Add(keptLongest)))
		k.mu.Unlock()
		if pause <= 0 {
			return true
		}
		timer := time.NewTimer(pause)
		select {
		case <-now:
			timer.Stop()
			return true
		case <-timer.C:
		}
	}
}
