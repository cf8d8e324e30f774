package haproxy

import "sync"

// keeper has the last of what is to be written written beside what goes on, for a disk may
// take long: changes do not wait for the file that tells of them.
type keeper struct {
	work sync.WaitGroup

	mu   sync.Mutex
	last func() // guarded by mu; nil: there is nothing to write
	busy bool   // guarded by mu
}

// keep writes soon, and not what was to be written before and is not yet.
func (k *keeper) keep(write func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = write
	if !k.busy {
		k.busy = true
		k.work.Go(k.run)
	}
}

// settle waits until all is written. It may not be called beside keep.
func (k *keeper) settle() { k.work.Wait() }

func (k *keeper) run() {
	for {
		k.mu.Lock()
		write := k.last
		k.last, k.busy = nil, write != nil
		k.mu.Unlock()
		if write == nil {
			return
		}
		write()
	}
}
