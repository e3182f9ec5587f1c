// Package chart draws small charts of time as SVG: a title, a legend and axes in Chinese
// and English, colours for light and dark, no script and nothing from elsewhere. The
// same chart gives the same bytes.
//
// The figures are floats: they are measurements, never money, seats or doses.
package chart

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Words is a text in both languages.
type Words struct{ ZH, EN string }

// String writes both, the Chinese first.
func (w Words) String() string { return strings.TrimSpace(w.ZH + " " + w.EN) }

// Colour is one of the palette's; every kind of answer keeps its own in all charts.
type Colour string

// The palette, told apart also by people who see fewer colours.
const (
	Green  Colour = "g"
	Blue   Colour = "b"
	Grey   Colour = "n"
	Purple Colour = "p"
	Orange Colour = "o"
	Red    Colour = "r"
	Teal   Colour = "t"
)

// Series is one row of values, a value each Step from the beginning of the axis; NaN is
// none. One without a name is not in the legend.
type Series struct {
	Name   Words
	Colour Colour
	Dashed bool
	Values []float64
}

// Mark is an instant that matters, in seconds.
type Mark struct {
	At   float64
	Text Words
}

// Chart is one picture.
type Chart struct {
	Title  Words
	Y      Words   // what the values are, with their unit
	X      Words   // what the seconds count from
	Step   float64 // seconds of one value
	Stack  bool    // columns on each other, else lines
	Log    bool    // the values' axis in powers of ten
	Top    float64 // the axis reaches at least so far
	Series []Series
	Marks  []Mark
	Notes  []string // below the picture: which command drew it, what was left out
}

const (
	width     = 800
	left      = 64
	right     = 20
	plotTop   = 132 // of a legend of one row
	plotTall  = 240
	legendRow = 22
	noteRow   = 17
	axisTall  = 52 // below the plot
	ticksMost = 6
)

const style = `<style>
svg{--paper:#fff;--ink:#1c2430;--soft:#5a6675;--line:#d9dee5;--g:#12805c;--b:#2867c7;--n:#98a2af;--p:#8a4fbf;--o:#c77700;--r:#c8283c;--t:#0f8fa0}
@media (prefers-color-scheme:dark){svg{--paper:#151a21;--ink:#e9edf2;--soft:#a3aebb;--line:#333c48;--g:#3fbf8f;--b:#6ea8ff;--n:#7d8896;--p:#c39bf0;--o:#f0a53a;--r:#ff6b7a;--t:#4fc9d8}}
text{font:13px system-ui,-apple-system,"Segoe UI","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;fill:var(--ink)}
.title{font-size:17px;font-weight:600}.soft{fill:var(--soft)}.small{font-size:12px;fill:var(--soft)}.grid{stroke:var(--line)}.mark{stroke:var(--soft);stroke-dasharray:2 4}
.paper{fill:var(--paper)}.line{fill:none;stroke-width:2.25;stroke-linejoin:round;stroke-linecap:round}.dash{stroke-dasharray:6 5;stroke-width:1.5}
.fg{fill:var(--g)}.fb{fill:var(--b)}.fn{fill:var(--n)}.fp{fill:var(--p)}.fo{fill:var(--o)}.fr{fill:var(--r)}.ft{fill:var(--t)}
.sg{stroke:var(--g)}.sb{stroke:var(--b)}.sn{stroke:var(--n)}.sp{stroke:var(--p)}.so{stroke:var(--o)}.sr{stroke:var(--r)}.st{stroke:var(--t)}
</style>
`

// canvas is a chart while it is drawn.
type canvas struct {
	Chart
	strings.Builder
	top        float64 // of the plot
	span       float64 // seconds of the axis
	low, high  float64 // of the values' axis; powers of ten when Log
	ticks      []float64
	totalTall  int
	legendRows [][]Series
}

func (c *canvas) f(format string, a ...any) { fmt.Fprintf(c, format, a...) }

// SVG draws it.
func (c Chart) SVG() []byte {
	d := &canvas{Chart: c}
	d.measure()
	d.f(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="t">`+"\n", width, d.totalTall, width, d.totalTall)
	d.f("<title id=\"t\">%s</title>\n%s<rect class=\"paper\" width=\"%d\" height=\"%d\" rx=\"8\"/>\n", html.EscapeString(c.Title.String()), style, width, d.totalTall)
	d.text(left, 32, "title", "", c.Title.ZH)
	d.text(left, 52, "soft", "", c.Title.EN)
	d.legend()
	d.axes()
	if c.Stack {
		d.columns()
	} else {
		d.lines()
	}
	d.marks()
	y := d.top + plotTall + axisTall + 8
	for i, n := range c.Notes {
		d.text(left, y+float64(i*noteRow), "small", "", n)
	}
	d.f("</svg>\n")
	return []byte(d.String())
}

// measure lays the picture out.
func (c *canvas) measure() {
	used := 0
	for _, s := range c.Series {
		if s.Name == (Words{}) {
			continue
		}
		if len(c.legendRows) == 0 || used+s.wide() > width-left-right+legendGap {
			c.legendRows, used = append(c.legendRows, nil), 0
		}
		last := len(c.legendRows) - 1
		c.legendRows[last] = append(c.legendRows[last], s)
		used += s.wide()
	}
	c.top = plotTop + float64(max(0, len(c.legendRows)-1)*legendRow)
	c.totalTall = int(c.top) + plotTall + axisTall + len(c.Notes)*noteRow + 8
	n := 0
	for _, s := range c.Series {
		n = max(n, len(s.Values))
	}
	c.span = math.Max(float64(n)*c.Step, c.Step)
	c.scale(n)
}

// scale chooses the values' axis: to the highest of the columns or lines, in round steps.
func (c *canvas) scale(n int) {
	high, low := c.Top, math.Inf(1)
	for i := range n {
		sum := 0.0
		for _, s := range c.Series {
			if i >= len(s.Values) || math.IsNaN(s.Values[i]) {
				continue
			}
			v := s.Values[i]
			sum += v
			high = math.Max(high, v)
			if v > 0 {
				low = math.Min(low, v)
			}
		}
		if c.Stack {
			high = math.Max(high, sum)
		}
	}
	if c.Log {
		if math.IsInf(low, 1) { // nothing to show
			low, high = 1, 10
		}
		c.low = math.Floor(math.Log10(low))
		c.high = math.Max(math.Ceil(math.Log10(high)), c.low+1)
		for e := c.low; e <= c.high; e++ {
			c.ticks = append(c.ticks, math.Pow(10, e))
		}
		return
	}
	step := round(math.Max(high, 1) / ticksMost)
	c.high = step * math.Ceil(math.Max(high, 1)/step)
	for k := 0; float64(k)*step <= c.high; k++ {
		c.ticks = append(c.ticks, float64(k)*step)
	}
}

// round is the next 1, 2 or 5 times a power of ten.
func round(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*p*(1+1e-9) {
			return m * p
		}
	}
	return 10 * p
}

// x and y are where an instant and a value lie.
func (c *canvas) x(seconds float64) float64 {
	return left + seconds/c.span*(width-left-right)
}

func (c *canvas) y(v float64) float64 {
	if c.Log {
		v = math.Log10(math.Max(v, math.Pow(10, c.low)))
	}
	return c.top + plotTall*(1-(v-c.low)/(c.high-c.low))
}

func (c *canvas) text(x, y float64, class, anchor, text string) {
	c.f(`<text x="%s" y="%s" class="%s" text-anchor="%s">%s</text>`+"\n", num(x), num(y), class, cmp.Or(anchor, "start"), html.EscapeString(text))
}

const (
	swatch    = 20
	legendGap = 20
)

// wide is the room of a series in the legend.
func (s Series) wide() int { return swatch + textWide(s.Name.String()) + legendGap }

// legend names the series above the plot.
func (c *canvas) legend() {
	y := 80.0
	for _, row := range c.legendRows {
		x := float64(left)
		for _, s := range row {
			if c.Stack {
				c.f(`<rect x="%s" y="%s" width="13" height="13" rx="2" class="f%s"/>`+"\n", num(x), num(y-11), s.Colour)
			} else {
				c.f(`<path d="M%s %sh14" class="line s%s%s"/>`+"\n", num(x), num(y-4), s.Colour, s.dash())
			}
			c.text(x+swatch, y, "", "", s.Name.String())
			x += float64(s.wide())
		}
		y += legendRow
	}
}

func (s Series) dash() string {
	if s.Dashed {
		return " dash"
	}
	return ""
}

// axes draws grid, numbers and what they mean.
func (c *canvas) axes() {
	c.text(left, c.top-26, "small", "", c.Y.String())
	for _, t := range c.ticks {
		y := c.y(t)
		c.f(`<path d="M%d %sH%d" class="grid"/>`+"\n", left, num(y), width-right)
		c.text(left-8, y+4, "soft", "end", num(t))
	}
	bottom := c.top + plotTall
	step := math.Max(1, round(c.span/14))
	for t := 0.0; t <= c.span+1e-9; t += step {
		c.f(`<path d="M%s %sv5" class="grid"/>`+"\n", num(c.x(t)), num(bottom))
		c.text(c.x(t), bottom+19, "soft", "middle", num(t))
	}
	c.text((left+width-right)/2, bottom+38, "small", "middle", c.X.String())
}

// columns stacks the series in their order.
func (c *canvas) columns() {
	base := map[int]float64{}
	for _, s := range c.Series {
		c.f(`<g class="f%s">`+"\n", s.Colour)
		for i, v := range s.Values {
			if math.IsNaN(v) || v <= 0 {
				continue
			}
			from, to := c.y(base[i]), c.y(base[i]+v)
			base[i] += v
			x, w := c.x(float64(i)*c.Step), c.x(float64(i+1)*c.Step)-c.x(float64(i)*c.Step)
			c.f(`<rect x="%s" y="%s" width="%s" height="%s"/>`+"\n", num(x), num(to), num(w-1), num(from-to))
		}
		c.f("</g>\n")
	}
}

// lines draws each series at the middle of its steps; where a value is missing the line
// is broken, and a value between two missing ones is a dot.
func (c *canvas) lines() {
	for _, s := range c.Series {
		var path strings.Builder
		open := false
		for i, v := range s.Values {
			if math.IsNaN(v) {
				open = false
				continue
			}
			at := num(c.x((float64(i)+0.5)*c.Step)) + " " + num(c.y(v))
			switch {
			case open:
				path.WriteString("L" + at)
			case i+1 >= len(s.Values) || math.IsNaN(s.Values[i+1]):
				path.WriteString("M" + at + "h0")
			default:
				path.WriteString("M" + at)
			}
			open = true
		}
		if path.Len() > 0 {
			c.f(`<path d="%s" class="line s%s%s"/>`+"\n", path.String(), s.Colour, s.dash())
		}
	}
}

// marks draws the instants, their words above the plot.
func (c *canvas) marks() {
	for _, m := range c.Marks {
		if m.At < 0 || m.At > c.span {
			continue
		}
		x, anchor := c.x(m.At), "start"
		if x > width-right-float64(textWide(m.Text.String())) {
			anchor = "end"
		}
		c.f(`<path d="M%s %sV%s" class="mark"/>`+"\n", num(x), num(c.top-4), num(c.top+plotTall))
		c.text(x, c.top-8, "small", anchor, m.Text.String())
	}
}

// textWide estimates the pixels of a text of 13 px: a Chinese character is a square.
func textWide(s string) int {
	n := 0
	for _, r := range s {
		if utf8.RuneLen(r) >= 3 {
			n += 13
		} else {
			n += 7
		}
	}
	return n
}

// num writes a number as short as a picture needs it.
func num(v float64) string {
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
}
