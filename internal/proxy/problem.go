package proxy

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Problem is what a proxy of a host does not do as it is told.
type Problem struct {
	Service mesh.ServiceName // "": it is about all
	Port    mesh.Port        // that the service does not have on this host; 0: it is about something else
	Message string           // why, and what to do
}

// mostTold bounds, in bytes, what a problem says of a proxy's own words.
const mostTold = 1000

// Trouble is the problem of a whole proxy: what does not work, and why, in one line.
func Trouble(what string, err error) Problem {
	text := strings.NewReplacer(":\n", ": ", "\n", "; ").Replace(strings.TrimSpace(what + ": " + err.Error()))
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > mostTold {
		text = strings.ToValidUTF8(text[:mostTold], "") + "…"
	}
	return Problem{Message: text}
}

// suffer tells that Envoy does not serve, until [Runner.recover].
func (r *Runner) suffer(what string, err error) {
	r.troubled = true
	r.tell(Trouble(what, err))
}

// recover tells that Envoy serves, if that is news.
func (r *Runner) recover() {
	if r.troubled {
		r.troubled = false
		r.tell()
	}
}

func (r *Runner) tell(list ...Problem) {
	if r.config.Problems != nil {
		r.config.Problems(list)
	}
}

// NoPort is the problem of a service for which nothing listens on this host, because
// of a fault of the port there.
func NoPort(s *mesh.Service, port mesh.Port, fault string) Problem {
	meanwhile := "called by its name alone"
	if s.Protocol == mesh.TCP {
		meanwhile = "not called from here"
	}
	return Problem{Service: s.Name, Port: port, Message: fmt.Sprintf(
		"this host does not listen for it: %s; until then the service is %s", fault, meanwhile)}
}
