package mesh

import "fmt"

// Dependents are those whom the deletion of a service would hurt.
type Dependents struct {
	Services []ServiceName // that declare it, itself aside
	Routes   []RouteName   // that lead to it
	Revision int64         // of the registry, at which they are all that there are
}

// None says whether nobody would be hurt.
func (d *Dependents) None() bool { return len(d.Services)+len(d.Routes) == 0 }

// Objects names them all.
func (d *Dependents) Objects() []string {
	out := make([]string, 0, len(d.Services)+len(d.Routes))
	for _, name := range d.Services {
		out = append(out, "service/"+string(name))
	}
	for _, name := range d.Routes {
		out = append(out, "route/"+string(name))
	}
	return out
}

// Refuse is the refusal of a deletion that would hurt them, each of whom has a
// fault that says how.
func (d *Dependents) Refuse(service ServiceName) error {
	e := &Error{Kind: KindConflict, Reason: ReasonDependents, Message: fmt.Sprintf(
		"service %q is still depended on, by %s: have them declare something else first, or force the deletion", service, d.count())}
	for _, name := range d.Services {
		e.Faults.Add("service/"+string(name), "declares it among its dependencies, and would get a 503")
	}
	for _, name := range d.Routes {
		e.Faults.Add("route/"+string(name), "leads to it, and its clients would get a 503")
	}
	return e
}

// count says how many they are.
func (d *Dependents) count() string {
	services, routes := counted(len(d.Services), "service"), counted(len(d.Routes), "route")
	switch {
	case len(d.Routes) == 0:
		return services
	case len(d.Services) == 0:
		return routes
	}
	return services + " and " + routes
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
