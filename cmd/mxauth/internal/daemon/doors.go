package daemon

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/exim"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/socketmap"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// A server is one door: what listeners are handed to.
type server interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close()
}

// formOf is the form of the replies of a map.
func formOf(m string) mtapolicy.Form {
	switch m {
	case "QUERYwithTLSRPT":
		return mtapolicy.Extended
	case "sts":
		return mtapolicy.Sendmail
	}
	return mtapolicy.Plain
}

// maps adds the configured names to those that every listener knows.
func maps(l settings.Listen) map[string]string {
	out := map[string]string{}
	for _, name := range settings.Maps {
		out[name] = name
	}
	for alias, name := range l.Maps {
		out[alias] = name
	}
	return out
}

// tableHandler answers socketmap requests.
type tableHandler struct{ answers *answers.Answers }

func (h tableHandler) Cached(m string, key []byte, now time.Time) (socketmap.Reply, bool) {
	kind, text, ok := h.answers.Cached(formOf(m), key, now)
	return tableReply(kind, text), ok
}

func (h tableHandler) Answer(ctx context.Context, m, key string) socketmap.Reply {
	r := h.answers.Answer(ctx, formOf(m), key)
	return tableReply(r.Kind, r.Text)
}

// tableReply is a reply in the words of the protocol. A found reply without a text would
// defer the domain, as would an unknown word.
func tableReply(kind mtapolicy.Kind, text string) socketmap.Reply {
	switch {
	case kind == mtapolicy.Found && text != "":
		return socketmap.Reply{Status: socketmap.OK, Text: text}
	case kind == mtapolicy.NotFound:
		return socketmap.Reply{Status: socketmap.NotFound}
	}
	return socketmap.Reply{Status: socketmap.Temp, Text: text}
}

// newDoor makes the server of a listener.
func (d *Daemon) newDoor(l settings.Listen) (server, error) {
	a, log := d.c.Answers, d.c.Logger
	switch l.Door {
	case "socketmap":
		return socketmap.New(socketmap.Config{Handler: tableHandler{a}, Maps: maps(l), MaxConns: d.c.Settings.MaxConnections, Now: d.c.Now, Logger: log}), nil
	case "exim":
		return exim.New(exim.Config{Answer: a.AnswerHost, Logger: log}), nil
	case "http":
		if d.c.HTTP != nil {
			return d.c.HTTP(l), nil
		}
	}
	return nil, fmt.Errorf("no such door: %q", l.Door)
}

// drainTime is how long a shutdown waits for the answers under way.
const drainTime = 10 * time.Second
