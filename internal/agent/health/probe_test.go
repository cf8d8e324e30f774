package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	grpchealth "google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/heddle-mesh/heddle/internal/heddletest"
	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = netip.MustParseAddr("127.0.0.1")

func at(address string) hosts.Service {
	where := netip.MustParseAddrPort(address)
	return hosts.Service{ID: "a", Name: "a", Address: where.Addr(), Ports: []hosts.Port{{Port: mesh.Port(where.Port()), ServicePort: 80}}}
}

// outcome makes a check once.
func outcome(t *testing.T, s hosts.Service, kind hosts.CheckKind, args string) string {
	t.Helper()
	ask, err := probeOf(s, hosts.Check{Kind: kind, Args: args}, "h1", []string{"PATH=" + os.Getenv("PATH")})
	if err != nil {
		return "never: " + err.Error()
	}
	return once(t.Context(), ask, 400*time.Millisecond)
}

func serves(t *testing.T) hosts.Service {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/bad", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	mux.HandleFunc("/hangs", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/half", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		for range 1 << 10 {
			fmt.Fprint(w, strings.Repeat("x", 1<<10))
		}
	})
	mux.Handle("/moved", http.RedirectHandler("/ok", http.StatusFound))
	mux.Handle("/away", http.RedirectHandler("http://127.0.0.9/", http.StatusFound))
	mux.Handle("/round", http.RedirectHandler("/round", http.StatusFound))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return at(server.Listener.Addr().String())
}

func refuses(t *testing.T) hosts.Service {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return at(listener.Addr().String())
}

func TestChecksOfHTTPAndTCP(t *testing.T) {
	web, closed := serves(t), refuses(t)
	none := hosts.Service{ID: "a", Address: loopback, Ports: []hosts.Port{{Type: "udp", Port: 53, ServicePort: 53}}}
	for _, c := range []struct {
		s          hosts.Service
		kind       hosts.CheckKind
		args, want string
	}{
		{web, hosts.CheckHTTP, "/ok", ""},
		{web, hosts.CheckHTTP, "http://{{host}}:{{tcp 80}}/ok", ""},
		{web, hosts.CheckHTTP, "http://{{ host }}:{{ tcp 80 }}/moved", ""},
		{web, hosts.CheckHTTP, "/long", ""},
		{web, hosts.CheckHTTP, "", "it answers 404 Not Found"},
		{web, hosts.CheckHTTP, "/bad", "it answers 500 Internal Server Error"},
		{web, hosts.CheckHTTP, "/away", "it redirects to another host"},
		{web, hosts.CheckHTTP, "/round", "it redirects without end"},
		{web, hosts.CheckHTTP, "/hangs", "no answer within 400ms"},
		{web, hosts.CheckHTTP, "/half", "no answer within 400ms"},
		{web, hosts.CheckHTTP, "ftp://a/", "never: what its check asks for is neither"},
		{web, hosts.CheckHTTP, "http://u:secret@127.0.0.1:1/", "connection refused"},
		{web, hosts.CheckHTTP, "/{{tcp 81}}", "never: its check names the ServicePort 81 of tcp, which it has not"},
		{web, hosts.CheckHTTP, "/{{range 99999999}}{{end}}", `never: its check has "{{range 99999999}}"`},
		{web, hosts.CheckHTTP, strings.Repeat("/", mostArgument+1), "never: the arguments of its check have more"},
		{none, hosts.CheckHTTP, "/", "never: it has no TCP port"},
		{web, hosts.CheckTCP, "", ""},
		{web, hosts.CheckTCP, "{{tcp 80}}", ""},
		{web, hosts.CheckTCP, "{{host}}:{{tcp 80}}", ""},
		{closed, hosts.CheckTCP, "", "connection refused"},
		{closed, hosts.CheckTCP, "0", `never: "0" is no port`},
		{closed, hosts.CheckTCP, "1/2", `never: "1/2" is no HOST:PORT`},
		{closed, hosts.CheckTCP, "a:b:c", `never: "a:b:c" is no HOST:PORT`},
		{none, hosts.CheckTCP, "", "never: it has no TCP port"},
		{none, "telepathy", "", "never: its check is of the unknown kind"},
	} {
		if got := outcome(t, c.s, c.kind, c.args); got != c.want && (c.want == "" || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s %.60s: %q, to be %q", c.kind, c.args, got, c.want)
		}
	}
}

func TestChecksOfGRPC(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, says := grpc.NewServer(), grpchealth.NewServer()
	healthv1.RegisterHealthServer(server, says)
	says.SetServingStatus("orders", healthv1.HealthCheckResponse_NOT_SERVING)
	done := make(chan error)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	s := at(listener.Addr().String())
	for args, want := range map[string]string{
		"": "", "{{host}}:{{tcp 80}}": "", "/orders": "it is NOT_SERVING", "/other": "it answers NotFound",
	} {
		if got := outcome(t, s, hosts.CheckGRPC, args); got != want {
			t.Errorf("%q: %q, to be %q", args, got, want)
		}
	}
	if got := outcome(t, refuses(t), hosts.CheckGRPC, ""); !strings.Contains(got, "refused") {
		t.Errorf("a port that nobody listens at: %q", got)
	}
}

func TestChecksByCommands(t *testing.T) {
	for args, want := range map[string]string{
		"true": "", "false": "exit status 1", "": "never: its check is a command, and none is given",
		`sh -c 'test "$0" = 127.0.0.1 && test "$1" = "a  b"' {{host}} "a  b"`: "",
		`sh -c "echo one; echo two >&2; exit 2"`:                              "exit status 2: two",
		`sh -c "head -c 1000000 /dev/zero; exit 3"`:                           "exit status 3",
		`sh -c 'sleep 60 & exit 0'`:                                           "", // what it leaves behind does not hold it up
		`sh -c 'sleep 60 & wait'`:                                             "no answer within 400ms",
		`echo $(false)`:                                                       "", `/no/such/program`: "no such file or directory",
		`sh -c 'open`: "never: its command has an opening ' and no closing one", `a\`: "never: its command ends with a backslash",
	} {
		if got := outcome(t, at("127.0.0.1:1"), hosts.CheckExec, args); got != want {
			t.Errorf("%s: %q, to be %q", args, got, want)
		}
	}
}

// Whatever a command has started is gone when its time is over.
func TestACommandLeavesNothingBehind(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	ask, err := probeOf(at("127.0.0.1:1"), hosts.Check{Kind: hosts.CheckExec, Args: fmt.Sprintf(`sh -c 'sleep 77 & echo $! $$ > %s; trap "" TERM; wait; sleep 77'`, pids)}, "h1", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := ask(ctx); err == nil {
		t.Error("it succeeded")
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(string(text)) {
		heddletest.Eventually(t, "the end of process "+pid, func() error {
			status, err := os.ReadFile("/proc/" + pid + "/status")
			if err == nil && !strings.Contains(string(status), "State:\tZ") {
				return errors.New("it runs")
			}
			return nil
		})
	}
}

func TestWordsOfACommand(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil, "  a  b\t c\n": {"a", "b", "c"}, `'' ""`: {"", ""}, `a'b c'd "e \"f\" \g"`: {"ab cd", `e "f" \g`}, `a\ b '\'`: {"a b", `\`},
	} {
		if got, err := split(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, to be %q (%v)", text, got, want, err)
		}
	}
}

func FuzzArguments(f *testing.F) {
	f.Add("http://{{host}}:{{tcp 80}}/{{container}} '{{udp 1}}'")
	f.Fuzz(func(t *testing.T, text string) {
		filled, err := fill(text, at("127.0.0.1:1"), "h1")
		if err == nil && len(filled) > 2*mostArgument {
			t.Errorf("%d bytes of %d", len(filled), len(text))
		}
		_, _ = split(filled)
		if got := hosts.ShortReason(text); len(got) > 120 || strings.ContainsAny(got, "\n\x00") || hosts.ShortReason(got) != got {
			t.Errorf("the reason %q", got)
		}
	})
}
