package agentcli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/agent/api"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
	"github.com/heddle-mesh/heddle/internal/present"
)

// Each line is of one copy: it shows what that one says, also where it differs from most.
func TestCopiesThatDifferAreShownAsTheyAre(t *testing.T) {
	say := func(mode hosts.Mode, ports ...hosts.Port) api.Copy {
		return api.Copy{Host: "h" + string(mode), Service: hosts.Service{ID: "id", Mode: mode, Ports: ports}}
	}
	list := []api.Service{{Name: "web", Mode: hosts.HTTPMode, Ports: []mesh.Port{9001, 9002}, Copies: []api.Copy{
		say(hosts.HTTPMode, hosts.Port{Port: 1, ServicePort: 9001}, hosts.Port{Port: 2, ServicePort: 9002}),
		say(hosts.TCPMode, hosts.Port{Port: 3, ServicePort: 9001}, hosts.Port{Port: 4}),
	}}}
	var out bytes.Buffer
	if err := servicesTable(present.Palette{}, list, true).Write(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range [][]string{{"web", "9001,9002", "hhttp", "http"}, {"web", "9001", "htcp", "tcp"}} {
		fields := strings.Fields(lines[i+1])
		got := []string{fields[0], fields[1], fields[2], fields[len(fields)-3]}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("want %v in %q", want, lines[i+1])
		}
	}
}
