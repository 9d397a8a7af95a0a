package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/mxauth/mxauth/conformance/peers"
)

// shotsEnv names a folder in which the pictures of the browser tests stay; without it they
// go to one that ends with the test.
const shotsEnv = "MXAUTH_SCREENSHOTS"

// A browser is a headless Chromium with one tab, and what went wrong in it.
type browser struct {
	t     *testing.T
	ctx   context.Context
	shots string

	mu       sync.Mutex // guards all below
	asked    []string   // hosts that requests went to
	faults   []string   // of the console, and exceptions
	expected string     // part of a fault that is meant
}

// startBrowser starts Chromium, and ends it with the test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	peers.Require(t, "chromium")
	b := &browser{t: t, shots: os.Getenv(shotsEnv)}
	if b.shots == "" {
		b.shots = t.TempDir()
	} else if err := os.MkdirAll(b.shots, 0o755); err != nil {
		t.Fatal(err)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	b.ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(b.ctx); err != nil {
		t.Fatalf("chromium does not start: %v", err)
	}
	if err := chromedp.Listen(b.ctx, b.heard); err != nil {
		t.Fatal(err)
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	return b
}

// heard takes an event of the tab.
func (b *browser) heard(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(ev.Request.URL); err != nil || u.Scheme != "data" {
			b.asked = append(b.asked, u.Scheme+"://"+u.Host)
		}
	case *log.EventEntryAdded:
		b.faults = append(b.faults, ev.Entry.Text)
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, ev.ExceptionDetails.Text)
	}
}

// browserPatience is how long one action may take on a loaded machine.
const browserPatience = time.Minute

// do carries out actions.
func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("in the browser: %v", err)
	}
}

// call carries out a command of the protocol.
func call[P, R any](b *browser, cmd cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	r, err := chromedp.Call(ctx, cmd, params)
	if err != nil {
		b.t.Fatalf("in the browser: %s: %v", cmd.Method, err)
	}
	return r
}

// eval returns the value of an expression.
func eval[T any](b *browser, script string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		b.t.Fatalf("in the browser: %v", err)
	}
	return v
}

// await waits until an element is to be seen, and the page that it is on is there as a whole.
func (b *browser) await(selector string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS(selector)))
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	const whole = `new Promise(done => document.readyState === 'complete' ? done(true) : addEventListener('load', () => done(true)))`
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](whole, chromedp.EvalAwaitPromise)); err != nil {
		b.t.Fatalf("in the browser: %v", err)
	}
}

// screen sets the size of the window, and whether it is dark.
func (b *browser) screen(width int64, dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.do(chromedp.EmulateViewport(width, 900))
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

// shot keeps a picture of the whole page.
func (b *browser) shot(name string) {
	b.t.Helper()
	beyond := true
	png := call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &beyond}).Data
	if err := os.WriteFile(filepath.Join(b.shots, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// checkQuiet holds the tab to have asked one server alone, and the console to be empty.
func (b *browser) checkQuiet(server string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.asked) == 0 {
		b.t.Error("no request was seen")
	}
	for _, h := range b.asked {
		if h != server {
			b.t.Errorf("a request to %s", h)
		}
	}
	for _, f := range b.faults {
		if b.expected == "" || !strings.Contains(f, b.expected) {
			b.t.Errorf("the console: %s", f)
		}
	}
}

// measure lists what is wrong with the texts of a picture: that they leave the canvas or
// their box, or overlap. It measures as the browser draws.
const measure = `(() => {
  const svg = document.querySelector('svg'), vb = svg.viewBox.baseVal, out = [], slack = 0.75;
  const inside = (a, b) => a.x >= b.x - slack && a.y >= b.y - slack && a.x + a.width <= b.x + b.width + slack && a.y + a.height <= b.y + b.height + slack;
  const texts = [...svg.querySelectorAll('text')].map(t => ({s: t.textContent, b: t.getBBox(), g: t.closest('g')}));
  for (const t of texts) {
    if (t.b.width <= 0) out.push('not drawn: ' + t.s);
    if (!inside(t.b, vb)) out.push('leaves the canvas: ' + t.s);
    if (t.g && !inside(t.b, t.g.querySelector('rect').getBBox())) out.push('leaves its box: ' + t.s);
  }
  for (let i = 0; i < texts.length; i++) for (let j = i + 1; j < texts.length; j++) {
    const a = texts[i].b, b = texts[j].b;
    const w = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x), h = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
    if (w > slack && h > slack) out.push('overlap: ' + texts[i].s + ' | ' + texts[j].s);
  }
  const boxes = [...svg.querySelectorAll('g > rect')].map(r => r.getBBox());
  for (let i = 0; i < boxes.length; i++) {
    if (!inside(boxes[i], vb)) out.push('a box leaves the canvas');
    for (let j = i + 1; j < boxes.length; j++) {
      const a = boxes[i], b = boxes[j];
      if (Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x) > slack && Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y) > slack) out.push('two boxes overlap');
    }
  }
  return {texts: texts.length, faults: out};
})()`

// measured is what measure returns.
type measured struct {
	Texts  int
	Faults []string
}

// draw opens a picture that is a file of its own.
func (b *browser) draw(name string, picture []byte) measured {
	b.t.Helper()
	path := testFile(b.t, name+".svg", picture)
	b.do(chromedp.Navigate("file://" + path))
	return eval[measured](b, measure)
}

// checkDrawn holds a picture to be readable.
func (b *browser) checkDrawn(name string, picture []byte) {
	b.t.Helper()
	m := b.draw(name, picture)
	if m.Texts < 8 {
		b.t.Errorf("%s: %d texts", name, m.Texts)
	}
	for i, f := range m.Faults {
		if i == 8 {
			b.t.Errorf("%s: and %d more", name, len(m.Faults)-i)
			break
		}
		b.t.Errorf("%s: %s", name, f)
	}
	if len(m.Faults) > 0 {
		b.shot(fmt.Sprintf("bad-%s", name))
	}
}
