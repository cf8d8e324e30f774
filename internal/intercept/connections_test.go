package intercept_test

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/internal/intercept"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// TestWhoseConnectionsAreRedirected, by each backend: real ones, of users and groups,
// to another machine over IPv4 and IPv6.
func TestWhoseConnectionsAreRedirected(t *testing.T) {
	if !alone(t) {
		return
	}
	proxy, err := net.Listen("tcp", ":15002") // the first, so that this process knows that there is IPv6
	if err != nil {
		t.Fatal(err)
	}
	says(t, proxy, "the proxy")
	other := beside(t, 1)
	for _, port := range []string{"8080", "9090"} {
		var far net.Listener
		if err := other.Do(func() (err error) { far, err = net.Listen("tcp", ":"+port); return err }); err != nil {
			t.Fatal(err)
		}
		says(t, far, "the other machine")
	}
	connects := func(user, group, address, port string) string {
		t.Helper()
		said, err := exec.Command("setpriv", "--reuid", user, "--regid", group, "--clear-groups",
			"timeout", "5", "bash", "-c", "exec 3<>/dev/tcp/"+address+"/"+port+" && cat <&3").CombinedOutput()
		if err != nil {
			return err.Error() + ": " + string(said)
		}
		return string(said)
	}
	const proxied, itself = "the proxy", "the other machine"
	for name, test := range map[string]struct {
		change func(*intercept.Config)
		want   map[string]string // of "user group port"
	}{
		"everybody": {func(*intercept.Config) {}, map[string]string{"1000 1000 8080": proxied, "0 0 8080": proxied, "1337 1337 8080": itself}},
		"but a user": {func(c *intercept.Config) { c.ExcludeUsers = []uint32{0, 1001} }, map[string]string{
			"1000 1000 8080": proxied, "0 0 8080": itself, "1001 1000 8080": itself, "1337 1337 8080": itself,
		}},
		"but a group":    {func(c *intercept.Config) { c.ExcludeGroups = []uint32{50} }, map[string]string{"1000 1000 8080": proxied, "1000 50 8080": itself}},
		"but a port":     {func(c *intercept.Config) { c.ExcludeOutbound = []mesh.Port{9090} }, map[string]string{"1000 1000 8080": proxied, "1000 1000 9090": itself}},
		"an interface":   {func(c *intercept.Config) { c.ExcludeInterfaces = []string{"side*"} }, map[string]string{"1000 1000 8080": itself}},
		"another":        {func(c *intercept.Config) { c.ExcludeInterfaces = []string{"side"} }, map[string]string{"1000 1000 8080": proxied}},
		"only a user":    {func(c *intercept.Config) { c.OnlyUsers = []uint32{1000} }, map[string]string{"1000 1 8080": proxied, "1001 1 8080": itself, "0 0 8080": itself}},
		"or a group":     {func(c *intercept.Config) { c.OnlyUsers, c.OnlyGroups = []uint32{1000}, []uint32{50} }, map[string]string{"1000 1 8080": proxied, "1001 50 8080": proxied, "1001 1 8080": itself}},
		"save the proxy": {func(c *intercept.Config) { c.OnlyGroups = []uint32{50} }, map[string]string{"1337 50 8080": itself, "1000 50 8080": proxied}},
	} {
		for _, backend := range backends {
			c := usual()
			test.change(&c)
			if err := kernelBy(backend).Install(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			for who, want := range test.want {
				words := strings.Fields(who)
				for _, address := range []string{"10.79.1.2", "fd79:1::2"} {
					if got := connects(words[0], words[1], address, words[2]); got != want {
						t.Errorf("%s, %s: %s to %s reaches %q, not %q", name, backend, who, address, got, want)
					}
				}
			}
			if err := kernelBy(backend).Remove(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := connects("1000", "1000", "10.79.1.2", "8080"); got != itself {
				t.Errorf("%s, removed: %q", backend, got)
			}
		}
	}
}
