package xds_test

import (
	"maps"
	"slices"
	"strings"
	"testing/synctest"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/internal/xds"
)

// fullTypes are those whose SotW responses hold everything.
var fullTypes = map[string]bool{xds.TypeCluster: true, xds.TypeListener: true}

// modelClient is a client as the protocol describes it: it keeps what it
// accepted, refuses what is marked bad, and answers in order, when it is told to.
type modelClient struct {
	t         failer
	rig       *rig
	transport string
	node      string
	bodies    map[string]*xds.Resource // by type and bytes, of all that was ever put
	c         *client
	queue     []proto.Message
	types     map[string]*modelType
	received  func(typeURL string, changed map[string]string, removed []string)
}

type modelType struct {
	names    map[string]bool   // "*" among them: the wildcard
	held     map[string]string // name → version of the content
	given    map[string]string // name → version as it came, which the client gives back on the next stream
	refused  map[string]string // name → version refused last
	again    map[string]int    // name → how often it was asked for, which allows for sending it again
	nonce    string            // of the last response that was looked at
	accepted string            // SotW
	asked    bool              // on this stream
}

func newModelClient(t failer, r *rig, transport, node string, bodies map[string]*xds.Resource) *modelClient {
	m := &modelClient{t: t, rig: r, transport: transport, node: node, bodies: bodies, types: map[string]*modelType{}}
	m.c = r.connect(transport, node)
	return m
}

func (m *modelClient) typ(typeURL string) *modelType {
	if m.types[typeURL] == nil {
		m.types[typeURL] = &modelType{names: map[string]bool{}, held: map[string]string{}, given: map[string]string{}, refused: map[string]string{}, again: map[string]int{}}
	}
	return m.types[typeURL]
}

func (m *modelClient) delta() bool { return strings.HasSuffix(m.transport, "delta") }

// subscribe changes what the client wants of a type.
func (m *modelClient) subscribe(typeURL string, add, drop []string) {
	typ := m.typ(typeURL)
	for _, name := range add {
		typ.names[name] = true
		typ.again[name]++
	}
	for _, name := range drop {
		delete(typ.names, name)
		typ.again[name]++ // under a wildcard the client is told what is so
	}
	if m.delta() || !m.outdated(typeURL) {
		typ.forget()
	}
	m.ask(typeURL, add, drop)
}

// outdated says whether the server passes over what a SotW client asks for now,
// because it has sent more than the client has looked at. The client then keeps
// what it gave up, for it may want it again before the server hears of either.
func (m *modelClient) outdated(typeURL string) bool {
	synctest.Wait()
	m.gather()
	return slices.ContainsFunc(m.queue, func(r proto.Message) bool {
		return r.(interface{ GetTypeUrl() string }).GetTypeUrl() == typeURL
	})
}

// forget drops what the client does not want any more.
func (t *modelType) forget() {
	unwanted := func(name, _ string) bool { return !t.wants(name) }
	maps.DeleteFunc(t.held, unwanted)
	maps.DeleteFunc(t.refused, unwanted)
}

func (t *modelType) wants(name string) bool { return t.names["*"] || t.names[name] }

func (m *modelClient) ask(typeURL string, add, drop []string) {
	typ := m.typ(typeURL)
	names := slices.Sorted(maps.Keys(typ.names))
	first := !typ.asked
	typ.asked = true
	if m.delta() {
		r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: add, ResourceNamesUnsubscribe: drop}
		if first {
			r.ResourceNamesSubscribe, r.ResourceNamesUnsubscribe = names, nil
			r.InitialResourceVersions = map[string]string{}
			for name := range typ.held {
				r.InitialResourceVersions[name] = typ.given[name]
			}
		}
		m.c.send(r)
		return
	}
	m.c.mu.Lock()
	m.c.typ(typeURL).names = names
	m.c.typ(typeURL).accepted = typ.accepted
	m.c.mu.Unlock()
	m.c.send(&discoveryv3.DiscoveryRequest{TypeUrl: typeURL, ResourceNames: names, ResponseNonce: typ.nonce, VersionInfo: typ.accepted})
}

// reconnect starts a new stream with what the client holds.
func (m *modelClient) reconnect() {
	m.c.cancel()
	synctest.Wait() // the server notices
	m.c = m.rig.connect(m.transport, m.node)
	m.queue = nil
	for _, typeURL := range slices.Sorted(maps.Keys(m.types)) {
		typ := m.types[typeURL]
		typ.nonce, typ.asked = "", false
		clear(typ.refused)
		clear(typ.again)
		typ.forget()
		if len(typ.names) > 0 {
			m.ask(typeURL, nil, nil)
		}
	}
}

// look takes in and answers at most n responses, and says whether there were any.
func (m *modelClient) look(n int) bool {
	if !m.gather() {
		m.reconnect() // it wanted nothing for long
		return false
	}
	some := false
	for ; n > 0 && len(m.queue) > 0; n-- {
		response := m.queue[0]
		m.queue = m.queue[1:]
		switch r := response.(type) {
		case *discoveryv3.DeltaDiscoveryResponse:
			m.takeDelta(r)
		case *discoveryv3.DiscoveryResponse:
			m.takeSotW(r)
		}
		some = true
	}
	return some
}

// comesAnew allows for sending what was refused, replaced, and is declared again.
func (m *modelClient) comesAnew(resources []*xds.Resource) {
	for _, r := range resources {
		if typ := m.typ(r.Type); typ.refused[r.Name] == r.Version {
			delete(typ.refused, r.Name)
		}
	}
}

// tryAll allows for sending again what was refused under another runtime.
func (m *modelClient) tryAll() {
	for _, typ := range m.types {
		clear(typ.refused)
	}
}

// gather queues the responses that have come, and says whether the stream lives.
func (m *modelClient) gather() bool {
	for _, e := range m.c.taken() {
		if e.response == nil && strings.Contains(e.end, "no request within") {
			return false
		}
		if e.response == nil {
			m.t.Fatalf("%s: %s", m.transport, e.end)
		}
		m.queue = append(m.queue, e.response)
	}
	return true
}

// crossing counts the responses that were sent before the server can know that a
// version is about to be refused.
func (m *modelClient) crossing(typeURL string, refused *xds.Resource) (n int) {
	synctest.Wait()
	m.gather()
	for _, response := range m.queue {
		r, ok := response.(*discoveryv3.DeltaDiscoveryResponse)
		if !ok || r.GetTypeUrl() != typeURL {
			continue
		}
		for _, one := range r.GetResources() {
			if m.body(typeURL, one.GetResource().GetValue()) == refused {
				n++
			}
		}
	}
	return n
}

func (m *modelClient) takeDelta(r *discoveryv3.DeltaDiscoveryResponse) {
	typ := m.typ(r.GetTypeUrl())
	typ.nonce = r.GetNonce()
	changed := map[string]string{}
	refusal := ""
	for _, one := range r.GetResources() {
		sent := m.body(r.GetTypeUrl(), one.GetResource().GetValue())
		covers := r.GetTypeUrl() == xds.TypeEndpoint // the version of endpoints is that of their clusters too
		if sent.Name != one.GetName() || sent.Version != one.GetVersion() && !covers {
			m.t.Fatalf("%s@%s came as %s@%s", sent.Name, sent.Version, one.GetName(), one.GetVersion())
		}
		if typ.refused[sent.Name] == sent.Version {
			if typ.again[sent.Name] == 0 {
				m.t.Fatalf("%s %s was refused in version %s and sent again", r.GetTypeUrl(), sent.Name, sent.Version)
			}
			typ.again[sent.Name]--
		}
		delete(typ.refused, sent.Name)
		if bad(sent) {
			refusal += "resource " + sent.Name + " is bad; "
			if typ.wants(sent.Name) {
				typ.refused[sent.Name] = sent.Version
				typ.again[sent.Name] += m.crossing(r.GetTypeUrl(), sent)
			}
			continue
		}
		if typ.wants(sent.Name) {
			typ.held[sent.Name], typ.given[sent.Name] = sent.Version, one.GetVersion()
			changed[sent.Name] = sent.Version
		}
	}
	for _, name := range r.GetRemovedResources() {
		delete(typ.held, name)
		delete(typ.refused, name)
	}
	if r.GetTypeUrl() == xds.TypeRuntime && refusal == "" && len(r.GetResources())+len(r.GetRemovedResources()) > 0 {
		m.tryAll()
	}
	if m.received != nil {
		m.received(r.GetTypeUrl(), changed, r.GetRemovedResources())
	}
	m.c.answer(r.GetTypeUrl(), refusal)
}

func (m *modelClient) takeSotW(r *discoveryv3.DiscoveryResponse) {
	typ := m.typ(r.GetTypeUrl())
	typ.nonce = r.GetNonce()
	all := map[string]string{}
	refusal := ""
	for _, one := range r.GetResources() {
		sent := m.body(r.GetTypeUrl(), one.GetValue())
		if bad(sent) {
			refusal += "resource " + sent.Name + " is bad; "
		}
		all[sent.Name] = sent.Version
	}
	outdated := m.outdated(r.GetTypeUrl())
	m.c.answer(r.GetTypeUrl(), refusal)
	if !outdated {
		defer typ.forget()
	}
	if refusal != "" {
		return
	}
	typ.accepted = r.GetVersionInfo()
	before := typ.held
	if fullTypes[r.GetTypeUrl()] {
		typ.held = all
	} else {
		typ.held = maps.Clone(before)
		maps.Copy(typ.held, all)
	}
	var removed []string
	for name := range before {
		if typ.held[name] == "" {
			removed = append(removed, name)
		}
	}
	if m.received != nil {
		m.received(r.GetTypeUrl(), all, removed)
	}
}

func (m *modelClient) body(typeURL string, value []byte) *xds.Resource {
	r := m.bodies[typeURL+string(value)]
	if r == nil {
		m.t.Fatalf("a %s was sent that was never put", typeURL)
	}
	return r
}

func bad(r *xds.Resource) bool { return r.Origin.Object == "bad" }

// modelWorld is what the server was given for one scope.
type modelWorld struct {
	t       failer
	bodies  map[string]*xds.Resource
	current map[xds.Key]*xds.Resource
	members map[xds.Key]bool
}

func newModelWorld(t failer) *modelWorld {
	return &modelWorld{t: t, bodies: map[string]*xds.Resource{}, current: map[xds.Key]*xds.Resource{}, members: map[xds.Key]bool{}}
}

func (w *modelWorld) make(key xds.Key, content string) *xds.Resource {
	r := resource(w.t, key.Type, key.Name, content)
	if strings.Contains(content, "bad") {
		r.Origin.Object = "bad"
	}
	body, err := r.Any()
	if err != nil {
		w.t.Fatal(err)
	}
	w.bodies[key.Type+string(body.GetValue())] = r
	return r
}
