package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/manifest"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// applyCmd writes the objects of files to the mesh.
type applyCmd struct {
	Files  []string      `name:"file" short:"f" required:"" sep:"none" complete:"files" placeholder:"FILE|DIR|-" help:"File, folder of files, or - for standard input. May be repeated."`
	DryRun bool          `help:"Say what would be done, and do nothing."`
	TTL    time.Duration `name:"instance-ttl" default:"1h" help:"How long the instances in the files stay registered without being renewed: 2s to 24h."`
	Output string        `short:"o" enum:"lines,json" default:"lines" help:"lines, or json: a list with the result and the changed fields of each object."`
}

// Help shows examples below the flags.
func (applyCmd) Help() string {
	return `All files are read and checked before anything is written; services come first. Before, it says in which connected sidecars and gateways something changes; heddle diff shows what. One that the server refuses does not keep the others from being written, and all refusals are told. Cycles of calls, and calls to a service that is deprecated or of a less critical tier, are warned of and written. What the mesh holds already is left alone; of an instance the lease is renewed. A meta.revision in a file makes the write fail if the object has changed since.

Examples:

  heddle apply -f mesh.yaml
  heddle apply -f teams/ --dry-run
  heddle get service web -o yaml | sed 's/port: 80$/port: 8080/' | heddle apply -f -`
}

// result is what apply did with one object, or would do.
type result string

const (
	created   result = "created"
	changed   result = "changed"
	unchanged result = "unchanged"
	refused   result = "refused"
)

// step is one object on its way into the mesh.
type step struct {
	Object string `json:"object"`
	Result result `json:"result"`
	Edits  []edit `json:"edits,omitempty"`
	Error  string `json:"error,omitempty"`
	// Warnings are of what is allowed and may go wrong.
	Warnings []mesh.Warning `json:"warnings,omitempty"`

	object  manifest.Object
	before  *manifest.Object // what the mesh holds; nil: nothing
	note    string
	waiting []mesh.ServiceName // dependencies whose owners have not approved it
	pending []mesh.ServiceName // dependencies that were missing when it was written
}

// Run plans first, then writes.
func (c *applyCmd) Run(ctx context.Context, api *client.Client, con *cli.Console) error {
	if c.TTL <= 0 {
		return &cli.UsageError{Message: "--instance-ttl has to be longer than nothing"}
	}
	objects, err := readChecked(c.Files, con)
	if err != nil {
		return err
	}
	steps, held, err := plan(ctx, api, objects)
	if err != nil {
		return err
	}
	if c.Output == "lines" {
		announce(ctx, api, con, steps)
	}
	var wrong []error
	for i := range steps {
		if c.DryRun {
			steps[i].note = " (dry run)"
			continue
		}
		err := steps[i].write(ctx, api, c.TTL)
		if err == nil {
			continue
		}
		steps[i].Result, steps[i].Error = refused, err.Error()
		wrong = append(wrong, fmt.Errorf("%s: %s: %w", steps[i].object.Locate("", "").Place(), steps[i].Object, located(steps[i].object, err)))
		if stops(err) {
			steps = steps[:i+1]
			break
		}
	}
	notePending(steps)
	noteWarnings(steps, held)
	if err := c.report(con, steps); err != nil {
		return err
	}
	return joinErrors(wrong)
}

// stops says whether the next object would fare no better.
func stops(err error) bool {
	return mesh.KindOf(err) == mesh.KindUnavailable || errors.Is(err, context.Canceled)
}

// readChecked reads files and makes sure that they can be meant together.
func readChecked(files []string, con *cli.Console) ([]manifest.Object, error) {
	objects, err := manifest.Read(files, con.In)
	if err != nil {
		return nil, invalid(err)
	}
	if report := manifest.Lint(objects); len(report.Errors) > 0 {
		return nil, invalid(&manifest.Error{Faults: report.Errors})
	}
	return objects, nil
}

func invalid(err error) error {
	return &cli.Hinted{Err: err, Hint: "nothing was changed"}
}

// plan compares the objects with what the mesh holds, which it gives too, and puts
// them into the order in which they can be written.
func plan(ctx context.Context, api *client.Client, objects []manifest.Object) ([]step, map[string]manifest.Object, error) {
	held, err := heldLike(ctx, api, objects)
	if err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(objects, func(a, b manifest.Object) int { return rank(a.Kind) - rank(b.Kind) })
	var steps []step
	var stale []error
	for _, o := range objects {
		s := step{Object: o.String(), Result: created, object: o}
		if before, there := held[o.String()]; there {
			s.Result, s.before = unchanged, &before
			if s.Edits, err = editsBetween(before, o); err != nil {
				return nil, nil, err
			}
			if len(s.Edits) > 0 {
				s.Result = changed
			}
		}
		if err := s.stale(); err != nil {
			stale = append(stale, err)
		}
		steps = append(steps, s)
	}
	if len(stale) > 0 {
		return nil, nil, invalid(joinErrors(stale))
	}
	return steps, held, nil
}

// rank puts what others build upon first.
func rank(kind manifest.Kind) int {
	return slices.Index([]manifest.Kind{manifest.KindService, manifest.KindRuntime, manifest.KindRoute, manifest.KindInstance}, kind)
}

// heldLike gives what the mesh holds, by name, of the kinds of these objects.
func heldLike(ctx context.Context, api *client.Client, objects []manifest.Object) (map[string]manifest.Object, error) {
	kinds := map[manifest.Kind]string{manifest.KindService: kindServices, manifest.KindInstance: kindInstances, manifest.KindRoute: kindRoutes, manifest.KindRuntime: kindRuntime}
	held := map[string]manifest.Object{}
	for kind, word := range kinds {
		wanted := func(o manifest.Object) bool {
			return o.Kind == kind || kind == manifest.KindService && o.Kind == manifest.KindRoute // which is warned of what it leads to
		}
		if !slices.ContainsFunc(objects, wanted) {
			continue
		}
		found, err := list(ctx, api, word)
		if mesh.ReasonOf(err) == mesh.ReasonCorrupt { // the runtime layer; lists leave out what cannot be read
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, o := range found.objects {
			if o.Kind == manifest.KindRuntime && o.Meta().Revision == 0 { // never set
				continue
			}
			held[o.String()] = o
		}
	}
	return held, nil
}

// stale says that the file was made from an older state of the object.
func (s *step) stale() error {
	wanted := s.object.Meta().Revision
	switch {
	case wanted == 0 || s.Result == unchanged || s.object.Kind == manifest.KindInstance:
		return nil
	case s.before == nil:
		return mesh.Conflict("%s: %s is gone, and the file wants to change its revision %d; leave out meta.revision to create it", s.object.Locate("meta.revision", "").Place(), s.Object, wanted)
	case s.before.Meta().Revision != wanted:
		return mesh.Conflict("%s: %s has changed: it has revision %d, written by %s, and the file was made from revision %d", s.object.Locate("meta.revision", "").Place(), s.Object, s.before.Meta().Revision, present.Safe(s.before.Meta().Author), wanted)
	}
	return nil
}

// report prints what came of each object.
func (c *applyCmd) report(con *cli.Console, steps []step) error {
	if c.Output == "json" {
		return con.Encode("json", steps)
	}
	tones := map[result]present.Tone{created: present.Good, changed: present.Warn, refused: present.Bad, unchanged: present.Faint}
	for _, s := range steps {
		fmt.Fprintf(con.Out, "%s %s%s\n", present.Safe(s.Object), con.Palette.Paint(tones[s.Result], string(s.Result)), s.note)
		for _, e := range s.Edits {
			fmt.Fprintf(con.Out, "  %s\n", present.Safe(e.String()))
		}
	}
	for _, s := range steps {
		for _, one := range s.Warnings {
			con.Warn(fmt.Sprintf("warning: %s: %s: %s: %s", s.object.Locate(one.Field, "").Place(), s.Object, one.Field, one.Message))
		}
	}
	return nil
}
