package insight

import (
	"strings"
	"unicode"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Question is which call is to be explained.
type Question struct {
	// From is a service, one of its proxies as SERVICE/INSTANCE, or gateway/NAME.
	From    string
	To      mesh.ServiceName
	Request mesh.ExplainedRequest // what is left out has its default
}

// Validate reports what can be no call.
func (q *Question) Validate() mesh.Faults {
	var f mesh.Faults
	from := strings.TrimPrefix(q.From, mesh.GatewayCaller(""))
	name, instance, has := strings.Cut(from, "/")
	if !nameable(name) || has && instance == "" {
		f.Add("from", "%+q is none of SERVICE, SERVICE/INSTANCE and gateway/NAME", mesh.Cut(q.From, 100))
	}
	if !nameable(string(q.To)) {
		f.Add("to", "%+q is no name of a service", mesh.Cut(string(q.To), 100))
	}
	if s := q.Request.Scheme; s != "" && s != "http" && s != "https" {
		f.Add("scheme", "has to be one of http, https")
	}
	if p := q.Request.Path; p != "" && !strings.HasPrefix(p, "/") {
		f.Add("path", `%+q has to begin with "/"`, mesh.Cut(p, 100))
	}
	for _, part := range []struct{ name, value string }{{"host", q.Request.Host}, {"path", q.Request.Path}} {
		if strings.ContainsFunc(part.value, unicode.IsControl) { // no request has them, and a terminal obeys them
			f.Add(part.name, "%+q has control characters", mesh.Cut(part.value, 100))
		}
	}
	return f
}

// nameable says whether a service can have the name.
func nameable(name string) bool {
	probe := mesh.Instance{ID: "x", Service: mesh.ServiceName(name), Address: "127.0.0.1", Port: 1}
	return len(probe.Validate()) == 0
}
