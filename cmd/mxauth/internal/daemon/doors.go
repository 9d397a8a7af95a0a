package daemon

import (
	"context"
	"fmt"
	"log/slog"
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

// Forms of the maps of a socketmap listener.
var forms = map[string]mtapolicy.Form{
	"QUERY":           mtapolicy.Plain,
	"QUERYwithTLSRPT": mtapolicy.Extended,
	"sts":             mtapolicy.Sendmail,
}

// maps puts the configured names beside those that every listener knows.
func maps(l settings.Listen) map[string]string {
	out := map[string]string{}
	for name := range forms {
		out[name] = name
	}
	for alias, name := range l.Maps {
		out[alias] = name
	}
	return out
}

// tableHandler answers socketmap requests.
type tableHandler struct{ answers *answers.Answers }

func (h tableHandler) Cached(m string, key []byte) (socketmap.Reply, bool) {
	r, ok := h.answers.Cached(forms[m], key)
	if !ok {
		return socketmap.Reply{}, false
	}
	return tableReply(r), true
}

func (h tableHandler) Answer(ctx context.Context, m, key string) socketmap.Reply {
	r := h.answers.Answer(ctx, forms[m], key)
	return tableReply(&r)
}

// tableReply is a reply in the words of the protocol. A found reply without a text would
// defer the domain, as would an unknown word.
func tableReply(r *mtapolicy.Reply) socketmap.Reply {
	switch {
	case r.Kind == mtapolicy.Found && r.Text != "":
		return socketmap.Reply{Status: socketmap.OK, Text: r.Text}
	case r.Kind == mtapolicy.NotFound:
		return socketmap.Reply{Status: socketmap.NotFound}
	}
	return socketmap.Reply{Status: socketmap.Temp, Text: r.Text}
}

// newDoor makes the server of a listener.
func newDoor(l settings.Listen, a *answers.Answers, max int, log *slog.Logger) (server, error) {
	switch l.Door {
	case "socketmap":
		return socketmap.New(socketmap.Config{Handler: tableHandler{a}, Maps: maps(l), MaxConns: max, Logger: log}), nil
	case "exim":
		return exim.New(exim.Config{Answer: a.AnswerHost, Logger: log}), nil
	}
	return nil, fmt.Errorf("no such door: %q", l.Door)
}

// drainTime is how long a shutdown waits for the answers under way.
const drainTime = 10 * time.Second
