// Package calltest sends requests for tests exactly as these write them.
package calltest

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// Send sends a request, and follows no redirects; headers are "Name: value". It
// gives the answer's status and headers, and what is in its body.
func Send(t testing.TB, through http.RoundTripper, method, url, body string, headers ...string) (status int, header http.Header, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range headers {
		name, value, _ := strings.Cut(one, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	response, err := through.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(data)
}
