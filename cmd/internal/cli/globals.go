package cli

import (
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/heddle-mesh/heddle/internal/client"
	"github.com/heddle-mesh/heddle/internal/mesh"
)

// Globals are the flags that every command takes.
type Globals struct {
	Server    string   `group:"globals" env:"HEDDLE_SERVER" default:"http://127.0.0.1:7080" placeholder:"URL" help:"The server's REST API."`
	Token     string   `group:"globals" env:"HEDDLE_TOKEN" placeholder:"TOKEN" help:"Access token; writes need one. Other users of this machine can see flags: better use HEDDLE_TOKEN or --token-file."`
	TokenFile filePath `group:"globals" env:"HEDDLE_TOKEN_FILE" complete:"files" placeholder:"FILE" help:"File that holds the access token."`
	LogLevel  string   `group:"globals" enum:"debug,info,warn,error" default:"info" help:"Least level of the log lines on standard error: debug, info, warn or error."`
	LogFormat string   `group:"globals" enum:"text,json" default:"text" help:"Format of the log lines: text or json."`
}

// filePath is a file's name with "~" expanded. Unlike kong's type "path", an
// empty one (an environment variable that is set to nothing) stays empty.
type filePath string

// Decode reads the name for kong.
func (p *filePath) Decode(ctx *kong.DecodeContext) error {
	var name string
	if err := ctx.Scan.PopValueInto("file", &name); err != nil {
		return err
	}
	if name != "" {
		name = kong.ExpandPath(name)
	}
	*p = filePath(name)
	return nil
}

// Logger writes the log of a long-running command.
func (g *Globals) Logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(g.LogLevel)) // the enum lets only levels through
	options := &slog.HandlerOptions{Level: level}
	if g.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// ReadToken gives the access token, or "" when none was given.
func (g *Globals) ReadToken() (string, error) {
	if g.Token != "" || g.TokenFile == "" {
		return strings.TrimSpace(g.Token), nil
	}
	data, err := os.ReadFile(string(g.TokenFile))
	if err != nil {
		return "", &mesh.Error{Kind: mesh.KindInvalid, Message: "read the access token (--token-file, HEDDLE_TOKEN_FILE)", Err: err}
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", &mesh.Error{Kind: mesh.KindInvalid, Message: "the token file " + string(g.TokenFile) + " is empty"}
	}
	return token, nil
}

// Connect makes the client of the server that the flags name.
func (g *Globals) Connect() (*client.Client, error) {
	token, err := g.ReadToken()
	if err != nil {
		return nil, err
	}
	return g.ConnectWith(client.Config{Token: token})
}

// ConnectWith adds to a client's settings which server it is of.
func (g *Globals) ConnectWith(cfg client.Config) (*client.Client, error) {
	cfg.Address, cfg.UserAgent = g.Server, "heddle-cli"
	c, err := client.New(cfg)
	if err != nil {
		return nil, &UsageError{Message: err.Error()}
	}
	return c, nil
}
