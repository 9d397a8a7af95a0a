package ladder

import (
	_ "embed"
	"fmt"
	"html"
	"strings"

	"github.com/mxauth/mxauth/internal/text"
)

// Style is the style sheet of a picture: light and dark, and for print. A page that shows a
// picture with [SVGOptions.Inline] has it among its styles.
//
//go:embed ladder.css
var Style string

// class is the class of a status.
func class(s Status) string {
	return [...]string{"unknown", "good", "unproved", "missing", "broken", "unused"}[s]
}

// A canvas is a picture under way.
type canvas struct {
	opt           SVGOptions
	b             strings.Builder
	width, height float64
}

// num prints a measure without needless digits.
func num(f float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.1f", f), "0"), ".")
}

// quote escapes a text for XML, and what a reader would not see.
func quote(s string) string { return html.EscapeString(text.Escape(s)) }

func (c *canvas) open(class, title string) {
	fmt.Fprintf(&c.b, "<g class=\"%s\"><title>%s</title>\n", class, quote(strings.Join(strings.Fields(title), " ")))
}

func (c *canvas) close() { c.b.WriteString("</g>\n") }

func (c *canvas) rect(class string, x, y, w, h, r float64) {
	fmt.Fprintf(&c.b, "<rect class=\"%s\" x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\" rx=\"%s\"/>\n", class, num(x), num(y), num(w), num(h), num(r))
}

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	c.path(class, "M%s %sL%s %s", x1, y1, x2, y2)
}

// path draws a path; format has a %s for each number.
func (c *canvas) path(class, format string, at ...float64) {
	args := make([]any, len(at))
	for i, f := range at {
		args[i] = num(f)
	}
	fmt.Fprintf(&c.b, "<path class=\"%s\" d=\"%s\"/>\n", class, fmt.Sprintf(format, args...))
}

func (c *canvas) text(x, y float64, f face, class, s string)    { c.anchored(x, y, f, class, "", s) }
func (c *canvas) textEnd(x, y float64, f face, class, s string) { c.anchored(x, y, f, class, "end", s) }

// anchored writes a line of text. The class gives its font; the size is written as well, for
// viewers that read no style.
func (c *canvas) anchored(x, y float64, f face, class, anchor, s string) {
	if s == "" {
		return
	}
	fmt.Fprintf(&c.b, "<text class=\"t-%s\" x=\"%s\" y=\"%s\" font-size=\"%s\"", class, num(x), num(y), num(f.size))
	if anchor != "" {
		fmt.Fprintf(&c.b, " text-anchor=\"%s\"", anchor)
	}
	for _, r := range s {
		if r > 0x24f {
			// The font of another script is not known, so the line is made to fit.
			fmt.Fprintf(&c.b, " textLength=\"%s\" lengthAdjust=\"spacingAndGlyphs\"", num(f.width(s)))
			break
		}
	}
	fmt.Fprintf(&c.b, ">%s</text>\n", quote(s))
}

// link draws what leads from a step down to y: whole where the step holds, dashed where
// nothing proves it, and with a gap and a cross where it is broken or not known.
func (c *canvas) link(from joint, y float64) {
	x, y1 := from.x, from.y
	switch from.status {
	case Broken, Unknown:
		mid := min((y1+y)/2, y1+linkY/2)
		cl := "link " + class(from.status)
		c.path(cl, "M%s %sL%s %sl-4 3l8 2", x, y1, x, mid-8)
		c.path(cl, "M%s %sl8 2l-4 3L%s %s", x-4, mid+4, x, y)
		c.path("cross "+class(from.status), "M%s %sl8 8m0-8l-8 8", x+9, mid-4)
	default:
		c.line("link "+class(from.status), x, y1, x, y)
	}
}

// icon draws the mark of a status, each of a shape of its own.
func (c *canvas) icon(s Status, x, y float64) {
	mx, my := x+icon/2, y+icon/2
	switch s {
	case Good: // a disc with a check mark
		fmt.Fprintf(&c.b, "<circle class=\"mark\" cx=\"%s\" cy=\"%s\" r=\"8\"/>\n", num(mx), num(my))
		c.path("sign", "M%s %sl3 3l5-6", mx-4, my+0.5)
	case Broken: // an octagon with a cross
		c.path("mark", "M%s %sh6.6l4.7 4.7v6.6l-4.7 4.7h-6.6l-4.7-4.7v-6.6z", x+4.7, y)
		c.path("sign", "M%s %sl6 6m0-6l-6 6", mx-3, my-3)
	case Unknown: // a diamond with a question mark
		c.path("mark", "M%s %sl8 8l-8 8l-8-8z", mx, y)
		c.path("sign", "M%s %sq0-2.5 2-2.5t2 2t-2 2.6v.6M%s %sv.6", mx-2, my-1.5, mx, my+4.2)
	case Unproved: // a triangle with a bar
		c.path("mark", "M%s %sl8 15h-16z", mx, y+0.5)
		c.path("sign", "M%s %sv5M%s %sv.8", mx, my-1.5, mx, my+5.2)
	case Missing: // an empty circle
		fmt.Fprintf(&c.b, "<circle class=\"mark\" cx=\"%s\" cy=\"%s\" r=\"7\"/>\n", num(mx), num(my))
	default: // a dash
		c.path("mark", "M%s %sh10", x+3, my)
	}
}

// document puts the picture together.
func (c *canvas) document(l Ladder) []byte {
	var out strings.Builder
	id := c.opt.ID
	names := strings.Join(names(l.Unicode, l.Domain), ", ")
	fmt.Fprintf(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"ladder\" width=\"%s\" height=\"%s\" viewBox=\"0 0 %s %s\" role=\"img\" aria-labelledby=\"%s-title %s-desc\">\n",
		num(c.width), num(c.height), num(c.width), num(c.height), id, id)
	fmt.Fprintf(&out, "<title id=\"%s-title\">%s</title>\n", id, quote("Chain of trust of "+names))
	fmt.Fprintf(&out, "<desc id=\"%s-desc\">%s</desc>\n", id, quote(l.describe()))
	if !c.opt.Inline {
		fmt.Fprintf(&out, "<style>%s</style>\n", Style)
		c.background(&out)
	}
	out.WriteString(c.b.String())
	out.WriteString("</svg>\n")
	return []byte(out.String())
}

func (c *canvas) background(out *strings.Builder) {
	fmt.Fprintf(out, "<rect class=\"paper\" width=\"%s\" height=\"%s\"/>\n", num(c.width), num(c.height))
}

// describe says in a sentence or two where the ladders hold and where they break.
func (l Ladder) describe() string {
	var broken []string
	note := func(of string, steps []Step) {
		for _, s := range steps {
			if (s.Status == Broken || s.Status == Unknown) && s.Kind != Outcome {
				broken = append(broken, fmt.Sprintf("%s (%s, %s)", s.Kind.Title(), of, s.Status))
				return
			}
		}
	}
	note(l.Domain, l.Trunk)
	for _, h := range l.Hosts {
		note(h.Name, h.Steps)
	}
	note("MTA-STS", l.Policy)
	out := fmt.Sprintf("Verdict: %s.", l.Verdict.Name)
	if len(broken) == 0 {
		return out + " No link is broken."
	}
	return out + " The chain breaks at: " + strings.Join(broken, "; ") + "."
}
