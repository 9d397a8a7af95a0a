package ladder

import (
	"cmp"
	"fmt"
	"strings"
)

// SVGOptions say what a picture is for. The zero SVGOptions make a file of its own.
type SVGOptions struct {
	// Inline leaves out the style, for a page whose policy forbids styles in its text: the
	// page has [Style] among its own.
	Inline bool
	// Narrow puts everything into one column, for a screen of 320 pixels.
	Narrow bool
	// ID begins the ids of the picture; "": "ladder". Two pictures on one page need two.
	ID string
}

// Measures of the picture, in user units, which are pixels where it is not scaled.
const (
	boxWide   = 236.0 // of a step
	boxNarrow = 288.0
	gapX      = 22.0 // between columns
	linkY     = 26.0 // between steps: room for a link that shows whether it is broken
	margin    = 16.0
	inner     = 12.0 // between the edge of a box and its text
	icon      = 16.0
)

// Lines that a step shows at most; its title, which a pointer brings up, has all.
const (
	maxNameLines = 10 // a name of 253 characters
	maxTextLines = 8
)

// SVG draws the ladders. The picture has no script, asks for nothing from elsewhere, and its
// text can be selected. What is foreign is escaped.
func (l Ladder) SVG(o SVGOptions) []byte {
	o.ID = cmp.Or(o.ID, "ladder")
	c := &canvas{opt: o}
	if o.Narrow {
		c.narrow(l)
	} else {
		c.wide(l)
	}
	return c.document(l)
}

// wide puts the columns next to each other: the trunk above those of the hosts, MTA-STS at
// their right, the verdict below all.
func (c *canvas) wide(l Ladder) {
	columns := len(l.Hosts)
	if len(l.Folded) > 0 {
		columns++
	}
	columns = max(columns, 1)
	left := margin
	hostsWide := float64(columns)*(boxWide+gapX) - gapX
	policyX := left + hostsWide + 2*gapX
	c.width = policyX + boxWide + margin

	top := c.heading(l, c.width-2*margin)
	y := c.label("DANE (RFC 7672)", left, top, hostsWide)
	_ = c.label("MTA-STS (RFC 8461)", policyX, top, boxWide)
	var joints []joint // what leads to the verdict

	trunkX := left + (hostsWide-boxWide)/2
	y2, last := c.steps(l.Trunk, trunkX, y, boxWide)
	hostsY := y2
	if len(l.Hosts) > 0 {
		hostsY = c.fork(last, columns, left, y2)
		joints = c.hosts(l, left, hostsY)
		for _, j := range joints {
			hostsY = max(hostsY, j.y)
		}
	} else {
		joints = append(joints, last)
	}
	_, policyEnd := c.steps(l.Policy, policyX, y, boxWide)
	joints = append(joints, policyEnd)
	bottom := max(hostsY, policyEnd.y)

	// Everything meets in the verdict.
	verdictY := bottom + linkY
	for _, j := range joints {
		c.link(j, verdictY)
	}
	c.height = c.verdict(l, margin, verdictY, c.width-2*margin) + margin
}

// narrow puts everything below each other.
func (c *canvas) narrow(l Ladder) {
	c.width = boxNarrow + 2*margin
	y := c.heading(l, boxNarrow)
	y = c.label("DANE (RFC 7672)", margin, y, boxNarrow)
	y, last := c.steps(l.Trunk, margin, y, boxNarrow)
	for _, h := range l.Hosts {
		c.link(last, y+linkY)
		top := c.head(h, margin, y+linkY, boxNarrow, 0)
		var end joint
		y, end = c.steps(h.Steps, margin, top+linkY, boxNarrow)
		c.link(joint{x: end.x, y: top, status: Good}, top+linkY)
		last = joint{x: end.x, y: y, status: Unused}
	}
	if len(l.Folded) > 0 {
		y = c.fold(l, margin, y+linkY, boxNarrow)
	}
	y = c.label("MTA-STS (RFC 8461)", margin, y+linkY, boxNarrow)
	y, last = c.steps(l.Policy, margin, y, boxNarrow)
	c.link(last, y+linkY)
	c.height = c.verdict(l, margin, y+linkY, boxNarrow) + margin
}

// A joint is the lower end of a step, from which a link goes on.
type joint struct {
	x, y   float64
	status Status
}

// heading is the name of the domain above all.
func (c *canvas) heading(l Ladder, width float64) float64 {
	y := margin
	for _, s := range faceHead.wrap("Chain of trust", width, 1) {
		y += faceHead.line()
		c.text(margin, y-4, faceHead, "head", s)
	}
	for _, n := range names(l.Unicode, l.Domain) {
		for _, s := range faceName.wrap(n, width, maxNameLines) {
			y += faceName.line()
			c.text(margin, y-3, faceName, "name", s)
		}
	}
	return y + 12
}

// names are a name with U-labels, if it has any, and as DNS has it.
func names(unicode, ascii string) []string {
	if unicode == "" {
		return []string{ascii}
	}
	return []string{unicode, ascii}
}

// label names a ladder.
func (c *canvas) label(s string, x, y, width float64) float64 {
	y += faceTitle.line()
	c.text(x, y-4, faceTitle, "label", s)
	c.line("rule", x, y+2, x+width, y+2)
	return y + 12
}

// steps draws steps below each other and returns where they end. A link leads from each to
// the next.
func (c *canvas) steps(steps []Step, x, y, width float64) (bottom float64, end joint) {
	for i, s := range steps {
		if i > 0 {
			c.link(end, y+linkY)
			y += linkY
		}
		y = c.step(s, x, y, width, 0)
		end = joint{x + width/2, y, s.Status}
	}
	return y, end
}

// fork leads from the last step of the trunk to the columns of the hosts, and returns where
// these begin.
func (c *canvas) fork(from joint, columns int, left, y float64) float64 {
	if columns == 1 {
		c.link(from, y+linkY)
		return y + linkY
	}
	bar := y + linkY
	c.link(from, bar)
	class := "link " + class(from.status)
	first, last := left+boxWide/2, left+float64(columns-1)*(boxWide+gapX)+boxWide/2
	c.line(class, first, bar, last, bar)
	for i := range columns {
		x := left + float64(i)*(boxWide+gapX) + boxWide/2
		c.line(class, x, bar, x, bar+linkY/2)
	}
	return bar + linkY/2
}

// hosts draws the columns of the hosts; the steps of one kind are of one height.
func (c *canvas) hosts(l Ladder, left, y float64) (out []joint) {
	x := func(i int) float64 { return left + float64(i)*(boxWide+gapX) }
	height := 0.0
	for _, h := range l.Hosts {
		height = max(height, headHeight(h, boxWide))
	}
	ends := make([]joint, len(l.Hosts))
	for i, h := range l.Hosts {
		c.head(h, x(i), y, boxWide, height)
		ends[i] = joint{x(i) + boxWide/2, y + height, Good}
	}
	if len(l.Folded) > 0 {
		bottom := c.fold(l, x(len(l.Hosts)), y, boxWide)
		out = append(out, joint{x(len(l.Hosts)) + boxWide/2, bottom, Unused})
	}
	y += height
	for row := range l.Hosts[0].Steps {
		height = 0
		for _, h := range l.Hosts {
			height = max(height, stepHeight(h.Steps[row], boxWide))
		}
		for i, h := range l.Hosts {
			c.link(ends[i], y+linkY)
			c.step(h.Steps[row], x(i), y+linkY, boxWide, height)
			ends[i] = joint{x(i) + boxWide/2, y + linkY + height, h.Steps[row].Status}
		}
		y += linkY + height
	}
	return append(out, ends...)
}

// headLines are the lines of the name of a host.
func headLines(h Host, width float64) (title []string, name []string) {
	for i, n := range names(h.Unicode, h.Name) {
		if i == 0 {
			title = faceTitle.wrap(n, width-2*inner, maxNameLines)
		} else {
			name = faceName.wrap(n, width-2*inner, maxNameLines)
		}
	}
	if h.Listed {
		name = append(name, fmt.Sprintf("preference %d", h.Preference))
	}
	return title, name
}

func headHeight(h Host, width float64) float64 {
	title, name := headLines(h, width)
	return 12 + float64(len(title))*faceTitle.line() + float64(len(name))*faceName.line()
}

// head draws the name of a host above its column.
func (c *canvas) head(h Host, x, y, width, height float64) float64 {
	title, name := headLines(h, width)
	height = max(height, headHeight(h, width))
	c.open("head", strings.Join(names(h.Unicode, h.Name), ", "))
	defer c.close()
	c.rect("host", x, y, width, height, 6)
	at := y + 6
	for _, s := range title {
		at += faceTitle.line()
		c.text(x+inner, at-4, faceTitle, "title", s)
	}
	for _, s := range name {
		at += faceName.line()
		c.text(x+inner, at-3, faceName, "name", s)
	}
	return y + height
}

// fold draws what is known of the hosts that have no column.
func (c *canvas) fold(l Ladder, x, y, width float64) float64 {
	n, lines := 0, []string{}
	for _, f := range l.Folded {
		n += f.Hosts
		lines = append(lines, fmt.Sprintf("%d %s", f.Hosts, outcomeWords(f.Outcome, "")))
	}
	title := fmt.Sprintf("and %d more hosts", n)
	if n == 1 {
		title = "and 1 more host"
	}
	height := 16 + faceTitle.line() + float64(len(lines))*faceText.line()
	c.open("head", title)
	defer c.close()
	c.rect("host folded", x, y, width, height, 6)
	at := y + 6 + faceTitle.line()
	c.text(x+inner, at-4, faceTitle, "title", title)
	for _, s := range lines {
		at += faceText.line()
		c.text(x+inner, at-3, faceText, "text", s)
	}
	return y + height
}

// A stepText is the text of a step in lines.
type stepText struct{ name, text, foot []string }

func layStep(s Step, width float64) (t stepText) {
	room := width - 2*inner
	t.name = faceName.wrap(s.Name, room, maxNameLines)
	for _, l := range s.Lines {
		if len(t.text) < maxTextLines {
			t.text = append(t.text, faceText.wrap(l, room, maxTextLines-len(t.text))...)
		}
	}
	t.foot = faceSmall.wrap(foot(s), room, 3)
	return t
}

// foot is the source of a step: "RFC 7672 s.2.2 dane-no-match".
func foot(s Step) string {
	var parts []string
	if s.RFC != "" {
		parts = append(parts, "RFC "+s.RFC)
	}
	if s.Reason != "" {
		parts = append(parts, string(s.Reason))
	}
	return strings.Join(parts, ", ")
}

func (t stepText) height() float64 {
	h := 12 + icon + 4 + float64(len(t.name))*faceName.line() + float64(len(t.text))*faceText.line()
	if len(t.foot) > 0 {
		h += 3 + float64(len(t.foot))*faceSmall.line()
	}
	return h
}

func stepHeight(s Step, width float64) float64 { return layStep(s, width).height() }

// step draws a step and returns its lower edge.
func (c *canvas) step(s Step, x, y, width, height float64) float64 {
	t := layStep(s, width)
	height = max(height, t.height())
	c.open(class(s.Status)+" step", s.Kind.Title()+": "+s.Status.String()+". "+strings.Join(append([]string{s.Name}, s.Lines...), " "))
	c.rect("box", x, y, width, height, 6)
	c.icon(s.Status, x+inner, y+9)
	c.text(x+inner+icon+7, y+9+12.5, faceTitle, "title", s.Kind.Title())
	c.textEnd(x+width-inner, y+9+12, faceSmall, "word", s.Status.String())
	at := y + 9 + icon + 3
	for _, l := range t.name {
		at += faceName.line()
		c.text(x+inner, at-2, faceName, "name", l)
	}
	for _, l := range t.text {
		at += faceText.line()
		c.text(x+inner, at-2, faceText, "text", l)
	}
	at += 3
	for _, l := range t.foot {
		at += faceSmall.line()
		c.text(x+inner, at-2, faceSmall, "foot", l)
	}
	c.close()
	return y + height
}

// verdict draws the box in which all ladders meet, and returns its lower edge.
func (c *canvas) verdict(l Ladder, x, y, width float64) float64 {
	v := l.Verdict
	room := width - 2*inner
	title := faceHead.wrap(v.Name, room-icon-8, 4)
	var lines []string
	for _, s := range v.Lines {
		lines = append(lines, faceText.wrap(s, room, 12)...)
	}
	small := faceSmall.wrap(foot(v), room, 3)
	height := 20 + max(icon, float64(len(title))*faceHead.line()) + float64(len(lines))*faceText.line() + float64(len(small))*faceSmall.line()
	c.open(class(v.Status)+" step verdict", "Verdict: "+v.Name+". "+strings.Join(v.Lines, " "))
	c.rect("box", x, y, width, height, 8)
	c.icon(v.Status, x+inner, y+11)
	at := y + 8
	for _, s := range title {
		at += faceHead.line()
		c.text(x+inner+icon+8, at-4, faceHead, "head", s)
	}
	at = max(at, y+11+icon)
	for _, s := range lines {
		at += faceText.line()
		c.text(x+inner, at, faceText, "text", s)
	}
	for _, s := range small {
		at += faceSmall.line()
		c.text(x+inner, at+2, faceSmall, "foot", s)
	}
	c.close()
	return y + height
}
