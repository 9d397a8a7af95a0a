package htmlpage

import (
	"fmt"
	"html/template"
	"reflect"
	"regexp"
	"strings"
	"text/template/parse"
)

// escape is a text as html/template writes it into HTML and into attributes in quotes.
func escape(s string) string { return escaper.Replace(s) }

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;", "+", "&#43;", "\x00", "\uFFFD")

// A place is where in HTML a text of the template ends.
type place struct {
	in  state
	raw string // the element whose text is not HTML, such as style
	// attribute has the value; it may be that of a link.
	attribute string
}

type state uint8

const (
	inText  state = iota // between tags
	inTag                // in a tag, outside of quotes
	inValue              // in the quotes of an attribute
)

// checker holds every value of a template to be at a place where it can be escaped.
type checker struct {
	t   *Template
	err error
}

func (c *checker) fail(n parse.Node, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%s: "+format, append([]any{cut(n.String())}, args...)...)
	}
}

func cut(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

// list walks nodes from a place on and returns where they end.
func (c *checker) list(l *parse.ListNode, at place) place {
	if l == nil {
		return at
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			at = at.after(string(n.Text))
		case *parse.ActionNode:
			c.pipe(n.Pipe)
			if len(n.Pipe.Decl) == 0 {
				c.value(n, at)
			}
		case *parse.IfNode:
			at = c.branch(&n.BranchNode, at)
		case *parse.WithNode:
			at = c.branch(&n.BranchNode, at)
		case *parse.RangeNode:
			at = c.branch(&n.BranchNode, at)
		default:
			c.fail(n, "%w", errUnsupported)
		}
	}
	return at
}

// branch holds both ways, and the way round a loop, to end at one place.
func (c *checker) branch(n *parse.BranchNode, at place) place {
	c.pipe(n.Pipe)
	one, other := c.list(n.List, at), c.list(n.ElseList, at)
	if one != other || n.NodeType == parse.NodeRange && one != at {
		c.fail(n, "its ways end at different places of a tag")
	}
	return one
}

// pipe holds a pipeline to be one command.
func (c *checker) pipe(p *parse.PipeNode) {
	if len(p.Cmds) != 1 || p.IsAssign {
		c.fail(p, "%w", errUnsupported)
		return
	}
	for i, a := range p.Cmds[0].Args {
		switch a := a.(type) {
		case *parse.PipeNode:
			c.pipe(a)
		case *parse.IdentifierNode, *parse.FieldNode, *parse.VariableNode, *parse.DotNode, *parse.StringNode:
		default:
			c.fail(p, "%w", errUnsupported)
		}
		if _, function := p.Cmds[0].Args[0].(*parse.IdentifierNode); i > 0 && !function {
			c.fail(p, "arguments without a function")
		}
	}
}

// value holds a value to be where it can be escaped, and a link to come of a function that
// vouches for it.
func (c *checker) value(n *parse.ActionNode, at place) {
	var out reflect.Type
	if f, ok := n.Pipe.Cmds[0].Args[0].(*parse.IdentifierNode); ok {
		if v, ok := c.t.funcs[f.Ident]; ok {
			out = v.Type().Out(0)
		}
	}
	a := at.attribute
	switch {
	case at.raw != "":
		c.fail(n, "a value in <%s>", at.raw)
	case at.in == inTag:
		c.fail(n, "a value in a tag, outside of quotes")
	case at.in == inValue && (a == "style" || a == "srcset" || strings.HasPrefix(a, "on")):
		c.fail(n, "a value in the attribute %s", a)
	case at.in == inValue && (a == "href" || a == "src" || a == "action") && out != reflect.TypeFor[template.URL]():
		c.fail(n, "a value in the attribute %s that is not of a function for links", a)
	case at.in == inValue && out == reflect.TypeFor[template.HTML]():
		c.fail(n, "HTML in the attribute %s", a)
	}
}

var (
	rawElement = regexp.MustCompile(`(?i)^(style|script|textarea)\b`)
	named      = regexp.MustCompile(`([a-zA-Z-]+)=$`)
)

// after is where s ends that begins at p.
func (p place) after(s string) place {
	for s != "" {
		switch p.in {
		case inText:
			if p.raw != "" {
				_, rest, ok := strings.Cut(s, "</"+p.raw)
				if !ok {
					return p
				}
				p, s = place{in: inTag}, rest
				continue
			}
			_, rest, ok := strings.Cut(s, "<")
			if !ok {
				return p
			}
			p, s = place{in: inTag, raw: strings.ToLower(rawElement.FindString(rest))}, rest
		case inTag:
			i := strings.IndexAny(s, `>"`)
			if i < 0 {
				return p
			}
			if s[i] == '>' {
				p.in = inText
			} else {
				p.in = inValue
				if m := named.FindStringSubmatch(s[:i]); m != nil {
					p.attribute = strings.ToLower(m[1])
				}
			}
			s = s[i+1:]
		case inValue:
			_, rest, ok := strings.Cut(s, `"`)
			if !ok {
				return p
			}
			p.in, p.attribute, s = inTag, "", rest
		}
	}
	return p
}
