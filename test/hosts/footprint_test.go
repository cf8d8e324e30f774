package hosts_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// quietTime is after what time agents give back what changes took.
const quietTime = 12 * time.Second

// footprint measures what an agent takes that has nothing to do.
func (f *fleet) footprint() {
	each(f.list, func(h *host) { h.stop() })
	time.Sleep(quietTime)
	before := map[*host]int{}
	for _, h := range f.list {
		before[h] = f.ticks(h)
	}
	const while = 10 * time.Second
	time.Sleep(while)
	var resident, own []int
	ticks := 0
	for _, h := range f.list {
		ticks += f.ticks(h) - before[h]
		memory := f.memory(h)
		resident, own = append(resident, memory["Rss"]), append(own, memory["Anonymous"])
	}
	slices.Sort(resident)
	slices.Sort(own)
	f.t.Logf("an agent that has nothing to do: %.2f %% of a core; resident %d KiB (median), %d at most; its own %d, %d at most",
		float64(ticks)/float64(len(f.list))/while.Seconds(), resident[len(resident)/2], resident[len(resident)-1], own[len(own)/2], own[len(own)-1])
	if middle := resident[len(resident)/2]; middle > 45<<10 { // 40 MiB is the goal of one that has just started
		f.t.Errorf("half of the agents have more than %d KiB", middle)
	}
	if ticks > 3*len(f.list)*int(while.Seconds()) {
		f.t.Errorf("an agent that has nothing to do takes more than 3 %% of a core (the goal is 1 %%)")
	}
}

func (f *fleet) ticks(h *host) int {
	body, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.PID()))
	if err != nil {
		f.t.Fatal(err)
	}
	fields := strings.Fields(string(body[strings.LastIndexByte(string(body), ')')+2:]))
	var user, system int
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		f.t.Fatal(err)
	}
	return user + system
}

// memory gives a process's, in KiB.
func (f *fleet) memory(h *host) map[string]int {
	body, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", h.PID()))
	if err != nil {
		f.t.Fatal(err)
	}
	memory := map[string]int{}
	for _, line := range strings.Split(string(body), "\n") {
		name, rest, _ := strings.Cut(line, ":")
		var kib int
		if _, err := fmt.Sscan(rest, &kib); err == nil {
			memory[name] = kib
		}
	}
	return memory
}
