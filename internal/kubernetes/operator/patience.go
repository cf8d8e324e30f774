package operator

import (
	"sync"
	"time"
)

// The pauses between tries of what a server that is away does not do.
const (
	firstPause = 2 * time.Second
	awayPause  = 8 * time.Second  // the most while a server is away: nobody waits for longer than 10 s once it is back
	mostPause  = 30 * time.Second // the most for proxies
	tokenPause = 5 * time.Second  // while the registry does not know the operator's token
)

// patience knows how long each object waits for something that does not come: each
// pause is twice the one before, until what it waits for becomes another.
type patience struct {
	mu      sync.Mutex
	waiting map[object]waited // guarded by mu
}

type waited struct {
	what string
	last time.Duration
}

// next is how long to wait now; first is the first pause, and most the longest.
func (p *patience) next(o object, what string, first, most time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = map[object]waited{}
	}
	was := p.waiting[o]
	if was.what != what {
		was = waited{what: what}
	}
	was.last = min(max(first, 2*was.last), most)
	p.waiting[o] = was
	return pause(was.last)
}

// forget is for an object that waits no more.
func (p *patience) forget(o object) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, o)
}
