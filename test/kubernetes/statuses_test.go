package kubernetes_test

import (
	"strings"
	"testing"
	"time"
)

// A status that somebody else writes over is put right at once: what the operator looks
// at by itself, it does after 45 s or more.
func TestAStatusThatIsWrittenOverIsPutRight(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	own := c.Namespace(t)
	c.Apply(t, meshService(own, "overwritten", "x"))
	w.awaitCondition(own, "meshservice/overwritten", "EndpointsFound", "False NoService")
	began := time.Now()
	if out, err := c.Kubectl(t, "", "patch", "-n", own, "meshservice", "overwritten", "--subresource", "status", "--type", "merge", "-p",
		`{"status":{"conditions":[{"type":"Accepted","status":"False","reason":"Mine","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`); err != nil {
		t.Fatal(out, err)
	}
	w.awaitCondition(own, "meshservice/overwritten", "Programmed", "True NoProxies")
	w.awaitCondition(own, "meshservice/overwritten", "Accepted", "True Accepted")
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
}

// An object that is deleted while the server is away says why it is there still.
func TestADeletionThatWaitsSaysWhy(t *testing.T) {
	c := cluster(t)
	w := join(t, c)
	own := c.Namespace(t)
	c.Apply(t, meshService(own, "hangs", "x"))
	w.awaitCondition(own, "meshservice/hangs", "Programmed", "True")
	for i, one := range w.server.Arguments { // it comes back where it was
		if one == "--listen" {
			w.server.Arguments[i+1] = strings.TrimPrefix(w.server.said["rest"], "http://")
		}
	}
	w.server.Kill()
	if out, err := c.Kubectl(t, "", "delete", "--wait=false", "-n", own, "meshservice", "hangs"); err != nil {
		t.Fatal(out, err)
	}
	for _, kind := range []string{"Accepted", "Programmed"} {
		w.awaitCondition(own, "meshservice/hangs", kind, "False NotRemoved: it is deleted, and waits for the registry, which still has it (finalizer heddle.io/registry): ")
	}
	w.server.Run()
	w.server.awaitReady()
	awaits(t, "be gone", func() (bool, string) {
		out, err := c.Kubectl(t, "", "get", "-n", own, "meshservice", "hangs", "--ignore-not-found", "-o", "name")
		return err == nil && out == "", out
	})
}
