package heddletest

import (
	"cmp"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/heddle-mesh/heddle/internal/treetest"
)

// Program is heddle, which the first test that asks for it builds. A package has one, and
// removes it in its TestMain:
//
//	var heddle heddletest.Program
//
//	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { heddle.Remove(); os.Exit(code) }))
type Program struct {
	// Plain leaves the race detector out, which heddle has when the tests have it: such a
	// program needs libraries that images do not have.
	Plain bool
	// Name is the program's; "": heddle.
	Name string

	once sync.Once
	dir  string
	err  error // why it was not built
}

// Path is where the program is.
func (p *Program) Path(t testing.TB) string {
	t.Helper()
	p.once.Do(p.build)
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.file()
}

func (p *Program) file() string { return filepath.Join(p.dir, p.name()) }

func (p *Program) name() string { return cmp.Or(p.Name, "heddle") }

func (p *Program) build() {
	if p.dir, p.err = os.MkdirTemp("", "heddle-test-"); p.err != nil {
		return
	}
	var flags []string
	if raceEnabled && !p.Plain {
		flags = append(flags, "-race")
	}
	p.err = treetest.Build("cmd/"+p.name(), p.file(), flags...)
}

// Remove deletes the program, if it was built.
func (p *Program) Remove() {
	if p.dir != "" {
		_ = os.RemoveAll(p.dir)
	}
}
