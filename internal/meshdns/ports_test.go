package meshdns

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

func TestQueriesComeFromPortsThatNobodyIsGiven(t *testing.T) {
	for _, test := range []struct {
		text string
		want sourcePorts
	}{
		{"32768\t60999\n", sourcePorts{first: 61000, count: 4536}},
		{"1024\t64511\n", sourcePorts{first: 64512, count: 1024}},
		{"1024\t65000\n", sourcePorts{}}, // too few are left
		{"1024\t65535\n", sourcePorts{}},
		{"nonsense", sourcePorts{}},
		{"", sourcePorts{}},
		{"5", sourcePorts{}},
		{"-5 -4", sourcePorts{}},
	} {
		file := filepath.Join(t.TempDir(), "range")
		if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readSourcePorts(file); got != test.want {
			t.Errorf("%q: %+v, want %+v", test.text, got, test.want)
		}
	}
	if got := readSourcePorts("/does/not/exist"); got != (sourcePorts{}) {
		t.Errorf("without a file: %+v", got)
	}
}

func TestAPortThatIsTakenIsNotWaitedFor(t *testing.T) {
	taken, err := net.ListenUDP("udp", &net.UDPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.LocalAddr().(*net.UDPAddr).Port
	resolver := netip.MustParseAddrPort("127.0.0.1:53")
	one, err := sourcePorts{first: port, count: 1}.dial(t.Context(), "udp", resolver)
	if err != nil {
		t.Fatalf("the only port is taken: %v", err)
	}
	defer one.Close()
	if got := addressOf(one.LocalAddr()).Port(); int(got) == port {
		t.Errorf("from the port of another: %d", got)
	}
}
