package mesh

import "time"

// ProxyStream is one stream of one connected proxy.
type ProxyStream struct {
	Node      string      `json:"node" doc:"Its node id, \"<service>/<instance>\"."`
	Service   ServiceName `json:"service,omitempty" doc:"The service it stands beside."`
	Instance  InstanceID  `json:"instance,omitempty" doc:"Which instance of it."`
	Scope     string      `json:"scope,omitempty" doc:"What it is sent; proxies of one profile share it."`
	Address   string      `json:"address,omitempty" doc:"Its end of the connection."`
	Transport string      `json:"transport,omitempty" doc:"How it asks: delta or state of the world, one stream for all types or one for each."`
	Connected time.Time   `json:"connected,omitzero" doc:"Since when."`
	Types     []ProxyType `json:"types,omitempty" nullable:"false" doc:"How far it has come with each type of resource."`
}

// ProxyType is how far a proxy has come with one type of resource.
type ProxyType struct {
	Type         string     `json:"type" doc:"The type URL."`
	Sent         string     `json:"sent,omitempty" doc:"The version that was sent last."`
	Acknowledged string     `json:"acknowledged,omitempty" doc:"The version that was accepted last."`
	Rejections   uint64     `json:"rejections,omitempty" doc:"How many answers it refused (NACKs)."`
	Rejected     *Rejection `json:"rejected,omitempty" doc:"What it refused last."`
	BehindSince  time.Time  `json:"behindSince,omitzero" doc:"Since when it lacks something; left out: it has everything."`
}

// Rejection is an answer that a proxy refused (a NACK).
type Rejection struct {
	Message string    `json:"message" doc:"The proxy's words."`
	At      time.Time `json:"at,omitzero" doc:"When."`
	Version string    `json:"version,omitempty" doc:"Of the refused answer."`
	Objects []Origin  `json:"objects,omitempty" nullable:"false" doc:"The declarations behind what was refused."`
}

// Origin is the declaration that a resource follows from.
type Origin struct {
	Object   string `json:"object" doc:"Its kind and name." example:"service/orders"`
	Author   string `json:"author,omitempty" doc:"Who wrote it last; told to those whom the audit tells it."`
	Revision int64  `json:"revision,omitempty" doc:"The revision that the resource follows from."`
}
