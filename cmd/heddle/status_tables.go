package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/present"
)

// typeColumn shortens an xDS type URL to the name of its service.
func typeColumn(typeURL string) string {
	_, message, _ := strings.Cut(typeURL, "/")
	message = message[strings.LastIndexByte(message, '.')+1:]
	short := map[string]string{
		"Cluster": "CDS", "ClusterLoadAssignment": "EDS", "Listener": "LDS",
		"RouteConfiguration": "RDS", "Secret": "SDS", "Runtime": "RTDS",
	}[message]
	return cmp.Or(short, message, typeURL)
}

// typeColumns are those that every table has, in the order in which Envoy asks.
func typeColumns(proxies []proxyStatus) []string {
	columns := []string{"CDS", "EDS", "LDS", "RDS"}
	for _, proxy := range proxies {
		for _, t := range proxy.Types {
			if column := typeColumn(t.Type); !slices.Contains(columns, column) {
				columns = append(columns, column)
			}
		}
	}
	slices.Sort(columns[4:])
	return columns
}

func proxiesTable(p present.Palette, proxies []proxyStatus) *present.Table {
	columns := typeColumns(proxies)
	table := present.NewTable(p, append([]string{"PROXY", "CONNECTED", "BEHIND"}, columns...)...)
	for _, proxy := range proxies {
		name := present.Cell{Text: proxy.Node}
		if slices.ContainsFunc(proxies, func(other proxyStatus) bool { return sameNode(proxy, other) }) {
			name = present.Cell{Text: proxy.Node + " (twice: from " + proxy.Address + ")", Tone: present.Bad}
		}
		row := []present.Cell{name, {Text: since(proxy.Connected)}, behindCell(proxy.Types)}
		for _, column := range columns {
			row = append(row, versionCell(proxy.Types, column))
		}
		table.Add(row...)
	}
	return table
}

// sameNode says whether two proxies have one id, which only one of them can have.
func sameNode(a, b proxyStatus) bool {
	return a.Node == b.Node && a.Transport == b.Transport && a.Address != b.Address
}

// behindCell tells for how long the proxy lacks something.
func behindCell(types []client.ProxyType) present.Cell {
	var oldest time.Time
	for _, t := range types {
		if !t.BehindSince.IsZero() && (oldest.IsZero() || t.BehindSince.Before(oldest)) {
			oldest = t.BehindSince
		}
	}
	if oldest.IsZero() {
		return present.Cell{Text: "no", Tone: present.Good}
	}
	return present.Cell{Text: since(oldest), Tone: present.Bad}
}

func versionCell(types []client.ProxyType, column string) present.Cell {
	for _, t := range types {
		if typeColumn(t.Type) != column {
			continue
		}
		if t.Sent == t.Acknowledged {
			return present.Cell{Text: shortVersion(t.Acknowledged)}
		}
		tone := present.Warn
		if t.Rejected != nil && t.Rejected.Version == t.Sent {
			tone = present.Bad
		}
		return present.Cell{Text: cmp.Or(shortVersion(t.Acknowledged), "none") + ">" + shortVersion(t.Sent), Tone: tone}
	}
	return present.Cell{}
}

// shortVersion leaves enough of a version to tell two apart.
func shortVersion(version string) string {
	const most = 10
	if len(version) > most {
		return version[:most]
	}
	return version
}

// rejections tells what proxies refused, and whether that is mended.
func rejections(con *console, proxies []proxyStatus) {
	for _, proxy := range proxies {
		for _, t := range proxy.Types {
			if t.Rejected == nil {
				continue
			}
			state := con.palette.Paint(present.Faint, "mended since")
			if !t.BehindSince.IsZero() {
				state = con.palette.Paint(present.Bad, "behind for "+since(t.BehindSince))
			}
			ago := ""
			if !t.Rejected.At.IsZero() {
				ago = " " + since(t.Rejected.At) + " ago"
			}
			times := ""
			if t.Rejections > 1 {
				times = fmt.Sprintf(", %d times", t.Rejections)
			}
			fmt.Fprintf(con.out, "\n%s refused %s%s%s, %s\n", present.Safe(proxy.Node), typeColumn(t.Type), ago, times, state)
			for line := range strings.Lines(t.Rejected.Message) {
				fmt.Fprintf(con.out, "  %s\n", present.Safe(strings.TrimRight(line, "\r\n")))
			}
			for _, o := range t.Rejected.Objects {
				fmt.Fprintf(con.out, "  because of %s%s\n", present.Safe(o.Object), present.Safe(writtenBy(o)))
			}
		}
	}
}

func writtenBy(o client.Origin) string {
	var parts []string
	if o.Author != "" {
		parts = append(parts, "written by "+o.Author)
	}
	if o.Revision != 0 {
		parts = append(parts, fmt.Sprintf("revision %d", o.Revision))
	}
	if len(parts) == 0 {
		return ""
	}
	return ", " + strings.Join(parts, ", ")
}

func problemsTable(p present.Palette, problems []client.Problem) *present.Table {
	table := present.NewTable(p, "OBJECT", "PROBLEM")
	for _, problem := range problems {
		table.Add(present.Cell{Text: problem.Object, Tone: present.Warn}, present.Cell{Text: problem.Message})
	}
	return table
}

// section writes a table below an empty line, unless it has no rows.
func section(con *console, rows int, table *present.Table) error {
	if rows == 0 {
		return nil
	}
	fmt.Fprintln(con.out)
	return table.Write(con.out)
}
