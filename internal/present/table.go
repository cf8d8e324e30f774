package present

import (
	"io"
	"strings"
	"unicode/utf8"
)

// gap stands between two columns.
const gap = "   "

// Cell is one field of a table.
type Cell struct {
	Text string
	Tone Tone
}

// Text makes cells of plain texts.
func Text(texts ...string) []Cell {
	cells := make([]Cell, len(texts))
	for i, text := range texts {
		cells[i] = Cell{Text: text}
	}
	return cells
}

// Table lines up rows under headings. Empty cells are written as "-", so that
// columns can be cut by their number.
type Table struct {
	Palette Palette
	Indent  string
	rows    [][]Cell
}

// NewTable makes a table with these headings.
func NewTable(p Palette, headings ...string) *Table {
	t := &Table{Palette: p}
	row := Text(headings...)
	for i := range row {
		row[i].Tone = Faint
	}
	t.rows = append(t.rows, row)
	return t
}

// Add puts a row below the others.
func (t *Table) Add(cells ...Cell) {
	row := make([]Cell, len(cells))
	for i, cell := range cells {
		cell.Text = Safe(cell.Text)
		if cell.Text == "" {
			cell.Text = "-"
		}
		row[i] = cell
	}
	t.rows = append(t.rows, row)
}

// Write prints the table.
func (t *Table) Write(w io.Writer) error {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell.Text))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		b.WriteString(t.Indent)
		for i, cell := range row {
			b.WriteString(t.Palette.Paint(cell.Tone, cell.Text))
			if i < len(row)-1 { // nothing behind the last column
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell.Text)) + gap)
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
