package agent

import "time"

// forgotten are hosts that gossip has let go, since when. What they ran may still be called,
// if most of a service's copies went with them; some day it is taken to have ended.
type forgotten map[string]time.Time

const (
	lostFor       = 24 * time.Hour
	mostForgotten = 1024
)

// add notes a host, and gives who has to go for it, as there are too many.
func (f forgotten) add(host string, now time.Time) []string {
	f[host] = now
	if len(f) <= mostForgotten {
		return nil
	}
	oldest := host
	for one, since := range f {
		if since.Before(f[oldest]) {
			oldest = one
		}
	}
	delete(f, oldest)
	return []string{oldest}
}

// over gives those that were forgotten long ago, and lets them go.
func (f forgotten) over(now time.Time) []string {
	var list []string
	for one, since := range f {
		if now.Sub(since) > lostFor {
			list = append(list, one)
			delete(f, one)
		}
	}
	return list
}
