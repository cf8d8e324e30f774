package azure

import (
	"net/http"
	"time"
)

// Hasten has a source make failed requests again at once, because tests do not wait.
func Hasten(s *Source) { s.options.Retry.RetryDelay = time.Millisecond }

// Through has a source log in by a client that trusts a server of a test.
func Through(s *Source, client *http.Client) { s.login.through = client }
