package attest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Callers of many addresses that show no token, or say what is no request, take nothing
// of what pods may ask of the API server together.
func TestFloodsWithoutTokensTakeNothingOfPods(t *testing.T) {
	away, err := kubernetes.NewForConfig(&rest.Config{Host: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	attestor := New(Config{Cluster: "prod", Kubernetes: away, Now: func() time.Time { return begin }})
	ask := func(from, authorization, body string) int {
		request := httptest.NewRequest(http.MethodPost, Path, strings.NewReader(body))
		request.RemoteAddr = from + ":40000"
		request.Header.Set("Authorization", authorization)
		recorder := httptest.NewRecorder()
		attestor.ServeHTTP(recorder, request)
		return recorder.Code
	}
	for n := range 2 * burst {
		from := fmt.Sprintf("10.1.%d.%d", n/200, n%200)
		if n%2 == 0 {
			if status := ask(from, "", "{}"); status != http.StatusUnauthorized {
				t.Fatalf("without a token: %d", status)
			}
		} else if status := ask(from, "Bearer x", "{"); status != http.StatusBadRequest {
			t.Fatalf("with half a body: %d", status)
		}
	}
	if status := ask("10.9.8.7", "Bearer x", `{"service":"web","instance":"web-1.shop.prod"}`); status != http.StatusServiceUnavailable {
		t.Errorf("a pod after the flood: %d, where the API server was to be asked, which is away", status)
	}
}
