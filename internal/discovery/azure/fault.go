package azure

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/heddle-mesh/heddle/internal/discovery"
)

// told says what a call was for, why it failed, and what helps.
func told(what string, err error) error {
	answer := (*azcore.ResponseError)(nil)
	if !errors.As(err, &answer) {
		return fmt.Errorf("%s: %w", what, err)
	}
	text := fmt.Errorf("%s: Azure answered %d%s%s%w", what, answer.StatusCode, said(answer), helps(answer.StatusCode), quiet{err})
	if after := retryAfter(answer.RawResponse); after > 0 || answer.StatusCode == http.StatusTooManyRequests {
		return &discovery.Throttled{After: after, Err: text}
	}
	return text
}

// quiet is an error whose text is told already.
type quiet struct{ error }

func (quiet) Error() string { return "" }

func (q quiet) Unwrap() error { return q.error }

// said is Azure's code and message.
func said(answer *azcore.ResponseError) string {
	text := answer.ErrorCode
	if answer.RawResponse != nil {
		var body struct {
			Error struct {
				Code, Message string
				Details       []struct{ Message string }
			}
		}
		if data, err := runtime.Payload(answer.RawResponse); err == nil && json.Unmarshal(data, &body) == nil {
			message := body.Error.Message
			if len(body.Error.Details) > 0 {
				message += " " + body.Error.Details[0].Message
			}
			text = strings.TrimSpace(cmp.Or(body.Error.Code, text) + ": " + firstWords(message))
		}
	}
	if text = strings.TrimSuffix(text, ":"); text == "" {
		return ""
	}
	return " " + text
}

func firstWords(text string) string {
	const most = 400
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

func helps(status int) string {
	switch status {
	case http.StatusForbidden:
		return " (give the identity the role Reader there; with Reader on resource groups only, name them in resourceGroups and leave listing at resourceGraph)"
	case http.StatusUnauthorized:
		return " (the identity's token is not taken: see that tenant, cloud and audience are the subscription's)"
	default:
		return ""
	}
}

// refused says whether the identity's token was not taken.
func refused(err error) bool {
	answer := (*azcore.ResponseError)(nil)
	return errors.As(err, &answer) && answer.StatusCode == http.StatusUnauthorized
}

// retryAfter reads how long Azure wants to be left alone: Retry-After, or of Resource Graph
// the rest of its quota's window.
func retryAfter(answer *http.Response) time.Duration {
	if answer == nil {
		return 0
	}
	if after := discovery.RetryAfter(answer.Header); after > 0 {
		return after
	}
	if answer.StatusCode == http.StatusTooManyRequests {
		return window(answer.Header.Get("X-Ms-User-Quota-Resets-After"))
	}
	return 0
}

// window reads a time as 00:00:05.
func window(text string) time.Duration {
	var hours, minutes, seconds int
	if _, err := fmt.Sscanf(text, "%d:%d:%d", &hours, &minutes, &seconds); err != nil || hours < 0 || minutes < 0 || seconds < 0 {
		return 0
	}
	return min(time.Duration(hours)*time.Hour+time.Duration(minutes)*time.Minute+time.Duration(seconds)*time.Second, time.Hour)
}
