package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// rows makes a table whose last columns, for wide ones, say who wrote each object.
type rows struct {
	table *present.Table
	wide  bool
}

func newRows(p present.Palette, wide bool, headings, wideHeadings []string) rows {
	if wide {
		headings = append(append(headings, wideHeadings...), "KEPT BY", "AUTHOR", "REVISION")
	}
	return rows{table: present.NewTable(p, append(headings, "CHANGED")...), wide: wide}
}

func (r rows) add(meta mesh.Meta, cells, wideCells []present.Cell) {
	if r.wide {
		cells = append(append(cells, wideCells...), present.Text(string(meta.Keeper), meta.Author, strconv.FormatInt(meta.Revision, 10))...)
	}
	r.table.Add(append(cells, present.Cell{Text: since(meta.UpdatedAt)})...)
}

// since writes how long ago a moment was.
func since(moment time.Time) string {
	if moment.IsZero() {
		return ""
	}
	return present.Age(time.Since(moment))
}

func servicesTable(p present.Palette, wide bool, held holding, instances []mesh.Instance) *present.Table {
	all, healthy := tallies(instances)
	r := newRows(p, wide, []string{"NAME", "OWNER", "PROTOCOL", "PORT", "INSTANCES", "DEPENDENCIES"}, []string{"DESCRIPTION"})
	for _, o := range held.objects {
		s := o.Service
		tally := present.Cell{Text: fmt.Sprintf("%d/%d", healthy[s.Name], all[s.Name])}
		if healthy[s.Name] < all[s.Name] {
			tally.Tone = present.Warn
		}
		if !s.Endpoints.Registered() {
			tally = present.Cell{Text: upstreamType(s)}
		}
		dependencies := present.Cell{}
		var names []string
		for _, name := range s.Dependencies {
			if slices.Contains(held.pending[s.Name], name) {
				name += "?"
				dependencies.Tone = present.Warn
			}
			if slices.Contains(held.waiting[s.Name], name) {
				name += "!"
				dependencies.Tone = present.Warn
			}
			names = append(names, string(name))
		}
		dependencies.Text = present.CutList(names)
		cells := append(present.Text(string(s.Name), s.Owner, string(s.Protocol), portText(s.Port)), tally, dependencies)
		r.add(s.Meta, cells, present.Text(s.Description))
	}
	return r.table
}

func upstreamsTable(p present.Palette, wide bool, objects []manifest.Object) *present.Table {
	r := newRows(p, wide, []string{"NAME", "OWNER", "PROTOCOL", "PORT", "TYPE", "ADDRESSES", "LISTENER"}, []string{"TLS"})
	for _, o := range objects {
		s := o.Service
		var addresses []string
		if dns := s.Endpoints.DNS; dns != nil {
			port := dns.Port
			if port == 0 {
				port = s.Port
			}
			addresses = append(addresses, dialAddress(dns.Host, port))
		}
		for _, static := range s.Endpoints.Static {
			addresses = append(addresses, dialAddress(static.Address, static.Port))
		}
		tls := ""
		if s.Traffic.TLS != nil {
			tls = "yes"
		}
		cells := present.Text(string(s.Name), s.Owner, string(s.Protocol), portText(s.Port), upstreamType(s), present.CutList(addresses), portText(s.OwnPort()))
		r.add(s.Meta, cells, present.Text(tls))
	}
	return r.table
}

func upstreamType(s *mesh.Service) string {
	switch {
	case s.Endpoints.Kubernetes != nil:
		return "kubernetes-dns"
	case s.Endpoints.DNS == nil:
		return "static"
	case s.Endpoints.DNS.Discovery == mesh.DNSLogical:
		return "dns-logical"
	}
	return "dns"
}

func instancesTable(p present.Palette, wide bool, objects []manifest.Object) *present.Table {
	r := newRows(p, wide, []string{"SERVICE", "ID", "ADDRESS", "HEALTH", "WEIGHT", "LABELS"}, []string{"REGION", "ZONE", "MTLS", "EPOCH"})
	for _, o := range objects {
		i := o.Instance
		mtls := ""
		if i.MTLS {
			mtls = "yes"
		}
		health := present.Cell{Text: string(i.Health), Tone: present.Good}
		switch {
		case i.Health == "":
			health.Text = string(mesh.Healthy)
		case i.Health != mesh.Healthy:
			health.Tone = present.Warn
		}
		if i.Stale {
			health = present.Cell{Text: health.Text + ",stale", Tone: present.Warn}
		}
		cells := append(present.Text(string(i.Service), string(i.ID), dialAddress(i.Address, i.Port)), health)
		cells = append(cells, present.Text(strconv.Itoa(max(i.Weight, 1)), labelsText(i.Labels))...)
		r.add(i.Meta, cells, present.Text(i.Locality.Region, i.Locality.Zone, mtls, i.Epoch))
	}
	return r.table
}

func routesTable(p present.Palette, wide bool, held holding) *present.Table {
	r := newRows(p, wide, []string{"NAME", "OWNER", "HOSTS", "MATCH", "BACKENDS"}, []string{"GATEWAYS", "REWRITE", "TIMEOUT"})
	for _, o := range held.objects {
		route := o.Route
		var backends []string
		var tone present.Tone
		for _, b := range route.Backends {
			name := string(b.Service)
			if b.Subset != "" {
				name += "/" + b.Subset
			}
			if held.declared != nil && !held.declared[b.Service] {
				name += "?"
				tone = present.Warn
			}
			if len(route.Backends) > 1 {
				name += "=" + strconv.Itoa(b.Weight)
			}
			backends = append(backends, name)
		}
		if to := route.Redirect; to != nil {
			backends = append(backends, "redirect to "+redirectText(*to))
		}
		timeout := ""
		if route.Timeout != 0 {
			timeout = route.Timeout.String()
		}
		cells := present.Text(string(route.Name), route.Owner, present.CutList(route.Hosts), matchText(route.Match))
		cells = append(cells, present.Cell{Text: present.CutList(backends), Tone: tone})
		r.add(route.Meta, cells, present.Text(gatewaysText(route.Gateways), route.RewriteHost+route.Rewrite, timeout))
	}
	return r.table
}

// redirectText is the address to which a redirect leads, as far as it says.
func redirectText(to mesh.Redirect) string {
	text := to.Host
	if to.Port != 0 {
		text += ":" + strconv.Itoa(int(to.Port))
	}
	return text + to.Path
}

func gatewaysText(names []mesh.ServiceName) string {
	if len(names) == 0 {
		return "all"
	}
	return namesText(names)
}

// namesText is cutList for names of services.
func namesText(names []mesh.ServiceName) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return present.CutList(texts)
}

// matchText shortens a match to what fits into a column.
func matchText(m mesh.RequestMatch) string {
	var parts []string
	if m.Path != nil {
		switch {
		case m.Path.Exact != "":
			parts = append(parts, "="+m.Path.Exact)
		case m.Path.Prefix != "":
			parts = append(parts, strings.TrimSuffix(m.Path.Prefix, "/")+"/*")
		default:
			parts = append(parts, "~"+m.Path.Regex)
		}
	}
	parts = append(parts, m.Methods...)
	for _, header := range m.Headers {
		parts = append(parts, header.Name)
	}
	for _, parameter := range m.Query {
		parts = append(parts, "?"+parameter.Name)
	}
	return strings.Join(parts, " ")
}

func runtimeTable(p present.Palette, r mesh.Runtime) *present.Table {
	table := present.NewTable(p, "KEY", "VALUE")
	for _, key := range slices.Sorted(maps.Keys(r.Values)) {
		table.Add(present.Text(key, runtimeText(r.Values[key]))...)
	}
	if r.TTL != 0 {
		table.Add(present.Text("ttl of the layer", r.TTL.String())...)
	}
	return table
}

// runtimeText writes a value as "runtime set" takes it back.
func runtimeText(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(raw)
}

func labelsText(labels map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, key+"="+labels[key])
	}
	return strings.Join(parts, ",")
}

func dialAddress(host string, port mesh.Port) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + portText(port)
}

func portText(port mesh.Port) string {
	if port == 0 {
		return ""
	}
	return strconv.Itoa(int(port))
}
