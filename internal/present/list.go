package present

import (
	"fmt"
	"strings"
)

// CutList joins names, and of many tells the first ones and how many more there are.
func CutList(names []string) string {
	const most, width = 8, 100
	shown, length := 0, 0
	for shown < len(names) && shown < most && (shown == 0 || length+len(names[shown]) < width) {
		length += len(names[shown]) + 1
		shown++
	}
	text := strings.Join(names[:shown], ",")
	if more := len(names) - shown; more > 0 {
		text += fmt.Sprintf(",+%d more", more)
	}
	return text
}
