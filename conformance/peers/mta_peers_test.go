package peers_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMTA sends a real message to each of the deliveries with the example of a sending MTA,
// docs/examples/send, and looks into Postfix's log: it arrives where it may go, over each
// method, and nothing but a conversation arrives where it must not.
func TestMTA(t *testing.T) {
	w := start(t)
	send := filepath.Join(t.TempDir(), "send")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", send, "github.com/mxauth/mxauth/docs/examples/send").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, d := range deliveries {
		t.Run(d.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			from := d.name + "@sender.example"
			cmd := exec.CommandContext(ctx, send, "-resolver", plainAddress, "-trust-anchor", w.anchor, "-ca-file", w.ca, "-allow-address", "127.0.0.0/8",
				"-helo", "out.sender.example", "-from", from, "rcpt@"+d.name+".test")
			cmd.Stdin = strings.NewReader("From: <" + from + ">\nSubject: " + d.name + "\n\nA real message.\n")
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if delivered := cmd.ProcessState.ExitCode() == 0; delivered != d.want.Deliver {
				t.Fatalf("%v, %s; may be delivered: %v", err, out, d.want.Deliver)
			}
			if bounces, want := strings.HasPrefix(string(out), "bounce: "), d.want.Outcome == "bounced"; bounces != want {
				t.Errorf("%s, and the domain is %s", out, d.want.Outcome)
			}
			line := "from=<" + from + ">"
			if d.want.Deliver {
				w.postfix.WaitFor(t, "the message in Postfix's log", func(context.Context) error {
					if !strings.Contains(w.postfix.Output(), line) {
						return fmt.Errorf("no %s yet", line)
					}
					return nil
				})
				return
			}
			if strings.Contains(w.postfix.Output(), line) {
				t.Errorf("Postfix was given a message that must not go: %s", out)
			}
		})
	}
}
