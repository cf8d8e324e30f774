package inventory

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/internal/mesh"
)

// The bounds of a list.
const (
	mostBytes = 64 << 20
	mostVMs   = 100_000
)

// read takes a whole list.
func (s *Source) read(data []byte) ([]mesh.VM, error) {
	if len(data) > mostBytes {
		return nil, fmt.Errorf("it has more than %d MiB", mostBytes>>20)
	}
	var list struct {
		VMs *[]json.RawMessage `json:"vms"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
			return nil, fmt.Errorf("it is not JSON with a list vms: %s is %s", cmp.Or(wrong.Field, "it"), typeCalled(wrong.Value))
		}
		return nil, fmt.Errorf("it is not JSON with a list vms: %w", err)
	}
	switch {
	case list.VMs == nil:
		return nil, errors.New(`it has no list "vms": an inventory without machines says so, with an empty one`)
	case len(*list.VMs) > mostVMs:
		return nil, fmt.Errorf("it has %d machines; at most %d are taken", len(*list.VMs), mostVMs)
	}
	return s.machines(*list.VMs)
}

func (s *Source) machines(rows []json.RawMessage) ([]mesh.VM, error) {
	vms, seen := make([]mesh.VM, len(rows)), make(map[string]int, len(rows))
	for i, text := range rows {
		vm := &vms[i]
		if err := row(text, vm); err != nil {
			return nil, fmt.Errorf("%s: %w", called(i, vm), err)
		}
		if vm.ID == "" {
			vm.ID = vm.Name
		}
		if vm.ID == "" {
			return nil, fmt.Errorf("vms[%d] has neither an id nor a name%s", i, inAddition(vm.Faults))
		}
		if first, twice := seen[vm.ID]; twice {
			return nil, fmt.Errorf("%s has the id %q of %s: give them ids of their own", called(i, vm), vm.ID, called(first, &vms[first]))
		}
		seen[vm.ID] = i
		if vm.State == "" {
			vm.State = mesh.VMRunning
		}
		s.cfg.Tags.Read(vm)
	}
	return vms, nil
}

// called is how people find a row: by its number, and by what it is called.
func called(i int, vm *mesh.VM) string {
	switch {
	case vm.Name != "":
		return fmt.Sprintf("vms[%d] (%.80q)", i, vm.Name)
	case vm.ID != "":
		return fmt.Sprintf("vms[%d] (%.80q)", i, vm.ID)
	}
	return fmt.Sprintf("vms[%d]", i)
}

func inAddition(faults []string) string {
	if len(faults) == 0 {
		return ""
	}
	return ": " + strings.Join(faults, "; ")
}

// field is one of a row: what it has to be, and where it goes. Without that it is what the
// mesh says of a machine besides, and is found anew.
type field struct {
	what string
	of   func(*mesh.VM) any
}

const (
	aText      = "a text"
	listOfText = "a list of texts"
	textByName = "an object of texts"
)

var fields = map[string]field{
	"id":         {aText, func(vm *mesh.VM) any { return &vm.ID }},
	"name":       {aText, func(vm *mesh.VM) any { return &vm.Name }},
	"private_ip": {aText, func(vm *mesh.VM) any { return &vm.PrivateIP }},
	"public_ip":  {aText, func(vm *mesh.VM) any { return &vm.PublicIP }},
	"addresses":  {listOfText, func(vm *mesh.VM) any { return &vm.Addresses }},
	"state":      {aText, func(vm *mesh.VM) any { return &vm.State }},
	"health":     {aText, func(vm *mesh.VM) any { return &vm.Health }},
	"region":     {aText, func(vm *mesh.VM) any { return &vm.Region }},
	"zone":       {aText, func(vm *mesh.VM) any { return &vm.Zone }},
	"scale_set":  {aText, func(vm *mesh.VM) any { return &vm.ScaleSet }},
	"tags":       {textByName, func(vm *mesh.VM) any { return &vm.Tags }},
	"source":     {}, "scope": {}, "runs": {}, "weight": {}, "faults": {}, "meta": {}, "service": {}, "services": {}, "not_placed": {},
}

// row reads a machine. What is of the wrong type fails; a field that is not known is told
// in its faults: it may be one that is misspelled.
func row(text json.RawMessage, vm *mesh.VM) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(text, &values); err != nil || values == nil {
		return fmt.Errorf("it is %s, and has to be an object", typeOf(text))
	}
	var unknown, wrong []string
	for name, value := range values {
		known, is := fields[name]
		switch {
		case !is:
			unknown = append(unknown, name)
		case known.of == nil:
		default:
			if err := json.Unmarshal(value, known.of(vm)); err != nil {
				wrong = append(wrong, fmt.Sprintf("%s has to be %s, and %s", name, known.what, has(value, err)))
			}
		}
	}
	slices.Sort(unknown)
	slices.Sort(wrong)
	if len(unknown) > 0 {
		vm.Faults = append(vm.Faults, notTaken(unknown))
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// notTaken says of fields that there are no such, and which ones may be meant.
func notTaken(unknown []string) string {
	const most = 5
	plain := func(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "") }
	var told []string
	for _, name := range unknown[:min(len(unknown), most)] {
		one := fmt.Sprintf("%.80q", name)
		for known := range fields {
			if plain(known) == plain(name) || plain(known) == plain(name)+"s" {
				one += " (" + known + "?)"
				break
			}
		}
		told = append(told, one)
	}
	if len(unknown) > most {
		told = append(told, fmt.Sprintf("and %d more", len(unknown)-most))
	}
	return "fields that a machine does not have are not taken: " + strings.Join(told, ", ")
}

// has says what a value is, or what is in it that has to be a text.
func has(value json.RawMessage, err error) string {
	is, inIt := typeOf(value), (*json.UnmarshalTypeError)(nil)
	if !errors.As(err, &inIt) || is != "a list" && is != "an object" || typeCalled(inIt.Value) == is {
		return "is " + is
	}
	return "has " + typeCalled(inIt.Value) + " in it"
}

// typeOf says of which of JSON's types a value is.
func typeOf(value json.RawMessage) string {
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a text"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}

// typeCalled says the same of a type as encoding/json calls it.
func typeCalled(name string) string {
	switch name, _, _ = strings.Cut(name, " "); name {
	case "array":
		return "a list"
	case "string":
		return "a text"
	case "bool":
		return "true or false"
	case "number":
		return "a number"
	}
	return "an object"
}
