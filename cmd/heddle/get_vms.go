package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// kindVMs can be shown alone: nobody writes them.
const kindVMs = "vms"

func isVMs(word string) bool {
	return slices.Contains([]string{"vms", "vm", "machines", "machine"}, strings.ToLower(word))
}

// vms shows virtual machines. A name is that of a machine, its ID, or its instance's.
func (c *getCmd) vms(ctx context.Context, api *client.Client, con *cli.Console) error {
	list, err := api.VMs(ctx, "")
	if err != nil {
		return err
	}
	var missing []error
	for _, name := range c.Names {
		if !slices.ContainsFunc(list.VMs, func(vm mesh.ListedVM) bool { return isNamed(&vm, name) }) {
			missing = append(missing, mesh.NotFound("there is no virtual machine %q: heddle get vms lists them, and heddle discovery list says how their sources do", name))
		}
	}
	if len(c.Names) > 0 {
		list.VMs = slices.DeleteFunc(list.VMs, func(vm mesh.ListedVM) bool {
			return !slices.ContainsFunc(c.Names, func(name string) bool { return isNamed(&vm, name) })
		})
		list.TotalVMs = len(list.VMs)
	}
	if len(list.VMs) > 0 || len(missing) == 0 {
		if err := c.printVMs(con, list); err != nil {
			return err
		}
	}
	return joinErrors(missing)
}

func isNamed(vm *mesh.ListedVM, name string) bool {
	return vm.Name == name || vm.ID == name || slices.ContainsFunc(vm.Services, func(p mesh.VMPlace) bool { return string(p.Instance) == name })
}

func (c *getCmd) printVMs(con *cli.Console, list mesh.VMList) error {
	switch c.Output {
	case "json", "yaml":
		return con.Encode(c.Output, list)
	case "name":
		for i := range list.VMs {
			fmt.Fprintln(con.Out, "vm/"+present.Safe(list.VMs[i].Key().String()))
		}
		return nil
	}
	if len(list.VMs) == 0 {
		fmt.Fprintln(con.Err, "no virtual machines (heddle discovery list says how their sources do)")
		return nil
	}
	return vmsTable(con.Palette, c.Output == "wide", list.VMs).Write(con.Out)
}

func vmsTable(p present.Palette, wide bool, list []mesh.ListedVM) *present.Table {
	headings := []string{"NAME", "SERVICE", "STATE", "HEALTH", "PRIVATE IP", "PUBLIC IP", "ZONE", "SOURCE"}
	if wide {
		headings = append(headings, "SCALE SET", "ID")
	}
	table := present.NewTable(p, append(headings, "NOT PLACED BECAUSE")...)
	for i := range list {
		vm := &list[i]
		var services []string
		for _, one := range vm.Services {
			services = append(services, fmt.Sprintf("%s:%d", one.Service, one.Port))
		}
		state := present.Cell{Text: string(vm.State), Tone: present.Good}
		if vm.State != mesh.VMRunning {
			state.Tone = present.Warn
		}
		health := present.Cell{Text: string(vm.Health)}
		if vm.Health == mesh.VMUnhealthy {
			health.Tone = present.Bad
		}
		cells := append(present.Text(cmp.Or(vm.Name, vm.ID), present.CutList(services)), state, health)
		cells = append(cells, present.Text(vm.PrivateIP, vm.PublicIP, placeText(vm.Region, vm.Zone), vm.Source)...)
		if wide {
			cells = append(cells, present.Text(vm.ScaleSet, vm.ID)...)
		}
		table.Add(append(cells, present.Text(strings.Join(slices.Concat(vm.NotPlaced, vm.Faults), "; "))...)...)
	}
	return table
}

func placeText(region, zone string) string {
	return strings.Trim(region+"/"+zone, "/")
}
