package azure

import "time"

// Hasten has a source make failed requests again at once, because tests do not wait.
func Hasten(s *Source) {
	s.retry.RetryDelay = time.Millisecond
	s.options.Retry = s.retry
}
