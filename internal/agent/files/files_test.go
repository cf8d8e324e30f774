package files

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

const list = `[
  {"Service": {"Name": "some_service", "Image": "app:7", "Ports": [{"Type": "tcp", "Port": 10234, "ServicePort": 9999}], "ProxyMode": "http"}, "ListenPort": 9999},
  {"Service": {"Name": "some_service", "Ports": [{"Port": 10235, "ServicePort": 9999, "IP": "10.9.9.9"}]}, "Check": {"Type": "AlwaysSuccessful"}},
  {"Service": {"Name": "checked"}, "Check": {"Type": "HttpGet", "Args": "http://{{host}}:{{tcp 80}}/", "Interval": "5s", "Timeout": "1s", "Healthy": 2, "Unhealthy": 3, "Initial": "healthy"}},
  {"Service": {"Name": "asked"}, "Check": {"Type": "External", "Args": "true"}}
]`

func TestServicesOfAFile(t *testing.T) {
	host := netip.MustParseAddr("10.0.0.1")
	got, err := (&Source{Address: host}).parse([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	want := []hosts.Service{
		{ID: "some-service", Name: "some_service", Image: "app:7", Address: host, Mode: hosts.HTTPMode, Ports: []hosts.Port{{Type: "tcp", Port: 10234, ServicePort: 9999}}, Listener: "http://10.0.0.1:10234/sidecar/update"},
		{ID: "some-service-2", Name: "some_service", Address: host, Ports: []hosts.Port{{Port: 10235, ServicePort: 9999, Address: netip.MustParseAddr("10.9.9.9")}}, Check: hosts.Check{Kind: hosts.CheckNone}},
		{ID: "checked", Name: "checked", Address: host, Check: hosts.Check{Kind: hosts.CheckHTTP, Args: "http://{{host}}:{{tcp 80}}/", Interval: 5 * time.Second, Timeout: time.Second, Healthy: 2, Unhealthy: 3, Initial: hosts.Healthy}},
		{ID: "asked", Name: "asked", Address: host, Check: hosts.Check{Kind: hosts.CheckExec, Args: "true"}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
}

func TestFilesThatMakeNoSense(t *testing.T) {
	check := func(text string) string { return `[{"Service":{"Name":"a"},"Check":{` + text + `}}]` }
	for name, file := range map[string]string{
		"empty": "", "no list": `{}`, "listener": `[{"Service":{"Name":"a","Ports":[{"Port":1}]},"ListenPort":2}]`, "half": `[{"Service":`, "more": `[] []`, "no name": `[{"Service":{"Name":"_"}}]`,
		"mode": `[{"Service":{"Name":"a","ProxyMode":"smtp"}}]`, "port 0": `[{"Service":{"Name":"a","Ports":[{"ServicePort":1}]}}]`,
		"port": `[{"Service":{"Name":"a","Ports":[{"Port":1,"ServicePort":65536}]}}]`, "type": `[{"Service":{"Name":"a","Ports":[{"Port":1,"Type":"sctp"}]}}]`,
		"address": `[{"Service":{"Name":"a","Ports":[{"Port":1,"IP":"localhost"}]}}]`, "misspelt": `[{"Service":{"Name":"a","Ports":[{"Port":1,"ServicePrt":2}]}}]`,
		"check": check(`"Type":"smtp"`), "engine": check(`"Type":"engine"`), "no command": check(`"Type":"exec"`), "no type": check(`"Args":"/"`), "initial": check(`"Initial":"ill"`),
		"interval": check(`"Interval":"3"`), "short": check(`"Interval":"1ms"`), "late": check(`"Interval":"1s","Timeout":"2s"`), "never": check(`"Healthy":-1`), "check misspelt": check(`"Typ":"tcp"`),
	} {
		if got, err := (&Source{}).parse([]byte(file)); err == nil {
			t.Errorf("%s: taken as %v", name, got)
		}
	}
}

func TestErrorsOfFilesSayWhereAndWhat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "services.json")
	s := &Source{Path: path}
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), "no such file or directory: a host that runs nothing yet has a file with [] in it") {
		t.Errorf("missing: %v", err)
	}
	for file, want := range map[string]string{
		"": "it is empty: a host that runs nothing has [] in it", " \n": "it is empty", "null": "it has null where a list belongs",
		`{"Service": {}}`: `line 1, column 1: there is a JSON object where a list of services, or one of them, belongs: write [{"Service"`,
		"[\n  1]":         "line 2, column 3: there is a JSON number",
		"[{\"Service\": {\"Name\": \"ü\", \"Ports\": [{\"Port\": 1},\n ]}}]":    "line 2, column 2: the comma before it has nothing after it",
		"[{\"Service\": {\"Name\": \"ü\",}}]":                                   "line 1, column 27: the comma before it has nothing after it",
		"[{\"Service\"":                                                         "line 1, column 11: it ends before the list does",
		"[{\"Service\": {Name: 1}}]":                                            "line 1, column 15: it is no JSON: invalid character 'N'",
		"[]\n\n  []":                                                            "line 3, column 3: there is something after the list",
		"[{\"Service\": {\"Name\": \"a\"},\n \"Chekc\": {}}]":                   `line 2, column 2: there is no field "Chekc"`,
		"[{\"Service\": {\"Name\": \"a\",\n \"Ports\": [{\"Port\": \"80\"}]}}]": "line 2, column 24: Service.Ports.Port cannot be a JSON string",
		`[{"Service": {"Name": "_"}}]`:                                          `service 1 ("_"): its Service.Name is missing`,
	} {
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), path+": "+want) {
			t.Errorf("%q: %v, to say %q", file, err, want)
		}
	}
	if err := os.WriteFile(path, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		t.Errorf("nothing yet: %v", err)
	}
}

func TestAFileIsReadAsEditorsWriteIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "services.json")
	s := &Source{Path: path}
	for name, text := range map[string]string{"mark": "\ufeff[]", "carriage returns": "[\r\n]\r\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsNoFileIsNotRead(t *testing.T) {
	folder := t.TempDir()
	pipe, large := filepath.Join(folder, "pipe"), filepath.Join(folder, "large")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, mostBytes+1); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{folder: "no file with services", pipe: "no file with services", large: "may have 33554432"} {
		if err := (&Source{Path: path}).Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A file that is gone, or half written, changes nothing.
func TestWhatAFileSaidLastStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "services.json")
	write := func(text string) {
		beside := path + ".new"
		if err := os.WriteFile(beside, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(beside, path); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := &Source{Path: path, Address: netip.MustParseAddr("10.0.0.1"), Logger: slog.New(slog.NewTextHandler(&log, nil))}
		var found [][]hosts.Service
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx, func(list []hosts.Service) { found = append(found, list) }) }()
		step := func(text string) {
			if text == "" {
				_ = os.Remove(path)
			} else {
				write(text)
			}
			time.Sleep(3*lookAgain + lookAgain/2) // never at the moment of a look
		}
		time.Sleep(lookAgain / 2)
		step("")
		step(list)
		step(list[:40])
		step("")
		step(list)
		step("[]")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(found) != 2 || len(found[0]) != 4 || len(found[1]) != 0 {
			t.Errorf("found %v", found)
		}
		if told := strings.Count(log.String(), "level=WARN"); told != 3 {
			t.Errorf("a file that is gone, one that makes no sense, one that is gone again: told %d times\n%s", told, log.String())
		}
	})
}
