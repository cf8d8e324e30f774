package ui

import (
	"net/http"
	"time"
)

const themeCookie = "heddle_theme"

// theme is what a reader chose: light, dark, or "" for what the system says.
func theme(r *http.Request) string {
	cookie, err := r.Cookie(themeCookie)
	if err == nil && (cookie.Value == "light" || cookie.Value == "dark") {
		return cookie.Value
	}
	return ""
}

// chooseTheme keeps a choice for a year.
func (u *UI) chooseTheme(r *request) (*answer, error) {
	cookie := &http.Cookie{Name: themeCookie, Path: "/ui/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: -1}
	if chosen := r.PostForm.Get("theme"); chosen == "light" || chosen == "dark" {
		cookie.Value, cookie.MaxAge = chosen, int((365 * 24 * time.Hour).Seconds())
	}
	http.SetCookie(r.writer, cookie)
	return &answer{To: ours(r.PostForm.Get("next"))}, nil
}
