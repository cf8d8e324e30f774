package mesh

// Subset is a named group of a service's instances: those that carry all the labels.
type Subset struct {
	Name   string            `json:"name" doc:"A DNS label, unique in the service." example:"v2"`
	Labels map[string]string `json:"labels" doc:"Labels that an instance must carry."`
}

// RouteRule sends the requests that match to subsets by weight.
type RouteRule struct {
	Match   RequestMatch     `json:"match,omitzero" doc:"Left out, the rule matches every request."`
	To      []WeightedSubset `json:"to,omitempty" doc:"Where to; left out, all instances. Weights need not add up to 100."`
	Timeout Duration         `json:"timeout,omitempty" doc:"Instead of traffic.timeout. Zero is refused: see traffic.noTimeout. From 1ms to 24h." zero:"noTimeout"`
	Retries *Retries         `json:"retries,omitempty" doc:"Instead of traffic.retries."`
	Mirror  *Mirror          `json:"mirror,omitempty" doc:"A copy of the requests, whose answers are thrown away."`
	Rewrite string           `json:"rewrite,omitempty" doc:"Replaces the matched path prefix, or the whole of an exact path."`
}

// RequestMatch matches a request when all that it names do.
type RequestMatch struct {
	Path    *PathMatch    `json:"path,omitempty" doc:"The path, without its query."`
	Methods []string      `json:"methods,omitempty" doc:"Any of these." example:"GET"`
	Headers []HeaderMatch `json:"headers,omitempty" doc:"All of these."`
	Query   []QueryMatch  `json:"query,omitempty" doc:"All of these parameters of the query."`
}

// PathMatch matches the path, without its query, in exactly one way.
type PathMatch struct {
	Exact  string `json:"exact,omitempty" doc:"The whole path." example:"/healthz"`
	Prefix string `json:"prefix,omitempty" doc:"Whole segments: /api matches /api and /api/x, not /apix." example:"/api"`
	Regex  string `json:"regex,omitempty" doc:"RE2, for the whole path."`
}

// HeaderMatch matches one header; with no value given, its presence.
type HeaderMatch struct {
	Name   string `json:"name" doc:"The header." example:"x-canary"`
	Exact  string `json:"exact,omitempty" doc:"The whole value."`
	Prefix string `json:"prefix,omitempty" doc:"What the value begins with."`
	Regex  string `json:"regex,omitempty" doc:"RE2, for the whole value."`
	Invert bool   `json:"invert,omitempty" doc:"Matches when the header does not."`
}

// QueryMatch matches one parameter of the query; with no value given, its presence. Names
// and values are as they stand in the request, escapes and all, and of several of one
// name the first counts.
type QueryMatch struct {
	Name   string `json:"name" doc:"The parameter. Of several of one name the first counts." example:"beta"`
	Exact  string `json:"exact,omitempty" doc:"The whole value, as it stands in the request: escapes are not resolved."`
	Prefix string `json:"prefix,omitempty" doc:"What the value begins with."`
	Regex  string `json:"regex,omitempty" doc:"RE2, for the whole value."`
}

// WeightedSubset is a share of the requests for one subset.
type WeightedSubset struct {
	Subset string `json:"subset,omitempty" doc:"A subset of the service; left out, all its instances."`
	Weight int    `json:"weight" minimum:"0" maximum:"1000000" doc:"Its share beside the others."`
}

// Mirror copies a share of the requests to a subset of the same service.
type Mirror struct {
	Subset  string  `json:"subset" doc:"A subset of the service."`
	Percent float64 `json:"percent,omitempty" minimum:"0" maximum:"100" doc:"Default 100."`
}
