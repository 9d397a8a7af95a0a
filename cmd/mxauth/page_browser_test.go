package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	chromium "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// pageWorlds are the worlds that the page is looked at with. Of some there are pictures.
var pageWorlds = []struct {
	world, domain, verdict string
	shots                  bool
}{
	{"one-of-two", "one-of-two.test", "authenticated by dane-ee; 1 of 2 hosts would be authenticated", false},
	{"tlsa-mismatch", "tlsa-mismatch.test", "refused (4.7.5)", false},
	{"classic-mismatch", "classic.example", "encrypted, not authenticated; 0 of 5 hosts would be authenticated", false},
	{"dane-ee", "dane-ee.test", "authenticated by dane-ee", true},
	{"stripped-sts", "stripped-sts.test", "refused (4.7.4)", true},
	{"sts-syntax", "sts-syntax.test", "encrypted, not authenticated", true},
	{"half-dane", "half-dane.test", "encrypted, not authenticated", true},
	{"idn", "bücher.test", "authenticated by dane-ee", false},
	{"null-mx", "null-mx.test", "bounced (5.1.10)", false},
}

// contrast lists texts that are less than 4.5 times as bright, or dark, as what is behind
// them (WCAG 2.2, 1.4.3), with their ratio.
const contrast = `(() => {
  const rgb = s => { const m = /^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/.exec(s); return m && [+m[1], +m[2], +m[3], m[4] === undefined ? 1 : +m[4]]; };
  const light = c => { const f = c.slice(0, 3).map(v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
  const ratio = (a, b) => { const x = light(a), y = light(b); return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05); };
  const paper = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c && c[3] === 1) return c; if (c && c[3] > 0) throw new Error('half transparent'); } throw new Error('no background'); };
  const out = []; let n = 0;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let t; t = walk.nextNode();) {
    const e = t.parentElement;
    if (!t.data.trim() || !e.getClientRects().length || ['TITLE', 'DESC', 'title', 'desc'].includes(e.tagName)) continue;
    const style = getComputedStyle(e), svg = e.closest('svg');
    let ink = rgb(style.color), under;
    if (svg) {
      ink = rgb(style.fill);
      const box = e.closest('g') && e.closest('g').querySelector('rect');
      under = box ? rgb(getComputedStyle(box).fill) : paper(svg.parentElement);
    } else under = paper(e);
    n++;
    const r = ratio(ink, under);
    if (r < 4.5) out.push(r.toFixed(2) + ' ' + t.data.trim().slice(0, 40));
  }
  const field = document.querySelector('#domain');
  if (field) { const r = ratio(rgb(getComputedStyle(field, '::placeholder').color), paper(field)); n++; if (r < 4.5) out.push(r.toFixed(2) + ' the placeholder'); }
  return {texts: n, faults: out};
})()`

// lookAt types a domain, sends the form and waits for the answer.
func (b *browserPage) lookAt(domain string) string {
	b.t.Helper()
	b.server.later()
	b.do(chromedp.Navigate(b.server.base+"/"), chromedp.SendKeys(chromedp.CSS("#domain"), domain), chromedp.Click(chromedp.CSS(".ask button")))
	b.await("#h-verdict")
	return eval[string](b.browser, `document.querySelector('#h-verdict').textContent`)
}

// A browserPage is a browser in front of a page.
type browserPage struct {
	*browser
	server *pageServer
}

// TestBrowserPage uses the page as somebody with a browser does.
func TestBrowserPage(t *testing.T) {
	b := &browserPage{browser: startBrowser(t)}
	var worlds []string
	for _, w := range pageWorlds {
		worlds = append(worlds, w.world)
	}
	b.server = startPage(t, worlds...)
	b.form()
	for _, w := range pageWorlds {
		if got := b.lookAt(w.domain); got != w.verdict {
			t.Errorf("%s: the verdict is %q, want %q", w.domain, got, w.verdict)
		}
		b.looks("page-"+w.world, w.shots)
		b.tree(w.domain)
	}
	b.ladder()
	b.print()
	b.evidence()
	b.keyboard()
	b.checkQuiet(b.server.base)
	if files, err := filepath.Glob(filepath.Join(b.shots, "page-*.png")); err != nil || len(files) < 6*3 {
		t.Errorf("%d pictures of the page, %v", len(files), err)
	}
}

// looks holds the page to be readable at each size, light and dark, and keeps pictures if
// shots is set.
func (b *browserPage) looks(name string, shots bool) {
	b.t.Helper()
	for _, width := range []int64{320, 768, 1280} {
		for _, dark := range []bool{false, true} {
			b.screen(width, dark)
			at := fmt.Sprintf("%s-%d", name, width)
			if dark {
				at += "-dark"
			}
			if wide := eval[int64](b.browser, `document.documentElement.scrollWidth`); wide > width {
				b.t.Errorf("%s: the page is %d wide", at, wide)
			}
			m := eval[measured](b.browser, contrast)
			if m.Texts < 8 {
				b.t.Errorf("%s: %d texts", at, m.Texts)
			}
			for _, f := range m.Faults {
				b.t.Errorf("%s: contrast %s", at, f)
			}
			if shots {
				b.shot(at)
			}
		}
	}
	b.screen(1280, false)
}

// form looks at the form, and at what it says of what is no domain.
func (b *browserPage) form() {
	b.t.Helper()
	b.do(chromedp.Navigate(b.server.base + "/"))
	b.looks("page-form", true)
	b.tree("the form")
	b.expected = "422" // Chromium says in its console that the answer is no success
	b.do(chromedp.SendKeys(chromedp.CSS("#domain"), "postmaster@one-of-two.test"), chromedp.Click(chromedp.CSS(".ask button")))
	b.await("#fault")
	if got := eval[string](b.browser, `document.querySelector('#domain').value`); got != "one-of-two.test" {
		b.t.Errorf("the field has %q", got)
	}
	b.looks("page-fault", false)
	b.tree("the fault")
}

// tree holds the accessibility tree: every control has a name, there is one heading of the
// first level, and no link is empty.
func (b *browserPage) tree(what string) {
	b.t.Helper()
	call(b.browser, accessibility.Enable, cdp.Empty{})
	nodes := call(b.browser, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes
	text := func(v *accessibility.Value) string {
		if v == nil {
			return ""
		}
		return strings.Trim(string(v.Value), `"`)
	}
	seen := map[string]int{}
	tops := 0
	for _, n := range nodes {
		if n.Ignored {
			continue
		}
		role, name := text(n.Role), text(n.Name)
		seen[role]++
		switch role {
		case "button", "link", "textbox", "searchbox", "DisclosureTriangle", "heading", "image", "img", "region", "RootWebArea":
			if name == "" {
				b.t.Errorf("%s: a %s has no name", what, role)
			}
		}
		if role == "heading" {
			for _, p := range n.Properties {
				if p.Name == "level" && text(p.Value) == "1" {
					tops++
				}
			}
		}
	}
	if tops != 1 {
		b.t.Errorf("%s: %d headings of level 1", what, tops)
	}
	for _, role := range []string{"banner", "main", "contentinfo", "textbox", "button", "link"} {
		if seen[role] == 0 {
			b.t.Errorf("%s: no %s among %v", what, role, seen)
		}
	}
}

// ladder closes and opens the picture, and measures it where it is.
func (b *browserPage) ladder() {
	b.t.Helper()
	b.lookAt("one-of-two.test")
	const details, shown = `document.querySelector('.chain details').open`, `document.querySelector('.chain .wide svg').getBoundingClientRect().height > 100`
	for _, want := range []bool{false, true} {
		b.do(chromedp.Click(chromedp.CSS(".chain summary")))
		if got := eval[bool](b.browser, details+" && "+shown); got != want {
			b.t.Errorf("after a click the picture is open: %t, want %t", got, want)
		}
	}
	m := eval[measured](b.browser, measure)
	for _, f := range m.Faults {
		b.t.Errorf("the picture in the page: %s", f)
	}
	if m.Texts < 40 {
		b.t.Errorf("the picture in the page has %d texts", m.Texts)
	}
	if text := eval[string](b.browser, `(() => { const r = document.createRange(); r.selectNodeContents(document.querySelector('.chain .wide svg')); getSelection().removeAllRanges(); getSelection().addRange(r); const s = getSelection().toString(); getSelection().removeAllRanges(); return s; })()`); !strings.Contains(text, "TLSA records") {
		b.t.Errorf("the text of the picture cannot be selected: %q", text)
	}
}

// print holds what goes to paper: no forms, and the wide picture within the sheet.
func (b *browserPage) print() {
	b.t.Helper()
	b.screen(700, true)
	call(b.browser, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	shown := eval[map[string]float64](b.browser, `Object.fromEntries(['.ask', '.evidence', '.wide svg', '.narrow svg', '.verdict'].map(s => [s, document.querySelector(s).getBoundingClientRect().width]))`)
	if shown[".ask"] != 0 || shown[".evidence"] != 0 || shown[".narrow svg"] != 0 || shown[".verdict"] < 300 || shown[".wide svg"] < 300 || shown[".wide svg"] > 700 {
		b.t.Errorf("on paper: %v", shown)
	}
	if ink := eval[string](b.browser, `getComputedStyle(document.querySelector('.wide svg text')).fill`); ink != "rgb(22, 32, 44)" {
		b.t.Errorf("on paper the text is %s", ink)
	}
	b.shot("page-paper")
	b.screen(1280, false)
}

// evidence downloads the file and replays it.
func (b *browserPage) evidence() {
	b.t.Helper()
	b.server.later()
	dir := b.t.TempDir()
	ctx := b.ctx
	if _, err := chromedp.CallBrowser(ctx, chromium.SetDownloadBehavior, chromium.SetDownloadBehaviorParams{Behavior: chromium.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir}); err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.Click(chromedp.CSS(".evidence button")))
	file := filepath.Join(dir, "mxauth-one-of-two.test.json")
	timeout := time.After(30 * time.Second)
	for tick := time.Tick(20 * time.Millisecond); ; {
		if _, err := os.Stat(file); err == nil {
			break
		}
		select {
		case <-tick:
		case <-timeout:
			entries, _ := os.ReadDir(dir)
			b.t.Fatalf("no evidence was downloaded: %v", entries)
		}
	}
	out, said, code := inProcess(b.t, nobodyThere, time.Now, "replay", "--short", "--trust-anchor", b.server.l.anchor, "--ca-file", b.server.l.ca, file)
	if code != 0 || !strings.HasPrefix(out, "one-of-two.test: authenticated by dane-ee") {
		b.t.Errorf("the replay: exit status %d\n%s%s", code, out, said)
	}
}

// focused says what has the focus, and whether it is to be seen that it has.
const focused = `(() => { const e = document.activeElement, s = getComputedStyle(e); return [(e.id || e.textContent.trim()).slice(0, 40), s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 ? 'seen' : 'unseen', e.getBoundingClientRect().left >= 0 ? 'in' : 'out']; })()`

// keyboard does all of it without a mouse.
func (b *browserPage) keyboard() {
	b.t.Helper()
	b.server.later()
	b.screen(1280, false)
	b.do(chromedp.Navigate(b.server.base + "/"))
	tab := func() string {
		b.t.Helper()
		b.do(chromedp.KeyEvent(kb.Tab))
		f := eval[[]string](b.browser, focused)
		if f[1] != "seen" || f[2] != "in" {
			b.t.Errorf("the focus on %q: %v", f[0], f[1:])
		}
		return f[0]
	}
	var order []string
	for range 3 {
		order = append(order, tab())
	}
	if want := []string{"To the content", "mxauth", "domain"}; !slices.Equal(order, want) {
		b.t.Fatalf("the order of the focus is %q, want %q", order, want)
	}
	b.do(chromedp.KeyEvent("one-of-two.test"), chromedp.KeyEvent(kb.Enter))
	b.await("#h-verdict")
	order = nil
	for len(order) < 60 && !slices.Contains(order, "The chain as a picture") {
		order = append(order, tab())
	}
	if order[len(order)-1] != "The chain as a picture" {
		b.t.Fatalf("the picture is not reached by the keyboard: %q", order)
	}
	const open = `document.querySelector('.chain details').open`
	b.do(chromedp.KeyEvent(kb.Enter))
	closed := !eval[bool](b.browser, open)
	b.do(chromedp.KeyEvent(kb.Enter))
	if !closed || !eval[bool](b.browser, open) {
		b.t.Error("the keyboard does not close and open the picture")
	}
	for len(order) < 60 && order[len(order)-1] != "Check again and download the evidence" {
		order = append(order, tab())
	}
	if len(order) == 60 {
		b.t.Errorf("the button for the evidence is not reached by the keyboard: %q", order)
	}
}
