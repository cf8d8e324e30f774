package controlplane

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/translate"
	"github.com/heddle-mesh/heddle/internal/xds"
)

// maxContent bounds how many bytes of resources one answer has, the last of them
// aside.
const maxContent = 4 << 20

// Streams gives what an xDS server says of its streams, in the words of the API.
func Streams(all []xds.ProxyStatus) []mesh.ProxyStream {
	out := make([]mesh.ProxyStream, 0, len(all))
	for _, s := range all {
		stream := mesh.ProxyStream{
			Node: s.Node, Service: mesh.ServiceName(s.Service), Instance: mesh.InstanceID(s.Instance), Scope: s.Scope,
			Address: s.Address, Transport: string(s.Transport), Connected: s.Connected,
		}
		for _, t := range s.Types {
			stream.Types = append(stream.Types, mesh.ProxyType{
				Type: t.Type, Sent: t.Sent, Acknowledged: t.Acknowledged, Rejections: t.Nacks,
				Rejected: rejection(t.LastNack), BehindSince: t.BehindSince,
			})
		}
		out = append(out, stream)
	}
	return out
}

func rejection(nack *xds.Nack) *mesh.Rejection {
	if nack == nil {
		return nil
	}
	out := &mesh.Rejection{Message: nack.Message, At: nack.At, Version: nack.Version}
	for _, origin := range nack.Origins {
		out.Objects = append(out.Objects, mesh.Origin(origin))
	}
	return out
}

// ProxyConfig tells what a connected proxy has of its configuration, and how it
// differs from what the declarations give. Resources are decoded only here, when
// the server goes on.
func ProxyConfig(server *xds.Server, q mesh.ProxyQuery) (mesh.ProxyConfig, error) {
	streams, held := server.Holdings(q.Node, func(typeURL, name string) bool {
		return (q.Type == "" || typeURL == q.Type) && strings.Contains(name, q.Name)
	})
	if len(streams) == 0 {
		return mesh.ProxyConfig{}, mesh.NotFound("no proxy %q is connected to this server: heddle status lists those that are, and with several servers it may be connected to another", mesh.Cut(q.Node, 200))
	}
	out := mesh.ProxyConfig{Node: q.Node, Streams: Streams(streams), Resources: []mesh.ProxyResource{}, Counts: map[string]map[mesh.ResourceState]int{}}
	for i := range held {
		name := mesh.ResourceTypeName(held[i].Type)
		if out.Counts[name] == nil {
			out.Counts[name] = map[mesh.ResourceState]int{}
		}
		out.Counts[name][mesh.ResourceState(held[i].State)]++
		if held[i].Held != held[i].Newest {
			out.Differing++
		}
	}
	if q.Differ {
		held = slices.DeleteFunc(held, func(h xds.Holding) bool { return h.Held == h.Newest })
	}
	slices.SortFunc(held, func(a, b xds.Holding) int { return place(a).compare(place(b)) })
	out.Total = len(held)
	behind := placeOf(q.After)
	size := 0
	for i, h := range held {
		if behind.compare(place(h)) >= 0 {
			continue
		}
		if len(out.Resources) == q.Limit || size > maxContent {
			out.Next = place(held[i-1]).String()
			break
		}
		one, err := resourceOf(h, q)
		if err != nil {
			return mesh.ProxyConfig{}, err
		}
		size += len(one.Config) + len(one.Holds) + len(one.Diff)
		out.Resources = append(out.Resources, one)
	}
	return out, nil
}

// resourcePlace is where a resource stands among the others.
type resourcePlace struct {
	order int
	name  string
}

func place(h xds.Holding) resourcePlace {
	return resourcePlace{mesh.ResourceTypeOrder(h.Type), h.Name}
}

func (p resourcePlace) compare(other resourcePlace) int {
	return cmp.Or(cmp.Compare(p.order, other.order), strings.Compare(p.name, other.name))
}

func (p resourcePlace) String() string { return mesh.ResourceTypeNames()[p.order] + "/" + p.name }

// placeOf reads a place; what is none is before all others.
func placeOf(text string) resourcePlace {
	kind, name, _ := strings.Cut(text, "/")
	return resourcePlace{slices.Index(mesh.ResourceTypeNames(), kind), name}
}

func resourceOf(h xds.Holding, q mesh.ProxyQuery) (mesh.ProxyResource, error) {
	out := mesh.ProxyResource{
		Type: h.Type, Name: h.Name, State: mesh.ResourceState(h.State), Reason: reason(h),
		Held: h.Held, Sent: h.Sent, Current: h.Current, Newest: h.Newest,
	}
	if h.Declared != nil && h.Declared.Origin != (xds.Origin{}) {
		origin := mesh.Origin(h.Declared.Origin)
		out.Origin = &origin
	}
	if r := h.Refusal; r != nil {
		out.Refusal = &mesh.ResourceRefusal{Node: r.Node, Message: r.Message, Version: r.Version, At: r.At}
	}
	if !q.Content && !q.Differ {
		return out, nil
	}
	newest, err := readable(h.Declared)
	if err != nil {
		return out, err
	}
	var holds json.RawMessage
	if h.Has != h.Declared {
		if holds, err = readable(h.Has); err != nil {
			return out, err
		}
	}
	if holds != nil && newest != nil {
		out.Diff = difference(h, holds, newest)
	}
	if q.Content {
		out.Config, out.Holds = newest, holds
	}
	return out, nil
}

func readable(r *xds.Resource) (json.RawMessage, error) {
	if r == nil {
		return nil, nil
	}
	packed, err := r.Any()
	if err != nil {
		return nil, err
	}
	m, err := packed.UnmarshalNew()
	if err != nil {
		return nil, fmt.Errorf("read %s %q: %w", mesh.ResourceTypeName(r.Type), r.Name, err)
	}
	return translate.Readable(m)
}

// difference is a unified diff of two versions, as indented JSON.
func difference(h xds.Holding, holds, newest json.RawMessage) string {
	lines := func(data json.RawMessage) []byte {
		var out bytes.Buffer
		_ = json.Indent(&out, data, "", "  ") // it was just written
		out.WriteByte('\n')
		return out.Bytes()
	}
	return string(diff.Diff("held "+h.Held, lines(holds), "newest "+h.Newest, lines(newest)))
}

// reason says why a proxy is not to have the newest version, or has none.
func reason(h xds.Holding) string {
	switch h.State {
	case xds.HoldingAbsent:
		return "the proxy asks for it, but nothing that is declared gives it to this proxy"
	case xds.HoldingLeaving:
		return "the declarations do not give it to this proxy any more; it goes when nothing there uses it"
	}
	kept := "what it had stays in force"
	if h.Current == "" {
		kept = "there is nothing to keep in force instead"
	}
	switch h.Shown {
	case xds.ShownGood:
		return "a proxy refused the newest version: " + kept
	case xds.ShownNeeding:
		return fmt.Sprintf("the newest version needs %q of the %s, which a proxy refused: %s", h.Cause.Name, mesh.ResourceTypeName(h.Cause.Type), kept)
	case xds.ShownFirst:
		return "this proxy tries the newest version before others are sent it"
	case xds.ShownLater:
		if h.First == "" {
			return "a proxy of another service tries the newest version first"
		}
		return h.First + " tries the newest version first"
	}
	return ""
}
