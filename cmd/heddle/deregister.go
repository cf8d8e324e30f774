package main

import (
	"context"
	"fmt"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// deregisterCmd removes one instance.
type deregisterCmd struct {
	Service string  `arg:"" complete:"services" help:"The service."`
	ID      string  `arg:"" complete:"instance" help:"The instance."`
	Epoch   *string `placeholder:"EPOCH" help:"Only this registration, as register -o json and get instances -o wide show it; left out, whichever there is."`
}

// Help shows examples below the usage.
func (deregisterCmd) Help() string {
	return `Its callers stop using it at once. What still renews it is told that it is gone.

Example:

  heddle deregister orders orders-2`
}

// Run removes the instance.
func (c *deregisterCmd) Run(ctx context.Context, api *client.Client, con *console) error {
	key := mesh.InstanceKey{Service: mesh.ServiceName(c.Service), ID: mesh.InstanceID(c.ID)}
	epoch, err := notEmpty("--epoch", c.Epoch, "give the epoch of the registration, or leave it out for whichever there is")
	if err != nil {
		return err
	}
	err = api.Deregister(ctx, key, epoch)
	if mesh.KindOf(err) == mesh.KindNotFound {
		return suggest(ctx, api, kindInstances, key.String(), err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(con.out, "instance/%s deregistered\n", present.Safe(key.String()))
	return nil
}
