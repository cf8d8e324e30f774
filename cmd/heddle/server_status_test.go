package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/cmd/internal/cli"
	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/present"
	"github.com/heddle-mesh/heddle/internal/server"
	"github.com/heddle-mesh/heddle/internal/xds"
)

func TestProxiesWithOneIDAreAProblem(t *testing.T) {
	stream := func(node, address, transport string) xds.ProxyStatus {
		return xds.ProxyStatus{Node: node, Address: address, Transport: xds.Transport(transport)}
	}
	got := duplicates([]xds.ProxyStatus{
		stream("hello/dup", "10.0.0.2:5", "delta"), stream("hello/dup", "10.0.0.1:5", "delta"), stream("hello/one", "10.0.0.1:6", "delta"),
		// One proxy with separate services.
		stream("hello/apart", "10.0.0.3:1", "cds"), stream("hello/apart", "10.0.0.3:1", "eds"), stream("hello/apart", "10.0.0.3:2", "lds"),
		// One gRPC client that calls two services.
		{Node: "hello/grpc", Scope: "hello.proxyless", Address: "10.0.0.4:1"}, {Node: "hello/grpc", Scope: "hello.proxyless", Address: "10.0.0.4:2"},
	})
	const tail = ": give each workload an --instance of its own (a connection that was cut may count for 40 s more)"
	want := []server.Problem{{Object: "instance/hello/dup", Message: "two proxies are connected as hello/dup, from 10.0.0.1:5 and 10.0.0.2:5" + tail}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if three := duplicates([]xds.ProxyStatus{stream("a/b", "1", "delta"), stream("a/b", "2", "delta"), stream("a/b", "3", "delta")}); len(three) != 1 || !strings.Contains(three[0].Message, "3 proxies are connected as a/b, from 1, 2 and 3") {
		t.Errorf("three: %+v", three)
	}
}

func TestStatusMarksProxiesWithOneID(t *testing.T) {
	proxy := func(node, address string) proxyStatus {
		return proxyStatus{Proxy: client.Proxy{Node: node, Address: address, Transport: "delta"}}
	}
	grpc, grpc2 := proxy("hello/grpc", "10.0.0.4:1"), proxy("hello/grpc", "10.0.0.4:2")
	grpc.Scope, grpc2.Scope = "hello.proxyless", "hello.proxyless"
	var out bytes.Buffer
	if err := proxiesTable(present.Palette{}, rowsOf([]proxyStatus{proxy("hello/dup", "10.0.0.1:5"), proxy("hello/dup", "10.0.0.2:5"), proxy("hello/one", "10.0.0.1:6"), grpc, grpc2})).Write(&out); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Count(text, "(twice: from ") != 2 || !strings.Contains(text, "hello/dup (twice: from 10.0.0.2:5)") || strings.Contains(text, "hello/one (") {
		t.Errorf("the table:\n%s", text)
	}
}

// The two ports of a server are easily mixed up.
func TestServerFlagAtTheXDSPortIsExplained(t *testing.T) {
	s := newSession(t)
	var out, problems bytes.Buffer
	code := run(t.Context(), []string{"status", "--server", "http://" + s.server.xds}, strings.NewReader(""), &out, &problems)
	if code != cli.ExitUnavailable || !strings.Contains(problems.String(), "is not a Heddle REST API: is it the xDS port?") || strings.Contains(problems.String(), "x00") {
		t.Errorf("exit code %d: %s", code, problems.String())
	}
	page := httptest.NewServer(http.NotFoundHandler())
	defer page.Close()
	for _, command := range [][]string{{"status"}, {"get", "service", "web"}} {
		problems.Reset()
		code := run(t.Context(), append(command, "--server", page.URL), strings.NewReader(""), &out, &problems)
		if code != cli.ExitUnavailable || !strings.Contains(problems.String(), "is not a Heddle REST API") {
			t.Errorf("%s at any web server: exit code %d: %s", command, code, problems.String())
		}
	}
}

// silent is a server that takes requests and never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// The first thing that is looked at when something hangs must not hang as long.
func TestStatusOfAServerThatHangsIsSoonTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, err := client.New(client.Config{Address: "http://127.0.0.1:7080", HTTPClient: &http.Client{Transport: silent{}}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		err = (&statusCmd{Output: "table"}).Run(t.Context(), api, &cli.Console{})
		if took := time.Since(began); cli.ExitCode(err) != cli.ExitUnavailable || !strings.Contains(err.Error(), "did not answer in time") || took > 5*time.Second {
			t.Errorf("after %s: %v", took, err)
		}
	})
}
