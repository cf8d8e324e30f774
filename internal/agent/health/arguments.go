package health

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/internal/hosts"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// mostArgument is how many bytes the arguments of a check may have.
const mostArgument = 4 << 10

// named is what stands for something of the service or the host: Sidecar's functions, and
// no more of text/template, which could loop and print without end.
var named = regexp.MustCompile(`^\{\{\s*(?:(host|container)|(tcp|udp)\s+(\d{1,5}))\s*\}\}`)

// fill puts into a check's arguments what they name of the service and the host.
func fill(text string, s hosts.Service, host string) (string, error) {
	if len(text) > mostArgument {
		return "", fmt.Errorf("the arguments of its check have more than %d bytes", mostArgument)
	}
	var filled strings.Builder
	for {
		before, _, more := strings.Cut(text, "{{")
		filled.WriteString(before)
		if !more {
			return strings.TrimSpace(filled.String()), nil
		}
		text = text[len(before):]
		found := named.FindStringSubmatch(text)
		if found == nil {
			end, _, _ := strings.Cut(text, "}}")
			return "", fmt.Errorf("its check has %.40q, and knows {{host}}, {{container}}, {{tcp N}} and {{udp N}}", end+"}}")
		}
		text = text[len(found[0]):]
		switch found[1] {
		case "host":
			filled.WriteString(s.Address.String())
		case "container":
			filled.WriteString(host)
		default:
			number, _ := strconv.ParseUint(found[3], 10, 16) // what is no port is 0, as below
			port := s.PortFor(found[2], mesh.Port(number))
			if port == 0 {
				return "", fmt.Errorf("its check names the ServicePort %s of %s, which it has not", found[3], found[2])
			}
			fmt.Fprint(&filled, port)
		}
	}
}

// split gives the words of a command as a shell would, without all that a shell does
// beside: quotes keep spaces, and a backslash keeps the sign after it.
func split(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	within, quote, escaped := false, rune(0), false
	for _, r := range text {
		switch {
		case escaped:
			if quote == '"' && r != '"' && r != '\\' {
				word.WriteByte('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, within = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, within = r, true
		case r == ' ' || r == '\t' || r == '\n' || r == '\r':
			if within {
				words = append(words, word.String())
				word.Reset()
				within = false
			}
		default:
			word.WriteRune(r)
			within = true
		}
	}
	switch {
	case quote != 0:
		return nil, fmt.Errorf("its command has an opening %c and no closing one", quote)
	case escaped:
		return nil, errors.New("its command ends with a backslash")
	}
	if within {
		words = append(words, word.String())
	}
	return words, nil
}
