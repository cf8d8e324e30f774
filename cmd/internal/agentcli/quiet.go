package agentcli

import (
	"context"
	"time"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

// quietTime is how long nothing has to change in the fleet before the memory that changes
// took is given back. To do so takes some 10 ms of a core.
const quietTime = 10 * time.Second

// whenQuiet calls once for each time that changes of the fleet, which wait waits for, have
// ended, until ctx ends.
func whenQuiet(ctx context.Context, wait func(context.Context) (*hosts.State, error), call func()) {
	for {
		if _, err := wait(ctx); err != nil {
			return
		}
		for quiet := false; !quiet; {
			while, cancel := context.WithTimeout(ctx, quietTime)
			_, err := wait(while)
			cancel()
			if ctx.Err() != nil {
				return
			}
			quiet = err != nil
		}
		call()
	}
}
