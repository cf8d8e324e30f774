package proxy

import (
	"fmt"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Problem is what a proxy of a host does not do as it is told.
type Problem struct {
	Service mesh.ServiceName // "": it is about all
	Port    mesh.Port        // that the service does not have on this host; 0: it is about something else
	Message string           // why, and what to do
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
