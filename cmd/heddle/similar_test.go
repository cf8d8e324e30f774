package main

import "testing"

func TestDidYouMean(t *testing.T) {
	names := []string{"orders", "payments", "web", "a"}
	for word, want := range map[string]string{
		"ordres":  `did you mean "orders"?`,
		"Orders":  `did you mean "orders"?`,
		"order":   `did you mean "orders"?`,
		"wbe":     `did you mean "web"?`,
		"orders":  "",
		"reviews": "",
		"x":       "",
		"":        "",
	} {
		if got := didYouMean(word, names); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
