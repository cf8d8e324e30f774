package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/kubernetes/operator"
	"github.com/heddle-mesh/heddle/internal/present"
)

// operatorFinalizersCmd is for a cluster whose operator is gone for good.
type operatorFinalizersCmd struct {
	Kubeconfig string `type:"path" placeholder:"FILE" help:"Of the cluster; default: the one that this pod runs in, or else the default kubeconfig's."`
	Namespace  string `short:"n" placeholder:"NAME" help:"Objects of this namespace only; default: of all."`
	DryRun     bool   `help:"Name the objects, and change nothing."`
	Yes        bool   `help:"Do it without asking."`
}

// Help shows examples below the flags.
func (operatorFinalizersCmd) Help() string {
	return `The operator has each MeshService, Upstream and MeshRoute stay until what it declared is out of the registry. When it is gone for good – uninstalled, or the cluster was given up – nobody takes that finalizer off (heddle.io/registry), and deletions hang. This does, and changes nothing else: what the objects declared stays in the registry, until "heddle release" and "heddle delete". It asks before it begins. An operator that still runs puts it back.

Examples:

  heddle operator release-finalizers --dry-run
  heddle operator release-finalizers --kubeconfig prod.kubeconfig --yes`
}

// Run names the objects, asks, and does it.
func (c *operatorFinalizersCmd) Run(ctx context.Context, con *cli.Console) error {
	finalizers, err := operator.NewFinalizers(c.Kubeconfig)
	if err != nil {
		return &cli.UsageError{Message: err.Error()}
	}
	held, err := finalizers.List(ctx, c.Namespace)
	if err != nil {
		return err
	}
	for _, one := range held {
		state := ""
		if one.Deleted {
			state = " (being deleted)"
		}
		fmt.Fprintf(con.Out, "%s%s\n", present.Safe(one.String()), state)
	}
	if len(held) == 0 || c.DryRun {
		fmt.Fprintf(con.Out, "%s with the finalizer; nothing was changed\n", plural(len(held), "object", "objects"))
		return nil
	}
	if !c.Yes {
		fmt.Fprintf(con.Err, "Take the finalizer off? What they declared stays in the registry. Type yes: ")
		answer, _ := bufio.NewReader(con.In).ReadString('\n')
		if !strings.HasSuffix(answer, "\n") {
			fmt.Fprintln(con.Err) // nobody answered
		}
		if strings.TrimSpace(answer) != "yes" {
			return &cli.UsageError{Message: "nothing was changed: answer yes, or say --yes"}
		}
	}
	var wrong []error
	done := 0
	for _, one := range held {
		if err := finalizers.Remove(ctx, one); err != nil {
			wrong = append(wrong, err)
			continue
		}
		done++
	}
	fmt.Fprintf(con.Out, "taken off %s\n", plural(done, "object", "objects"))
	return errors.Join(wrong...)
}
