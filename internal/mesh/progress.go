package mesh

// Progress is how far the proxies have come that need one service or route: those that
// are connected to the server that is asked.
type Progress struct {
	Server       string         `json:"server" doc:"Which server counted, a name that it has while it runs: with several, each counts its own proxies."`
	Revision     int64          `json:"revision" doc:"The registry's revision up to which proxies are sent what was written."`
	Proxies      int            `json:"proxies" doc:"How many proxies are connected that need it."`
	Acknowledged int            `json:"acknowledged" doc:"How many of them have acknowledged all that they were to be sent."`
	Refused      []ProxyRefusal `json:"refused,omitempty" nullable:"false" doc:"Those that refused what follows from it (NACK), by node; at most ten."`
}

// ProxyRefusal is a proxy that refused something, and still lacks it.
type ProxyRefusal struct {
	Node    string `json:"node" doc:"Its node id."`
	Message string `json:"message" doc:"Its words."`
}

// MostRefusals bounds those that a [Progress] names.
const MostRefusals = 10
