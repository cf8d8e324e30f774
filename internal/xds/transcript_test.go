package xds_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/heddle-mesh/heddle/internal/logtest"
	"github.com/heddle-mesh/heddle/internal/xds"
)

var update = flag.Bool("update", false, "rewrite what the transcripts in testdata expect")

// TestTranscripts plays testdata/*.txt against a server over gRPC, in a bubble
// with its own clock. A file opens with why it exists; then come blocks of a
// command, with indented lines of its own, "----", and everything that happens
// because of it, until nothing moves any more:
//
//	canary DURATION              first of all: how long is waited for a canary; without it nothing is tried
//	apply REVISION               one update; its lines:
//	  put TYPE/NAME CONTENT      content that begins with "eds" makes an EDS cluster; settle=DURATION; ttl=DURATION
//	  scope NAME TYPE/NAME ...   the full new set of members
//	  scope NAME gone
//	connect STREAM TRANSPORT NODE [FEATURE]...  e.g. connect a ads-delta web/1; "-" is no node
//	send STREAM TYPE [sub=a,b] [unsub=a,b] [init=a@v1] [names=a,b] [nonce=N] [node=ID] [version=V]
//	ack STREAM [TYPE [one]]      acknowledge the open responses, oldest first, or the oldest
//	nack STREAM TYPE TEXT        refuse the oldest open response
//	wait DURATION                let time pass
//	close STREAM                 the client ends the stream
//	status                       what the server says of its streams
//	shutdown                     the server ends
//
// Resources are shown as name@content, with their TTL and "beat" for no body, versions of a whole type by letters. In
// init=, orders@e1+eds1 are endpoints as they are sent to a client that holds the
// cluster of the same name with that content.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			synctest.Test(t, func(t *testing.T) { got = play(t, string(text), xds.ServerOptions()) })
			if got == string(text) {
				// The same with gRPC's own codec, which decodes and encodes every
				// response again: what a server without our options does.
				synctest.Test(t, func(t *testing.T) {
					if plain := play(t, string(text), nil); plain != got {
						t.Errorf("%s: not the same without ServerOptions; got:\n%s", file, plain)
					}
				})
				return
			}
			if !*update {
				t.Fatalf("%s: not what is expected (-update rewrites it); got:\n%s", file, got)
			}
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// play runs a transcript and gives it back with what really happened.
func play(t *testing.T, text string, options []grpc.ServerOption) string {
	if !strings.HasPrefix(text, "# ") {
		t.Fatal("a transcript opens with why it exists")
	}
	p := &player{t: t, streams: map[string]*client{}, contents: map[string]*xds.Resource{}, labels: map[string]string{}, letters: map[string]string{"": "none"}}
	handler := slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: onlyMeaning})
	p.rig = newRigWith(t, xds.Config{Logger: slog.New(handler), CanaryWait: canaryWait(t, text)}, options)
	defer p.hangUp()
	var out strings.Builder
	for i, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			out.WriteString("\n")
		}
		if strings.HasPrefix(block, "#") {
			out.WriteString(block + "\n")
			continue
		}
		command, _, _ := strings.Cut(block, "\n----")
		out.WriteString(command + "\n----\n")
		said := p.run(strings.Split(command, "\n"))
		out.WriteString(said + p.events())
	}
	return out.String()
}

// canaryWait reads what a transcript says of the canary; 0: nothing.
func canaryWait(t *testing.T, text string) time.Duration {
	_, rest, says := strings.Cut(text, "\n\ncanary ")
	if !says {
		return 0
	}
	wait, err := time.ParseDuration(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

func onlyMeaning(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == "address" || a.Key == "transport" || a.Key == "version" {
		return slog.Attr{}
	}
	return a
}

// player is one run of a transcript.
type player struct {
	t        *testing.T
	rig      *rig
	log      logtest.Buffer
	streams  map[string]*client
	contents map[string]*xds.Resource // by "type/name@content"
	labels   map[string]string        // version of a resource → its content
	letters  map[string]string        // version of a type → a letter
}

func (p *player) run(lines []string) (said string) {
	words := strings.Fields(lines[0])
	switch words[0] {
	case "canary": // the server was made with it
	case "apply":
		p.rig.server.Apply(p.update(words[1], lines[1:]))
	case "connect":
		p.streams[words[1]] = p.rig.connect(words[2], words[3])
		if len(words) > 4 {
			p.streams[words[1]].node.ClientFeatures = words[4:]
		}
	case "send":
		p.stream(words[1]).send(p.request(p.stream(words[1]), words[2], words[3:]))
	case "ack":
		c := p.stream(words[1])
		open := c.open()
		for _, typeURL := range slices.Sorted(maps.Keys(open)) {
			if len(words) == 2 || typeURLs[words[2]] == typeURL {
				if len(words) == 4 {
					open[typeURL] = 1
				}
				for range open[typeURL] {
					c.answer(typeURL, "")
					synctest.Wait()
				}
			}
		}
	case "nack":
		p.stream(words[1]).answer(typeURLs[words[2]], strings.Join(words[3:], " "))
	case "wait":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			p.t.Fatal(err)
		}
		time.Sleep(d) // the bubble's time, not ours
	case "again":
		p.rig.server.TryAgain(typeURLs[words[1]], words[2])
	case "close":
		p.stream(words[1]).closeSend()
	case "status":
		synctest.Wait()
		said = p.status()
	case "shutdown":
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := p.rig.server.Shutdown(ctx); err != nil {
			p.t.Errorf("shutdown: %v", err)
		}
	default:
		p.t.Fatalf("unknown command %q", words[0])
	}
	synctest.Wait()
	return said
}

func (p *player) stream(name string) *client {
	p.t.Helper()
	c := p.streams[name]
	if c == nil {
		p.t.Fatalf("no stream %q", name)
	}
	return c
}

// update reads the lines of an apply.
func (p *player) update(revision string, lines []string) xds.Update {
	u := xds.Update{Revision: revision, Scopes: map[string][]xds.Key{}}
	for _, line := range lines {
		words := strings.Fields(line)
		switch words[0] {
		case "put":
			kind, name, _ := strings.Cut(words[1], "/")
			r := resource(p.t, typeURLs[kind], name, words[2])
			if len(words) > 3 {
				what, text, _ := strings.Cut(words[3], "=")
				d, err := time.ParseDuration(text)
				if err != nil {
					p.t.Fatal(err)
				}
				if r.Settle = d; what == "ttl" {
					r = expiring(p.t, r.Type, name, words[2], d)
				}
			}
			p.contents[words[1]+"@"+words[2]] = r
			p.labels[r.Version] = words[2]
			u.Put = append(u.Put, r)
		case "scope":
			if len(words) == 3 && words[2] == "gone" {
				u.Scopes[words[1]] = nil
				continue
			}
			members := []xds.Key{}
			for _, word := range words[2:] {
				kind, name, _ := strings.Cut(word, "/")
				members = append(members, xds.Key{Type: typeURLs[kind], Name: name})
			}
			u.Scopes[words[1]] = members
		default:
			p.t.Fatalf("unknown line %q", line)
		}
	}
	return u
}

// events gives what the streams were sent and what was logged since last asked.
func (p *player) events() string {
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p.streams)) {
		for _, e := range p.streams[name].taken() {
			said := e.end
			if e.response != nil {
				said = p.show(e.response)
			}
			fmt.Fprintf(&out, "%s: %s\n", name, said)
		}
	}
	for line := range strings.Lines(p.log.Take()) {
		out.WriteString("log: " + line)
	}
	return out.String()
}

// letter names the versions of a type in the order in which they were seen.
func (p *player) letter(version string) string {
	if _, known := p.letters[version]; !known {
		p.letters[version] = string(rune('A' - 1 + len(p.letters)))
	}
	return p.letters[version]
}

func (p *player) status() string {
	var out strings.Builder
	for _, s := range p.rig.server.Status() {
		fmt.Fprintf(&out, "%s %s scope=%q refused=%q\n", s.Node, s.Transport, s.Scope, s.Refused)
		for _, one := range s.Types {
			fmt.Fprintf(&out, "  %s sent=%s acknowledged=%s responses=%d nacks=%d", shortOf(one.Type), p.letter(one.Sent), p.letter(one.Acknowledged), one.Responses, one.Nacks)
			if !one.BehindSince.IsZero() {
				fmt.Fprintf(&out, " behind for %s", time.Since(one.BehindSince))
			}
			out.WriteString("\n")
			if n := one.LastNack; n != nil {
				fmt.Fprintf(&out, "    refused %q %v from %v: %s", n.Names, map[bool]string{true: "standing", false: "mended"}[n.Standing], n.Origins, n.Message)
				out.WriteString("\n")
			}
		}
	}
	return out.String()
}

func (p *player) hangUp() {
	for _, c := range p.streams {
		c.cancel()
	}
	synctest.Wait()
}
