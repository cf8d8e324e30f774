package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
	"github.com/heddle-mesh/heddle/internal/translate"
)

// typeColumn shortens an xDS type URL to the name of its service.
func typeColumn(typeURL string) string {
	_, message, _ := strings.Cut(typeURL, "/")
	message = message[strings.LastIndexByte(message, '.')+1:]
	short := map[string]string{
		"Cluster": "CDS", "ClusterLoadAssignment": "EDS", "Listener": "LDS",
		"RouteConfiguration": "RDS", "Secret": "SDS", "Runtime": "RTDS", "TypedExtensionConfig": "ECDS",
	}[message]
	return cmp.Or(short, message, typeURL)
}

// proxyRow is a proxy in the table.
type proxyRow struct {
	proxyStatus
	twice bool // another one has its id, which only one of them can have
}

// rowsOf puts the proxies that somebody has to look at before the others, and
// else leaves them in their order.
func rowsOf(proxies []proxyStatus) []proxyRow {
	type id struct{ node, transport string }
	first, twice := map[id]string{}, map[id]bool{}
	for _, proxy := range proxies {
		of := id{proxy.Node, proxy.Transport}
		if address, there := first[of]; there && !translate.Proxyless(proxy.Scope) && address != proxy.Address {
			twice[of] = true
		}
		first[of] = proxy.Address
	}
	rows := make([]proxyRow, len(proxies))
	for i, proxy := range proxies {
		rows[i] = proxyRow{proxy, twice[id{proxy.Node, proxy.Transport}]}
	}
	slices.SortStableFunc(rows, func(a, b proxyRow) int { return cmp.Compare(a.rank(), b.rank()) })
	return rows
}

// rank orders the rows; upToDate is the last. What a proxy refused and has got
// past is no news.
func (r proxyRow) rank() int {
	switch {
	case r.Behind && slices.ContainsFunc(r.Types, func(t client.ProxyType) bool { return t.Rejected != nil && !t.BehindSince.IsZero() }):
		return 0
	case r.Behind:
		return 1
	case r.twice:
		return 2
	}
	return upToDate
}

const upToDate = 3

// mostRows is how many rows a table may have before it leaves out those of
// proxies that are up to date.
const mostRows = 50

// cutRows shortens a long table, and says how many rows it left out.
func cutRows(rows []proxyRow) (shown []proxyRow, left int) {
	first := slices.IndexFunc(rows, func(r proxyRow) bool { return r.rank() == upToDate })
	if len(rows) <= mostRows || first < 0 {
		return rows, 0
	}
	return rows[:first], len(rows) - first
}

// typeColumns are those that every table has, in the order in which Envoy asks.
func typeColumns(rows []proxyRow) []string {
	columns := []string{"CDS", "EDS", "LDS", "RDS"}
	for _, row := range rows {
		for _, t := range row.Types {
			if column := typeColumn(t.Type); !slices.Contains(columns, column) {
				columns = append(columns, column)
			}
		}
	}
	slices.Sort(columns[4:])
	return columns
}

func proxiesTable(p present.Palette, rows []proxyRow) *present.Table {
	columns := typeColumns(rows)
	table := present.NewTable(p, append([]string{"PROXY", "CONNECTED", "BEHIND"}, columns...)...)
	for _, row := range rows {
		name := present.Cell{Text: row.Node}
		if row.twice {
			name = present.Cell{Text: row.Node + " (twice: from " + row.Address + ")", Tone: present.Bad}
		}
		cells := []present.Cell{name, {Text: since(row.Connected)}, behindCell(row.Types)}
		for _, column := range columns {
			cells = append(cells, versionCell(row.Types, column))
		}
		table.Add(cells...)
	}
	return table
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
func rejections(con *cli.Console, rows []proxyRow) {
	for _, row := range rows {
		for _, t := range row.Types {
			if t.Rejected == nil {
				continue
			}
			state := con.Palette.Paint(present.Faint, "mended since")
			if !t.BehindSince.IsZero() {
				state = con.Palette.Paint(present.Bad, "behind for "+since(t.BehindSince))
			}
			ago := ""
			if !t.Rejected.At.IsZero() {
				ago = " " + since(t.Rejected.At) + " ago"
			}
			times := ""
			if t.Rejections > 1 {
				times = fmt.Sprintf(", %d times", t.Rejections)
			}
			fmt.Fprintf(con.Out, "\n%s refused %s%s%s, %s\n", present.Safe(row.Node), typeColumn(t.Type), ago, times, state)
			for line := range strings.Lines(t.Rejected.Message) {
				fmt.Fprintf(con.Out, "  %s\n", present.Safe(strings.TrimRight(line, "\r\n")))
			}
			for _, o := range t.Rejected.Objects {
				fmt.Fprintf(con.Out, "  because of %s%s\n", present.Safe(o.Object), present.Safe(writtenBy(o)))
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

func warningsTable(p present.Palette, warnings []mesh.Warning) *present.Table {
	table := present.NewTable(p, "OBJECT", "FIELD", "WARNING")
	for _, one := range warnings {
		table.Add(present.Text(one.Object, one.Field, one.Message)...)
	}
	return table
}

// section writes a table below an empty line, unless it has no rows.
func section(con *cli.Console, rows int, table *present.Table) error {
	if rows == 0 {
		return nil
	}
	fmt.Fprintln(con.Out)
	return table.Write(con.Out)
}
