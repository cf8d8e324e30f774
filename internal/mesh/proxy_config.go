package mesh

import (
	"encoding/json"
	"time"
)

// ProxyConfig is what one connected proxy has of its configuration, all of it as it
// was at one moment.
type ProxyConfig struct {
	Node      string                           `json:"node" doc:"Its node id." example:"web/web-1"`
	Streams   []ProxyStream                    `json:"streams" nullable:"false" doc:"Its streams: one, or one for each type."`
	Resources []ProxyResource                  `json:"resources" nullable:"false" doc:"By type and name."`
	Total     int                              `json:"total" doc:"How many resources there are, of those that were asked for."`
	Counts    map[string]map[ResourceState]int `json:"counts" doc:"How many of each type, by its name, are in each state; also those that diff=true leaves out."`
	Differing int                              `json:"differing" doc:"How many of these the proxy has in another version than the newest."`
	Next      string                           `json:"next,omitempty" doc:"What to ask for with after=, for those behind; left out: these were the last."`
}

// ProxyResource is what a proxy has of one resource.
type ProxyResource struct {
	Type    string           `json:"type" doc:"The type URL."`
	Name    string           `json:"name"`
	State   ResourceState    `json:"state" enum:"synced,sent,behind,refused,withheld,absent,leaving" doc:"synced: the proxy has what it is to have. sent: it has not answered. behind: it was not sent it yet, because it does not read, or something else comes first. refused: it did not take it. withheld: there is no version that it may be sent. absent: it asked for something that its scope does not have. leaving: it has it still, and is to lose it."`
	Reason  string           `json:"reason,omitempty" doc:"Why the current version is not the newest, or why there is none."`
	Held    string           `json:"held,omitempty" doc:"The version that the proxy acknowledged, and goes on with."`
	Sent    string           `json:"sent,omitempty" doc:"The version that it was sent last."`
	Current string           `json:"current,omitempty" doc:"The version that it is to have now."`
	Newest  string           `json:"newest,omitempty" doc:"The version that the declarations give now."`
	Origin  *Origin          `json:"origin,omitempty" doc:"The declaration that the newest version follows from."`
	Refusal *ResourceRefusal `json:"refusal,omitempty" doc:"What a proxy said of a version that it did not take."`

	Config json.RawMessage `json:"config,omitempty" doc:"The newest version, as JSON (protojson). Keys and passwords are replaced by \"[redacted]\"."`
	Holds  json.RawMessage `json:"holds,omitempty" doc:"The held version, if it is another one and the server still has it."`
	Diff   string          `json:"diff,omitempty" doc:"From the held version to the newest, as a unified diff; if they differ, and the server has both."`
}

// Differs says whether a proxy has something else than what the declarations give.
func (r *ProxyResource) Differs() bool { return r.Held != r.Newest }

// ResourceRefusal is what a proxy said of a version of a resource.
type ResourceRefusal struct {
	Node    string    `json:"node" doc:"Which proxy."`
	Message string    `json:"message" doc:"Its words."`
	Version string    `json:"version,omitempty" doc:"Of the resource."`
	At      time.Time `json:"at,omitzero" doc:"When."`
}

// ResourceState is how far a proxy has come with a resource.
type ResourceState string

// The states.
const (
	ResourceSynced   ResourceState = "synced"
	ResourceSent     ResourceState = "sent"
	ResourceBehind   ResourceState = "behind"
	ResourceRefused  ResourceState = "refused"
	ResourceWithheld ResourceState = "withheld"
	ResourceAbsent   ResourceState = "absent"
	ResourceLeaving  ResourceState = "leaving"
)

// ProxyQuery says what of a proxy's configuration is asked for.
type ProxyQuery struct {
	Node    string
	Type    string // a type URL; "": all
	Name    string // part of the names; "": all
	Differ  bool   // only what the proxy has in another version than the newest, with the difference
	Content bool   // the resources themselves
	After   string // ProxyConfig.Next
	Limit   int    // of resources; 0: none
}

// resourceTypes are the names of the types of resources, as people say and as the
// services of the protocol are called.
var resourceTypes = []struct{ name, service, url string }{
	{"clusters", "cds", "type.googleapis.com/envoy.config.cluster.v3.Cluster"},
	{"endpoints", "eds", "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"},
	{"listeners", "lds", "type.googleapis.com/envoy.config.listener.v3.Listener"},
	{"routes", "rds", "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"},
	{"secrets", "sds", "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"},
	{"runtime", "rtds", "type.googleapis.com/envoy.service.runtime.v3.Runtime"},
	{"extensions", "ecds", "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"},
}

// ResourceTypeOrder sorts type URLs: those of clusters first.
func ResourceTypeOrder(url string) int {
	for i, one := range resourceTypes {
		if one.url == url {
			return i
		}
	}
	return len(resourceTypes)
}

// ResourceTypeNames are the names of the types of resources.
func ResourceTypeNames() []string {
	var names []string
	for _, one := range resourceTypes {
		names = append(names, one.name)
	}
	return names
}

// ResourceType finds the type URL of clusters, cds, or a type URL itself.
func ResourceType(name string) (url string, ok bool) {
	for _, one := range resourceTypes {
		if name == one.name || name == one.service || name == one.url {
			return one.url, true
		}
	}
	return "", false
}

// ResourceTypeName is the name of a type URL, such as clusters.
func ResourceTypeName(url string) string {
	for _, one := range resourceTypes {
		if one.url == url {
			return one.name
		}
	}
	return url
}
