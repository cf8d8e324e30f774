package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"
)

// Main is the process around a program: it runs until it is done or a signal ends it.
func Main(run func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), Endings()...)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Endings are the signals that end a command in order: Ctrl-C, SIGTERM, and that
// the terminal is closed, unless whoever started heddle has it ignored (nohup).
func Endings() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// asMeant understands what people type out of habit: help and --version.
func asMeant(args []string) []string {
	switch {
	case len(args) > 0 && args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	case len(args) == 1 && args[0] == "--version":
		return []string{"version"}
	}
	return args
}

// Parse reads a command line. What it gives is nil when the line is answered already,
// by help or by what is wrong with it, and the program is to end with code.
func Parse(parser *kong.Kong, args []string, con *Console) (parsed *kong.Context, code int) {
	exited := -1 // --help prints and exits from within Parse
	parser.Exit = func(code int) { exited = max(exited, code) }
	parsed, err := parser.Parse(asMeant(args))
	switch {
	case exited >= 0:
		return nil, exited
	case err != nil:
		return nil, con.Fail(Usage(parser.Model.Name, err))
	}
	if err := EmptyFlags(parsed); err != nil {
		return nil, con.Fail(err)
	}
	return parsed, ExitOK
}

// NewParser builds the grammar of a program's command line.
func NewParser(line any, con *Console, description string, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(line, append([]kong.Option{
		kong.Name(con.Program),
		kong.Description(description),
		kong.Writers(con.Out, con.Err),
		kong.NamedMapper("path", kong.MapperFunc(pathUnlessEmpty)),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100, NoExpandSubcommands: true}),
	}, options...)...)
}
