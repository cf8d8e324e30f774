package certificates

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// An API server that answers every write with a conflict is not asked for ever.
func TestConflictsAreBounded(t *testing.T) {
	var writes atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, reason := "404", "NotFound"
		if r.Method != http.MethodGet {
			writes.Add(1)
			status, reason = "409", "Conflict"
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(map[string]int{"404": http.StatusNotFound, "409": http.StatusConflict}[status])
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"` + reason + `","code":` + status + `}`))
	}))
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	k := New(Config{Client: client, Namespace: "heddle-system", Hosts: hosts, Lives: lives, Now: begin})
	if err := k.look(t.Context()); !apierrors.IsConflict(err) {
		t.Errorf("got %v", err)
	}
	if got := writes.Load(); got != 5 {
		t.Errorf("%d writes", got)
	}
}
