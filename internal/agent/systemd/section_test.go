package systemd

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/heddle-mesh/heddle/internal/hosts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var host = netip.MustParseAddr("10.0.0.1")

func TestSectionsOfUnits(t *testing.T) {
	for name, c := range map[string]struct {
		unit  string
		files []string
		want  hosts.Service
	}{
		"all that is said": {"shop-orders.service", []string{`
[Unit]
Description=Port=1
[Service]
ExecStart=/bin/sh -c 'exec \
  orders' # Name=no
  [X-Heddle]
# a comment, and its end \
Name = Orders API
Image=orders 7
Mode=grpc
Port=10234 10235/tcp
Port=53/udp
ServicePort=9001 0 53
Check=HttpGet
CheckArgs=http://{{host}}:{{tcp 9001}}/a%%20b\
  # a comment within
  ?x=1
Interval=5s
Timeout=500ms
Healthy=2
Unhealthy=3
Initial=healthy
[Install]
Name=no
`}, hosts.Service{
			Name: "Orders API", Image: "orders 7", Mode: hosts.GRPCMode,
			Ports: []hosts.Port{{Port: 10234, ServicePort: 9001}, {Type: "tcp", Port: 10235}, {Type: "udp", Port: 53, ServicePort: 53}},
			Check: hosts.Check{Kind: hosts.CheckHTTP, Args: "http://{{host}}:{{tcp 9001}}/a%20b   ?x=1", Interval: 5 * time.Second, Timeout: 500 * time.Millisecond, Healthy: 2, Unhealthy: 3, Initial: hosts.Healthy},
		}},
		"nothing is said": {"a.service", []string{"[X-Heddle]"}, hosts.Service{Name: "a"}},
		"an instance":     {"orders@8081.service", []string{"[X-Heddle]\nPort=%i\nServicePort=9001\nImage=%p %N %n"}, hosts.Service{Name: "orders", Image: "orders orders@8081 orders@8081.service", Ports: []hosts.Port{{Port: 8081, ServicePort: 9001}}}},
		"a socket":        {"web.socket", []string{"[X-Heddle]\r\nPort=80\r\nCheck=none\r\nCheckArgs=unheeded"}, hosts.Service{Name: "web", Ports: []hosts.Port{{Port: 80}}, Check: hosts.Check{Kind: hosts.CheckNone}}},
		"drop-ins": {"a.service", []string{"[X-Heddle]\nName=one\nMode=tcp\nPort=1 2\nServicePort=3", "[Service]\nX=1", "[X-Heddle]\nName=two\nMode=\nPort=\nPort=7"},
			hosts.Service{Name: "two", Ports: []hosts.Port{{Port: 7, ServicePort: 3}}}},
		"a drop-in alone": {"a.service", []string{"[Service]", "[X-Heddle]\nPort=1"}, hosts.Service{Name: "a", Ports: []hosts.Port{{Port: 1}}}},
	} {
		c.want.ID, c.want.Address = c.unit, host
		var files []file
		for _, text := range c.files {
			files = append(files, file{"/etc/a", []byte(text)})
		}
		got, is, err := service(c.unit, files, host)
		if diff := cmp.Diff(c.want, got, cmpopts.EquateComparable(netip.Addr{})); !is || err != nil || diff != "" {
			t.Errorf("%s: %v %v\n%s", name, is, err, diff)
		}
	}
	for _, text := range []string{"", "[Service]\nX-Heddle=1", "# [X-Heddle]", `[Service]
A=b \
[X-Heddle]`, "[X-Heddle ]x"} {
		if got, is, err := service("a.service", []file{{"/etc/a", []byte(text)}}, host); is || err != nil {
			t.Errorf("%q is taken for a service: %v %v", text, got, err)
		}
	}
}

// What is wrong is told with its file and line, all at once, and makes no service.
func TestSectionsThatMakeNoSense(t *testing.T) {
	for text, want := range map[string]string{
		"Title=a": `there is no "Title"`, "name=a": `there is no "name"`, "Name": "is no KEY=VALUE", "=x": "is no KEY=VALUE", "Name=_": "neither letters nor digits",
		"Name=" + strings.Repeat("a", maxText+1): "more than 63 bytes", "Image=" + strings.Repeat("a", maxImage+1): "more than 255 bytes", "Name=\xff": "is no UTF-8",
		"Port=" + strings.Repeat(" ", maxValue) + "1": "", "CheckArgs=" + strings.Repeat("a", maxValue+1): "more than 4096 bytes",
		"Port=0": `Port "0" is no port from 1`, "Port=65536": "is no port", "Port=80:90": "is no port", "Port=http": "is no port", "Port=1/sctp": "neither tcp nor udp", "Port=1 2 1/tcp": "there twice",
		"ServicePort=1": "has no Port that it is for", "Port=1\nServicePort=x": "is no port from 0", "Port=%x": `has "%x"`, "Port=%": `has "%"`, "Mode=smtp": "none of http, tcp, ws",
		"Check=smtp": "none of http", "Check=engine": "is for containers", "Check=exec": "needs a command in CheckArgs", "CheckArgs=/": "needs a Check beside it",
		"Interval=3": "is no time from", "Interval=1ms": "is no time from", "Timeout=2h": "is no time from", "Interval=1s\nTimeout=2s": "Timeout 2s is longer than the Interval",
		"Healthy=0": "no number from 1", "Unhealthy=many": "no number from 1", "Initial=ill": "none of healthy",
	} {
		got, is, err := service("a.service", []file{{"/etc/a", []byte("[X-Heddle]\n" + text)}}, host)
		switch {
		case want == "" && err == nil:
		case !is || err == nil:
			t.Errorf("%.60q is taken as %v", text, got)
		case !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "/etc/a:"):
			t.Errorf("%.60q: %v, to have %q and the line", text, err, want)
		}
	}
	_, _, err := service("a.service", []file{{"/etc/a", []byte("[X-Heddle]\nPort=x\n\nMode=y")}, {"/etc/a.d/b.conf", []byte("[X-Heddle]\nPort=z")}}, host)
	if want := "/etc/a:4: Mode \"y\" is none of http, tcp, ws, http2, grpc; /etc/a:2: Port \"x\" is no port from 1 to 65535; /etc/a.d/b.conf:2: Port \"z\" is no port from 1 to 65535"; err == nil || err.Error() != want {
		t.Errorf("%v\nto be\n%s", err, want)
	}
}

func FuzzSection(f *testing.F) {
	f.Add("a@1.service", "[X-Heddle]\nName=%i\nPort=1 2/udp\nServicePort=3\\\n 4\nCheck=http", "[X-Heddle]\nPort=")
	f.Fuzz(func(t *testing.T, unit, own, more string) {
		one, is, err := service(unit, []file{{"/etc/a", []byte(own)}, {"/etc/b", []byte(more)}}, host)
		if !is && err != nil {
			t.Errorf("a unit without a section is complained of: %v", err)
		}
		if !is || err != nil {
			return
		}
		if hosts.MeshName(one.Name) == "" || len(one.Name) > maxText || len(one.Ports) > maxPorts {
			t.Errorf("it is taken as %v", one)
		}
		body, err := one.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := hosts.Decode(body); err != nil && strings.ToValidUTF8(unit, "") == unit || err == nil && again.Name != one.Name {
			t.Errorf("other hosts read %v (%v), to be %v", again, err, one)
		}
	})
}
