package ui

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/internal/present"
)

// chip is a state in one or two words, told by its text, its sign and its colour.
type chip struct {
	Kind  string // ok, warn, bad, info or none: its colour and sign
	Text  string
	Title string // more of it, for those who point at it
}

// words are the functions of the templates.
func words(files map[string]staticFile) template.FuncMap {
	return template.FuncMap{
		"ago":    ago,
		"stamp":  stamp,
		"iso":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"count":  count,
		"join":   func(all []string) string { return strings.Join(all, ", ") },
		"chip":   func(kind, text string) chip { return chip{Kind: kind, Text: text} },
		"edges":  func(rows []edgeRow, traffic bool, caption string) edgeTable { return edgeTable{rows, traffic, caption} },
		"static": func(name string) string { return "/ui/static/" + name + "?v=" + files[name].hash },
	}
}

// ago says how long something is past.
func ago(t time.Time) string {
	since := time.Since(t)
	if since < time.Second {
		return "just now"
	}
	return present.Age(since) + " ago"
}

// count writes a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// stamp writes a moment out.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
