package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mxauth/mxauth/internal/servetest"
)

// overDialer in the environment is the path of a socket over which mxauth as a process of
// its own reaches the servers of a lab.
const overDialer = "MXAUTH_TEST_DIALER"

// mainOverDialer is main with that dialler; it returns if there is none.
func mainOverDialer() {
	path := os.Getenv(overDialer)
	if path == "" {
		return
	}
	os.Unsetenv(overDialer)
	os.Unsetenv(asMxauth)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	e := newEnv(os.Stdin, os.Stdout, os.Stderr, os.Getenv)
	e.dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", path)
		if err != nil {
			return nil, err
		}
		if _, err := fmt.Fprintln(c, addr); err != nil {
			c.Close()
			return nil, err
		}
		ok := make([]byte, 1)
		if _, err := io.ReadFull(c, ok); err != nil {
			c.Close()
			return nil, syscall.ECONNREFUSED
		}
		return c, nil
	}
	code := run(ctx, os.Args[1:], e)
	stop()
	os.Exit(code)
}

// serveDialer is the other end.
func serveDialer(t *testing.T, l *testLab) string {
	t.Helper()
	path := filepath.Join(shortDir(t), "d")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	servetest.Connections(t, ln, func(c net.Conn) {
		r := bufio.NewReader(c)
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		addr, err := netip.ParseAddrPort(strings.TrimSpace(line))
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		u, err := l.Dial(ctx, addr)
		if err != nil {
			return
		}
		defer u.Close()
		c.Write([]byte{1})
		done := make(chan struct{})
		go func() {
			defer close(done)
			io.Copy(u, r)
			u.Close()
		}()
		io.Copy(c, u)
		c.Close()
		<-done
	})
	return path
}

// A process is mxauth serve as a process of its own.
type process struct {
	cmd  *exec.Cmd
	log  *syncBuffer
	done chan error
}

// startProcess starts mxauth serve; with a file that is its socket, as systemd hands it over.
func startProcess(t *testing.T, dialer, config string, handed *os.File) *process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{log: newSyncBuffer(), done: make(chan error, 1)}
	p.cmd = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$; export LISTEN_PID; exec "$0" "$@"`, program, "serve", "--config", config)
	p.cmd.Env = append(os.Environ(), asMxauth+"=1", overDialer+"="+dialer)
	if handed != nil {
		p.cmd.ExtraFiles = []*os.File{handed}
		p.cmd.Env = append(p.cmd.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=socketmap")
	}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() { p.signal(syscall.SIGKILL) })
	return p
}

// signal sends a signal; of one that ends the process it waits for the end.
func (p *process) signal(s syscall.Signal) error {
	_ = p.cmd.Process.Signal(s) // it may have ended
	if s == syscall.SIGHUP {
		return nil
	}
	err := <-p.done
	p.done <- err
	return err
}

// A client asks as Postfix does: over a connection that it keeps, and once more over a new one
// when that fails.
type tableClient struct {
	path string
	c    net.Conn
	r    *bufio.Reader
}

func (c *tableClient) ask(tries int, key string) (reply string, err error) {
	for range tries {
		if c.c == nil {
			if c.c, err = net.Dial("unix", c.path); err != nil {
				c.c = nil
				continue
			}
			c.c.SetDeadline(time.Now().Add(time.Minute))
			c.r = bufio.NewReader(c.c)
		}
		if reply, err = askOn(c.c, c.r, "QUERY", key); err == nil {
			return reply, nil
		}
		c.c.Close()
		c.c = nil
	}
	return "", err
}

func (c *tableClient) close() {
	if c.c != nil {
		c.c.Close()
	}
}

// killed is how often the daemon is killed.
const killed = 20

// TestKill: a daemon that is killed under load, 20 times, loses no policy that an answer has
// rested on, although the policy is not published any more, and no answer is weaker than before.
func TestKill(t *testing.T) {
	l := startLab(t, append(stsWorlds("kill", killed), serveWorlds(t, "dane-ee", "sts-testing")...), nil)
	dialer := serveDialer(t, l)
	dir := shortDir(t)
	config, socket, _ := writeConfig(t, l, dir, fmt.Sprintf("[store]\npath = \"bolt:%s/p.db\"\n", dir))
	p := startProcess(t, dialer, config, nil)
	var known atomic.Int32 // worlds whose policy has been acknowledged
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			c := &tableClient{path: socket}
			defer c.close()
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				k := int(known.Load())
				key, want := "dane-ee.test", daneReply
				switch {
				case n%3 == 1:
					key, want = "sts-testing.test", "NOTFOUND "
				case n%3 == 2 && k > 0:
					key = fmt.Sprintf("kill-%d.test", n%k)
					want = "OK secure match=mx." + key + " servername=hostname protocols=>=TLSv1.2"
				}
				reply, err := c.ask(1, key)
				if err != nil {
					<-time.After(5 * time.Millisecond) // it has been killed
					continue
				}
				if reply != want && !strings.HasPrefix(reply, "TEMP ") {
					t.Errorf("%s: %q, want %q", key, reply, want)
				}
			}
		})
	}
	c := &tableClient{path: socket}
	defer c.close()
	ask := func(key string) (reply string) {
		eventually(t, key+" "+p.log.String(), func() bool {
			var err error
			reply, err = c.ask(1, key)
			return err == nil && !strings.HasPrefix(reply, "TEMP ")
		})
		return reply
	}
	for i := range killed {
		key := fmt.Sprintf("kill-%d.test", i)
		if reply := ask(key); !strings.HasPrefix(reply, "OK secure") {
			t.Fatalf("%s: %q", key, reply)
		}
		if err := p.signal(syscall.SIGKILL); err == nil {
			t.Error("killed, and ended well?")
		}
		if err := l.Forge(strings.TrimSuffix(key, ".test")); err != nil {
			t.Fatal(err)
		}
		known.Store(int32(i + 1))
		p = startProcess(t, dialer, config, nil)
	}
	for i := range killed {
		key := fmt.Sprintf("kill-%d.test", i)
		if reply := ask(key); !strings.HasPrefix(reply, "OK secure") {
			t.Errorf("%s after %d kills: %q", key, killed, reply)
		}
	}
	close(stop)
	wg.Wait()
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, p.log)
	}
}

// TestSignalsUnderLoad: SIGHUP, and SIGTERM with a restart behind a socket that systemd holds,
// leave no question without its answer.
func TestSignalsUnderLoad(t *testing.T) {
	l := startLab(t, serveWorlds(t, "dane-ee", "sts-enforce", "stripped-nothing"), nil)
	dialer := serveDialer(t, l)
	dir := shortDir(t)
	config, socket, _ := writeConfig(t, l, dir, fmt.Sprintf("[store]\npath = \"bolt:%s/p.db\"\n[log]\nlevel = \"warn\"\n", dir))
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	file, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := startProcess(t, dialer, config, file)
	wants := map[string]string{"dane-ee.test": daneReply, "sts-enforce.test": stsReply, "stripped-nothing.test": "NOTFOUND "}
	stop := make(chan struct{})
	var answered, temps atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c := &tableClient{path: socket}
			defer c.close()
			for {
				for key, want := range wants {
					select {
					case <-stop:
						return
					default:
					}
					reply, err := c.ask(2, key)
					switch {
					case err != nil:
						t.Errorf("%s: no answer: %v", key, err)
						return
					case strings.HasPrefix(reply, "TEMP "):
						temps.Add(1)
					case reply != want:
						t.Errorf("%s: %q", key, reply)
					}
					answered.Add(1)
				}
			}
		})
	}
	// progress waits for answers after what was done last.
	progress := func() {
		n := answered.Load()
		eventually(t, "answers: "+p.log.String(), func() bool { return answered.Load() > n+500 })
	}
	progress()
	for range 5 {
		p.signal(syscall.SIGHUP)
		progress()
	}
	for range 3 {
		if err := p.signal(syscall.SIGTERM); err != nil {
			t.Errorf("after SIGTERM: %v\n%s", err, p.log)
		}
		p = startProcess(t, dialer, config, file)
		progress()
	}
	close(stop)
	wg.Wait()
	if n := temps.Load(); n > 0 {
		t.Errorf("%d of %d answers were TEMP", n, answered.Load())
	}
	if err := p.signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%v\n%s", err, p.log)
	}
	t.Logf("%d answers", answered.Load())
}

// TestHangupAtEnds: a SIGHUP that comes while the daemon starts or ends does not end it at once,
// with what waits to be written lost.
func TestHangupAtEnds(t *testing.T) {
	l := startLab(t, serveWorlds(t, "dane-ee"), nil)
	dialer := serveDialer(t, l)
	dir := shortDir(t)
	config, socket, _ := writeConfig(t, l, dir, fmt.Sprintf("[store]\npath = \"bolt:%s/p.db\"\n", dir))
	for range 10 {
		p := startProcess(t, dialer, config, nil)
		c := &tableClient{path: socket}
		eventually(t, "an answer: "+p.log.String(), func() bool {
			reply, err := c.ask(1, "dane-ee.test")
			return err == nil && reply == daneReply
		})
		c.close()
		ended := make(chan error, 1)
		go func() { ended <- p.signal(syscall.SIGTERM) }()
		for done := false; !done; {
			select {
			case err := <-ended:
				if done = true; err != nil {
					t.Fatalf("after SIGTERM and SIGHUP: %v\n%s", err, p.log)
				}
			default:
				p.signal(syscall.SIGHUP)
			}
		}
	}
}
