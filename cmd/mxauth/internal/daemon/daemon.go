// Package daemon runs the doors of mxauth serve: it opens the listeners, hands them to the
// servers of their protocols, notifies systemd, reloads on SIGHUP and drains on SIGTERM.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/httpdoor"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
)

// Config of a [Daemon].
type Config struct {
	Settings *settings.Settings
	Answers  *answers.Answers
	Metrics  *Metrics
	// Reload reads what a SIGHUP reads again: exceptions, anchors, CA file, log level. An
	// error leaves the old in force.
	Reload func() error
	// Alive reports whether a lookup gets through, for the watchdog of systemd; it returns
	// soon after ctx ends.
	Alive func(ctx context.Context) error
	// Drain is how long a stop waits for the answers under way; 0: 10 seconds.
	Drain time.Duration
	// HTTP makes the server of a listener of the door http; nil: such a listener is an error.
	HTTP func(settings.Listen) *httpdoor.Server
	// Control handles requests at the control socket; nil: there is none.
	Control http.Handler
	Now     func() time.Time // nil: the real clock
	Logger  *slog.Logger
}

// A Daemon has its listeners open and serves nothing yet.
type Daemon struct {
	c     Config
	doors []door
}

type door struct {
	name   string
	ln     net.Listener
	server server
}

// Open opens every listener. Sockets that systemd hands over (with FileDescriptorName= as
// the door's name) replace those of the settings. After an error nothing is open.
func Open(c Config) (*Daemon, error) {
	if c.Drain <= 0 {
		c.Drain = drainTime
	}
	d := &Daemon{c: c}
	if err := d.open(); err != nil {
		for _, x := range d.doors {
			x.ln.Close()
		}
		return nil, err
	}
	return d, nil
}

func (d *Daemon) open() error {
	s := d.c.Settings
	handed, err := activation.ListenersWithNames()
	if err != nil {
		return fmt.Errorf("sockets of systemd: %w", err)
	}
	var errs []error
	for _, l := range s.Listen {
		srv, err := d.newDoor(l)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		lns := handed[l.Door]
		delete(handed, l.Door)
		if len(lns) == 0 {
			ln, err := Listen(l)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			lns = []net.Listener{ln}
		}
		for _, ln := range lns {
			d.doors = append(d.doors, door{l.Door, ln, srv})
		}
	}
	for name, lns := range handed {
		for _, ln := range lns {
			ln.Close()
		}
		errs = append(errs, fmt.Errorf("systemd hands over a socket named %q, and no [[listen]] has that door", name))
	}
	if d.c.Metrics != nil {
		d.c.Metrics.registry.MustRegister(newDoorCollector(func() []door { return d.doors }))
	}
	if s.Metrics != "" && d.c.Metrics != nil {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", d.c.Metrics.Handler())
		d.addHTTP(&errs, "metrics", s.MetricsListen(), mux)
	}
	if s.Control != "" && d.c.Control != nil {
		d.addHTTP(&errs, "control", s.ControlListen(), d.c.Control)
	}
	if len(s.Listen) == 0 {
		errs = append(errs, errNoListen)
	}
	return errors.Join(errs...)
}

// addHTTP adds a listener for HTTP.
func (d *Daemon) addHTTP(errs *[]error, name string, l settings.Listen, h http.Handler) {
	ln, err := Listen(l)
	if err != nil {
		*errs = append(*errs, err)
		return
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(d.c.Logger.Handler(), slog.LevelDebug)}
	if name != "control" { // whose imports and exports take their time, and which admits no one else
		srv.ReadTimeout, srv.WriteTimeout = 30*time.Second, time.Minute
	}
	d.doors = append(d.doors, door{name, ln, httpServer{srv}})
}

// httpServer is a server of net/http as a door.
type httpServer struct{ *http.Server }

func (h httpServer) Serve(l net.Listener) error {
	if err := h.Server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
func (h httpServer) Close() { _ = h.Server.Close() }

// Addresses returns what the daemon listens at, for people.
func (d *Daemon) Addresses() []string {
	out := make([]string, len(d.doors))
	for i, x := range d.doors {
		out[i] = x.name + "=" + x.ln.Addr().Network() + ":" + x.ln.Addr().String()
	}
	return out
}

// Run serves until ctx ends or a listener fails, then stops accepting, answers what is
// under way and closes. hup delivers requests to reload; nil: there are none.
func (d *Daemon) Run(ctx context.Context, hup <-chan os.Signal) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, x := range d.doors {
		wg.Go(func() {
			if err := x.server.Serve(x.ln); err != nil {
				cancel(fmt.Errorf("%s: %w", x.name, err))
			}
		})
	}
	wg.Go(func() { d.watchdog(ctx) })
	d.c.Logger.Info("serving", "listeners", d.Addresses())
	d.notify(sd.SdNotifyReady)
	releaseStartPages()
	for done := false; !done; {
		select {
		case s := <-hup:
			if s != nil { // a test that waits for the one before
				d.reload()
			}
		case <-ctx.Done():
			done = true
		}
	}
	err := context.Cause(ctx)
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	d.notify(sd.SdNotifyStopping)
	d.c.Logger.Info("stopping")
	drain, stop := context.WithTimeout(context.Background(), d.c.Drain)
	defer stop()
	for _, x := range d.doors {
		wg.Go(func() {
			if err := x.server.Shutdown(drain); err != nil {
				x.server.Close()
			}
		})
	}
	wg.Wait()
	d.c.Answers.Close()
	return err
}

// reload reads again what can be read again, and drops the kept replies: exceptions and
// anchors are part of what they rest on.
func (d *Daemon) reload() {
	d.notify(sd.SdNotifyReloading + "\n" + sd.SdNotifyMonotonicUsec())
	if d.c.Reload != nil {
		err := d.c.Reload()
		if d.c.Metrics != nil {
			d.c.Metrics.Reloaded(err)
		}
		if err != nil {
			d.c.Logger.Error("the configuration was not read again; the old one stays in force", "err", err)
		} else {
			d.c.Logger.Info("the configuration was read again")
		}
	}
	d.c.Answers.Forget("")
	d.notify(sd.SdNotifyReady)
}

// watchdog reports to systemd that the daemon lives, as long as a lookup gets through.
func (d *Daemon) watchdog(ctx context.Context) {
	every, err := sd.SdWatchdogEnabled(false)
	if err != nil || every <= 0 || d.c.Alive == nil {
		return
	}
	t := time.NewTicker(every / 3)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		one, cancel := context.WithTimeout(ctx, every/3)
		err := d.c.Alive(one)
		cancel()
		if err == nil {
			d.notify(sd.SdNotifyWatchdog)
		} else if ctx.Err() == nil {
			d.c.Logger.Warn("the daemon does not answer itself", "err", err)
		}
	}
}

// notify reports to systemd, if it started the daemon.
func (d *Daemon) notify(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		d.c.Logger.Debug("systemd could not be notified", "err", err)
	}
}
