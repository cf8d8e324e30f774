package test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/bench/measured"
	"github.com/heddle-mesh/heddle/internal/azuretest"
)

// used is what a process has used of its machine so far.
type used struct {
	cpu                time.Duration
	allocated, objects float64
}

func (f *fleet) used() used {
	f.t.Helper()
	cpu, err := measured.CPU(f.PID())
	if err != nil {
		f.t.Fatal(err)
	}
	return used{cpu, f.metric("go_memstats_alloc_bytes_total"), f.metric("go_memstats_mallocs_total")}
}

// metric reads one of the server's metrics.
func (f *fleet) metric(name string) float64 {
	f.t.Helper()
	address := strings.TrimPrefix(f.rest, "http://")
	got, err := ask(f.t, address, address, "/metrics", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+f.token) })
	if err != nil {
		f.t.Fatal(err)
	}
	for line := range strings.Lines(got.body) {
		if text, is := strings.CutPrefix(line, name+" "); is {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				f.t.Fatal(err)
			}
			return value
		}
	}
	f.t.Fatalf("there is no metric %s", name)
	return 0
}

// memory is what the server is resident with, and was at most, in MiB.
func (f *fleet) memory() (now, peak float64) {
	f.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.PID()))
	if err != nil {
		f.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kB float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f", &kB); n == 1 {
			peak = kB / 1024
		}
		if n, _ := fmt.Sscanf(line, "VmRSS: %f", &kB); n == 1 {
			now = kB / 1024
		}
	}
	return now, peak
}

// steady measures refreshes that find nothing new, and that they come to nothing.
func (f *fleet) steady(refreshes int) {
	f.t.Helper()
	f.refreshed()
	received := make([]int64, len(f.proxies))
	for i, one := range f.proxies {
		received[i] = one.received.Load()
	}
	before := f.used()
	written := f.writes.until(f.t, "refreshes", func(all []etcdWrite) bool { return len(all) >= refreshes })
	after := f.used()
	sent := int64(0)
	for i, one := range f.proxies {
		more := one.received.Load() - received[i]
		if sent += more; more != 0 {
			f.t.Errorf("%s was sent %d bytes in %d refreshes in which nothing changed", one.name, more, refreshes)
		}
	}
	var listing, rest []time.Duration
	calls := 0
	for _, one := range written {
		if one.key != sourceKey {
			f.t.Errorf("in a refresh in which nothing changed %s was written", one.key)
			continue
		}
		note := f.noted(one)
		calls = note.Calls
		listing, rest = append(listing, duration(note.ListingMS)), append(rest, duration(note.DurationMS-note.ListingMS))
	}
	n := float64(len(written))
	now, peak := f.memory()
	f.figure(float64(calls), "", "calls of a listing")
	f.figure(milliseconds(quantile(listing, 0.5)), "ms", "a listing, median of %d", len(written))
	f.figure(milliseconds(quantile(rest, 0.5)), "ms", "comparing it with what is known, median of %d", len(written))
	f.figure(milliseconds(after.cpu-before.cpu)/n, "ms", "CPU of the server per refresh")
	f.figure((after.allocated-before.allocated)/n/(1<<20), "MiB", "allocated by the server per refresh")
	f.figure((after.objects-before.objects)/n/1000, "thousand", "allocations of the server per refresh")
	f.figure(now, "MiB", "server, resident")
	f.figure(peak, "MiB", "server, resident at most since its start")
	f.figure(n/float64(refreshes), "", "keys written to etcd per refresh: how the source does")
	f.figure(float64(sent), "bytes", "sent to %d proxies in %d refreshes", len(f.proxies), len(written))
}

// What changes.
const (
	comes = iota
	isStopped
	isGone
)

var fleetChanges = []string{"a machine comes", "it is deallocated", "it is gone"}

// changes measures from the end of the listing that has a change to its last
// acknowledgement, in turns with instances that are registered.
func (f *fleet) changes(rounds int) {
	f.t.Helper()
	series := map[string][]time.Duration{}
	add := func(what string, d time.Duration) { series[what] = append(series[what], d) }
	f.refreshed()
	for round := range rounds { // each begins when a refresh has just ended
		add(theFloor, f.registered(round))
		kind, messages := round%len(fleetChanges), f.messages()
		f.cloud.Answered()
		f.change(kind)
		last, envoy := f.lastAck(fleetChanges[kind], func(body []byte) bool { return bytes.Contains(body, []byte(f.addedAddress())) == (kind != isGone) })
		wrote := f.cost(kind, messages)
		add(theChange, last.Sub(wrote.listed))
		add(fleetChanges[kind]+": the same", last.Sub(wrote.listed))
		add("end of the listing to Envoy's ACK", envoy.Sub(wrote.listed))
		answered := slices.DeleteFunc(f.cloud.Answered(), func(at time.Time) bool { return at.After(wrote.listed) })
		add("the cloud's last answer to the last ACK", last.Sub(answered[len(answered)-1]))
		add("end of the listing until another watcher of etcd has the machine", wrote.machine.Sub(wrote.listed))
		add("from there until it has the instance", wrote.instance.Sub(wrote.machine))
		add("from there to the last ACK", last.Sub(wrote.instance))
	}
	for _, what := range slices.Sorted(maps.Keys(series)) {
		f.figure(milliseconds(quantile(series[what], 0.5)), "ms", "%s, median of %d", what, len(series[what]))
		f.figure(milliseconds(quantile(series[what], 0.95)), "ms", "%s, 95th percentile", what)
	}
	change := quantile(series[theChange], 0.5)
	f.figure(float64(change)/float64(quantile(series[theFloor], 0.5)), "", "ratio of the medians, change to floor")
	if rounds >= 30 && f.services > 1 && change > 20*time.Millisecond {
		f.t.Errorf("the goal is 20 ms from the end of the listing to the last ACK")
	}
}

const (
	theFloor  = "registered by REST to the last ACK (the floor)"
	theChange = "end of the listing to the last ACK"
)

// registered times an instance from before it is registered to the last acknowledgement.
func (f *fleet) registered(round int) time.Duration {
	f.t.Helper()
	id, address := fmt.Sprintf("floor-%d", round), fmt.Sprintf("10.99.%d.%d", round/250, round%250+1)
	began := time.Now()
	one := f.register(fleetService(0), id, address+":80")
	last, _ := f.lastAck("a registered instance", func(body []byte) bool { return bytes.Contains(body, []byte(address)) })
	if err := f.client.Deregister(f.t.Context(), one.Key(), one.Epoch); err != nil {
		f.t.Fatal(err)
	}
	f.lastAck("a deregistered instance", func(body []byte) bool { return !bytes.Contains(body, []byte(address)) })
	f.writes.until(f.t, "deregister", func(all []etcdWrite) bool {
		return len(all) > 0 && all[len(all)-1].deleted
	})
	return last.Sub(began)
}

// lastAck waits for all proxies.
func (f *fleet) lastAck(what string, wanted func([]byte) bool) (last, envoy time.Time) {
	f.t.Helper()
	for _, one := range f.proxies {
		at := f.acked(one, what, wanted)
		if at.After(last) {
			last = at
		}
		if one == f.envoy {
			envoy = at
		}
	}
	return last, envoy
}

func (f *fleet) addedAddress() string { return fleetAddress(*azureMachines + f.added) }

// change has a machine of the first service come, stop or go.
func (f *fleet) change(kind int) {
	f.t.Helper()
	if kind == comes {
		f.added++
	}
	vm := f.machine(*azureMachines+f.added, 0)
	switch kind {
	case comes:
		f.cloud.Put(vm)
	case isStopped:
		f.cloud.Change(vm.Subscription, vm.Group, vm.Name, func(v *azuretest.VM) { v.Power = "deallocating" })
	default:
		f.cloud.Delete(vm.Subscription, vm.Group, vm.Name)
	}
}

func (f *fleet) messages() (all []int64) {
	for _, one := range f.proxies {
		all = append(all, one.messages.Load())
	}
	return all
}

// wrote is when the listing ended that has a change, as the server notes it, and when
// another watcher of etcd had its two writes.
type wrote struct{ listed, machine, instance time.Time }

// cost holds that a change of one machine comes to as few writes and messages as can be.
func (f *fleet) cost(kind int, before []int64) (out wrote) {
	f.t.Helper()
	has := func(all []etcdWrite, prefix string, deleted bool) int {
		return slices.IndexFunc(all, func(one etcdWrite) bool { return strings.HasPrefix(one.key, prefix) && one.deleted == deleted })
	}
	all := f.writes.until(f.t, fleetChanges[kind], func(all []etcdWrite) bool {
		return has(all, machinesKey, kind == isGone) >= 0 && has(all, instancesKey, kind == isGone) >= 0 && has(all[has(all, machinesKey, kind == isGone):], sourceKey, false) >= 0
	})
	revisions := map[int64]bool{}
	for _, one := range all {
		if one.key != sourceKey {
			revisions[one.revision] = true
		}
	}
	first := has(all, machinesKey, kind == isGone)
	note := f.noted(all[first+has(all[first:], sourceKey, false)])
	out = wrote{note.LastRun.Add(duration(note.ListingMS)), all[first].at, all[has(all, instancesKey, false)].at}
	want := 2 // the machine, and its instance
	if kind == isGone {
		want = 3 // the mark of the instance is deleted
	}
	if len(revisions) != want {
		f.t.Errorf("%s: %d transactions, want %d: %v", fleetChanges[kind], len(revisions), want, all)
	}
	for i, one := range f.messages() {
		if one-before[i] != 1 {
			f.t.Errorf("%s: %s was sent %d messages, want 1", fleetChanges[kind], f.proxies[i].name, one-before[i])
		}
	}
	return out
}

func duration(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
