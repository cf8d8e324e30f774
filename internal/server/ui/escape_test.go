package ui_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"testing"
)

// What is of one of html/template's own types is put into a page as it is.
func TestOnlyPicturesAreNotEscaped(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			selected, is := n.(*ast.SelectorExpr)
			if !is {
				return true
			}
			of, is := selected.X.(*ast.Ident)
			if is && of.Name == "template" && slices.Contains([]string{"HTML", "HTMLAttr", "CSS", "JS", "JSStr", "URL", "Srcset"}, selected.Sel.Name) && (file != "topology.go" || selected.Sel.Name != "HTML") {
				t.Errorf("%s has template.%s", file, selected.Sel.Name)
			}
			return true
		})
	}
}
