package terraform

import (
	"maps"
	"regexp"
	"strings"
	"testing"
)

const (
	replace = root + "/scripts/replace"
	well    = "HealthState/healthy"
	unwell  = "HealthState/unhealthy"
)

func scaleSet(t *testing.T, files map[string]string) cloud {
	t.Helper()
	start := map[string]string{"machines": "1\t" + well + "\n2\t" + unwell + "\n", "capacity": "2\n", "last": "2\n", "new": well + "\n"}
	maps.Copy(start, files)
	return newCloud(t, start)
}

// numbers are the machines that there are.
func (c cloud) numbers() string {
	var out []string
	for line := range strings.Lines(c.read("machines")) {
		number, _, _ := strings.Cut(line, "\t")
		out = append(out, number)
	}
	return strings.Join(out, " ")
}

func TestReplaceMakesNewMachinesAndDeletesTheOldOnesOneByOne(t *testing.T) {
	for name, one := range map[string]struct {
		files          map[string]string
		left, deletion string
	}{
		"an old one is not well":      {nil, "3 4", "1,2"},
		"lists fail while it waits":   {map[string]string{"lists": "ok\nfail\nfail\n"}, "3 4", "1,2"},
		"nothing is known of the old": {map[string]string{"machines": "2\tNone\n", "capacity": "1\n"}, "3", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			c := scaleSet(t, one.files)
			if said, done := c.run("y\n", replace, "mesh", "shop"); !done || c.numbers() != one.left {
				t.Fatalf("machines %s: %s", c.numbers(), said)
			}
			var deleted []string
			for _, call := range c.calls("vmss delete-instances") {
				_, ids, _ := strings.Cut(call, "--instance-ids ")
				deleted = append(deleted, strings.TrimSuffix(ids, " --output none"))
			}
			if got := strings.Join(deleted, ","); got != one.deletion {
				t.Errorf("%s are deleted", got)
			}
		})
	}
}

func TestReplaceChangesNothingWhereItDoesNotKnowTheMachines(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"the list fails":       {"lists": "fail\n"},
		"the list is empty":    {"machines": ""},
		"a machine is missing": {"capacity": "3\n"},
		"there is no machine":  {"machines": "", "capacity": "0\n"},
		"no capacity is told":  {"capacity": "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c := scaleSet(t, files)
			said, done := c.run("y\n", replace, "mesh", "shop")
			if done || !strings.Contains(strings.ToLower(said), "nothing was changed") {
				t.Errorf("%v: %s", done, said)
			}
			if changes := append(c.calls("vmss scale"), c.calls("vmss delete")...); len(changes) > 0 {
				t.Errorf("%q", changes)
			}
		})
	}
}

var command = regexp.MustCompile(`(?m)^To (go on|delete the new ones instead)[^:]*: (.+)$`)

// commands are what the script says can be done instead.
func commands(said string) map[string]string {
	out := map[string]string{}
	for _, match := range command.FindAllStringSubmatch(said, -1) {
		out[match[1]] = match[2]
	}
	return out
}

func TestReplaceDeletesNothingUntilNewMachinesAreWellAndItIsTold(t *testing.T) {
	for name, one := range map[string]struct {
		files map[string]string
		input string
	}{
		"new ones do not get well": {map[string]string{"new": unwell + "\n"}, "y\n"},
		"only old ones are well":   {map[string]string{"machines": "1\t" + well + "\n2\t" + well + "\n", "new": unwell + "\n"}, "y\n"},
		"lists fail for good":      {map[string]string{"lists": "ok\n" + strings.Repeat("fail\n", 80)}, "y\n"},
		"Azure has not the cores":  {map[string]string{"scales": "fail\n"}, "y\n"},
		"the answer is no":         {nil, "n\n"},
		"nobody answers":           {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := scaleSet(t, one.files)
			said, done := c.run(one.input, replace, "mesh", "shop")
			if done || c.numbers() != "1 2 3 4" || len(c.calls("vmss delete")) > 0 {
				t.Fatalf("%v: machines %s", done, c.numbers())
			}
			instead := commands(said)
			if instead["go on"] != replace+" mesh shop 1 2" || !strings.HasSuffix(instead["delete the new ones instead"], "--instance-ids 3 4") {
				t.Fatalf("%q", instead)
			}
			if name == "the answer is no" { // they can be played
				if _, done := c.run("y\n", "-c", instead["go on"]); !done || c.numbers() != "3 4" || len(c.calls("vmss scale")) != 1 {
					t.Errorf("going on leaves %s", c.numbers())
				}
			} else if _, done := c.run("", "-c", instead["delete the new ones instead"]); !done || c.numbers() != "1 2" {
				t.Errorf("undone, machines are %s", c.numbers())
			}
		})
	}
}

func TestReplaceStopsWhenNewMachinesFallIll(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"they are not well any more": {"ill": "yes\n"},
		"the list fails":             {"lists": "ok\nok\nok\nfail\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c := scaleSet(t, files)
			said, done := c.run("y\n", replace, "mesh", "shop")
			if done || c.numbers() != "2 3 4" {
				t.Fatalf("%v: machines %s", done, c.numbers())
			}
			c.write("machines", strings.ReplaceAll(c.read("machines"), unwell, well))
			if _, done := c.run("y\n", "-c", commands(said)["go on"]); !done || c.numbers() != "3 4" || len(c.calls("vmss scale")) != 1 {
				t.Errorf("going on leaves %s", c.numbers())
			}
		})
	}
}

func TestReplaceTakesNumbersOnly(t *testing.T) {
	for _, arguments := range [][]string{{"mesh"}, {"mesh", "shop", "1;2"}, {"mesh", "shop", "shop_1"}} {
		c := scaleSet(t, nil)
		if _, done := c.run("y\n", append([]string{replace}, arguments...)...); done || c.read("calls") != "" {
			t.Errorf("%q is taken", arguments)
		}
	}
}
