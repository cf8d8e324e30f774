package insight

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

func addressOf(a *corev3.Address) string {
	at := a.GetSocketAddress()
	return net.JoinHostPort(at.GetAddress(), strconv.Itoa(int(at.GetPortValue())))
}

func list(names []mesh.ServiceName) string {
	if len(names) == 0 {
		return "none"
	}
	out := make([]string, len(names))
	for i, one := range names {
		out[i] = string(one)
	}
	return strings.Join(out, ", ")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// command is a line for a shell: what is to be run, and words that it is given, which
// may be anybody's.
func command(run string, words ...string) string {
	for _, word := range words {
		run += " " + mesh.ShellWord(word)
	}
	return run
}

// isOrAre is the verb behind a number.
func isOrAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func ago(now, then time.Time) string {
	if now.IsZero() || then.IsZero() {
		return "some time"
	}
	return now.Sub(then).Round(time.Second).String()
}

// similar asks whether a declared service was meant.
func (i *inquiry) similar(name string) string {
	best := mesh.Similar(name, func(yield func(string) bool) {
		for s := range i.View.Services() {
			if !yield(string(s.Name)) {
				return
			}
		}
	})
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", best)
}
