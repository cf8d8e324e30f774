package azuretest

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// The clauses that are understood.
var (
	whereIn   = regexp.MustCompile(`^where (\w+) in~ \((.*)\)$`)
	unionWith = regexp.MustCompile(`^union \((.*)\)$`)
	column    = regexp.MustCompile(`^(\w+)(?: ?= ?(?:(tostring|tobool)\(([\w.]+)\)|([\w.]+)))?$`)
)

// run runs a query: TABLE | where COLUMN in~ (...) | union (QUERY) | project ... | order by id asc.
func run(query string, table func(string) []row) ([]row, error) {
	clauses := clausesOf(query)
	name := strings.ToLower(clauses[0])
	if !slices.Contains([]string{"resources", "computeresources", "resourcecontainers"}, name) {
		return nil, fmt.Errorf("there is no table %q", name)
	}
	rows := table(name)
	for _, clause := range clauses[1:] {
		if match := whereIn.FindStringSubmatch(clause); match != nil {
			rows = slices.DeleteFunc(rows, func(r row) bool { return !oneOf(r[match[1]], match[2]) })
		} else if match := unionWith.FindStringSubmatch(clause); match != nil {
			more, err := run(match[1], table)
			if err != nil {
				return nil, err
			}
			rows = append(rows, more...)
		} else if list, is := strings.CutPrefix(clause, "project "); is {
			if err := project(rows, list); err != nil {
				return nil, err
			}
		} else if clause == "order by id asc" {
			slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(fmt.Sprint(a["id"]), fmt.Sprint(b["id"])) })
		} else {
			return nil, fmt.Errorf("the clause %q is not understood", clause)
		}
	}
	return rows, nil
}

// clausesOf splits a query at the bars that are in no parentheses.
func clausesOf(query string) []string {
	var out []string
	depth, from := 0, 0
	for i, r := range query {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			if depth == 0 {
				out, from = append(out, strings.TrimSpace(query[from:i])), i+1
			}
		}
	}
	return append(out, strings.TrimSpace(query[from:]))
}

// oneOf says whether a value is in a list of strings, whichever case.
func oneOf(value any, list string) bool {
	text, is := value.(string)
	if !is {
		return false
	}
	for one := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.Trim(strings.TrimSpace(one), "'"), text) {
			return true
		}
	}
	return false
}

// project leaves the columns of a list.
func project(rows []row, list string) error {
	var columns [][]string
	for one := range strings.SplitSeq(list, ",") {
		match := column.FindStringSubmatch(strings.TrimSpace(one))
		if match == nil {
			return fmt.Errorf("the column %q is not understood", one)
		}
		columns = append(columns, match)
	}
	for _, r := range rows {
		before := maps.Clone(r)
		clear(r)
		for _, c := range columns {
			value := at(before, cmp.Or(c[3], c[4], c[1]))
			if c[2] == "tostring" && value == nil {
				value = ""
			}
			r[c[1]] = value
		}
	}
	return nil
}

// at is what a dotted path leads to, or nil.
func at(r row, path string) any {
	var value any = r
	for part := range strings.SplitSeq(path, ".") {
		in, is := value.(row)
		if !is {
			return nil
		}
		value = in[part]
	}
	return value
}
