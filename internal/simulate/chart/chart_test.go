package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// elements reads a picture as XML and counts its elements by name.
func elements(t *testing.T, svg []byte) map[string]int {
	t.Helper()
	out := map[string]int{}
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		if e, ok := tok.(xml.StartElement); ok {
			out[e.Name.Local]++
		}
	}
}

func small() Chart {
	return Chart{
		Title: Words{"题 <目>", "Title & more"}, Y: Words{"个", "things"}, X: Words{"秒", "seconds"}, Step: 0.5,
		Series: []Series{
			{Name: Words{"甲", "a"}, Colour: Green, Values: []float64{1, 2, 4, 0}},
			{Name: Words{"乙", "b"}, Colour: Red, Values: []float64{3, 0, 4, 0}},
			{Colour: Grey, Dashed: true, Values: []float64{0, 0, 0, 0}},
		},
		Marks: []Mark{{At: 1, Text: Words{"放号", "release"}}, {At: 99, Text: Words{"无", "outside"}}},
		Notes: []string{"a note"},
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	c := small()
	c.Stack = true
	svg := c.SVG()
	if !bytes.Equal(svg, c.SVG()) {
		t.Error("two drawings of a chart differ")
	}
	if got := elements(t, svg)["rect"]; got != 1+2+5 { // paper, legend of the named, columns with a value
		t.Errorf("%d rectangles", got)
	}
	s := string(svg)
	for _, want := range []string{"题 &lt;目&gt;", "Title &amp; more", "甲 a", "乙 b", "个 things", "秒 seconds", "放号 release", "a note", "prefers-color-scheme:dark"} {
		if !strings.Contains(s, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(s, "outside") {
		t.Error("a mark beyond the axis is drawn")
	}
	// Both columns of the third step are equally tall, one on the other.
	cols := regexp.MustCompile(`<rect x="([0-9.]+)" y="([0-9.]+)" width="[0-9.]+" height="([0-9.]+)"/>`).FindAllStringSubmatch(s, -1)
	var third [][2]float64
	for _, m := range cols {
		if m[1] == "422" { // 64 + (800-64-20) / 2
			third = append(third, [2]float64{number(t, m[2]), number(t, m[3])})
		}
	}
	if len(third) != 2 || third[0][1] != third[1][1] || math.Abs(third[1][0]+third[1][1]-third[0][0]) > 0.02 {
		t.Errorf("the columns of a step do not stand on each other: %v", third)
	}
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A line is broken where a value is missing, and a lone value is a dot.
func TestLines(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	c := small()
	c.Log = true
	c.Series = []Series{{Name: Words{EN: "p99"}, Colour: Blue, Values: []float64{10, 1000, nan, 100, nan, 10, 10}}}
	svg := string(c.SVG())
	elements(t, []byte(svg))
	m := regexp.MustCompile(`<path d="([^"]+)" class="line sb"/>\n<path d="[^"]+" class="mark"`).FindStringSubmatch(svg)
	if m == nil || strings.Count(m[1], "M") != 3 || strings.Count(m[1], "L") != 2 || strings.Count(m[1], "h0") != 1 {
		t.Fatalf("the line is %v", m)
	}
	// Powers of ten lie equally far apart.
	at := regexp.MustCompile(`[ML]([0-9.]+) ([0-9.]+)`).FindAllStringSubmatch(m[1], 3)
	ten, thousand, hundred := number(t, at[0][2]), number(t, at[1][2]), number(t, at[2][2])
	if math.Abs((ten-hundred)-(hundred-thousand)) > 0.02 || ten <= hundred {
		t.Errorf("10, 100, 1000 lie at %v, %v, %v", ten, hundred, thousand)
	}
}

// Nothing to show is a picture too: no NaN and no infinity gets into it.
func TestOdd(t *testing.T) {
	t.Parallel()
	for i, values := range [][]float64{nil, {}, {0, 0}, {math.NaN()}, {5}, {1e9, 1}} {
		for _, log := range []bool{false, true} {
			for _, stack := range []bool{false, true} {
				c := small()
				c.Log, c.Stack, c.Series = log && !stack, stack, []Series{{Name: Words{EN: fmt.Sprint(i)}, Colour: Teal, Values: values}}
				svg := c.SVG()
				elements(t, svg)
				if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) {
					t.Errorf("%v, log %t, stack %t: a number that is none", values, log, stack)
				}
			}
		}
	}
}

// A legend that does not fit into one row takes more, here six, and the plot moves down.
func TestLegend(t *testing.T) {
	t.Parallel()
	c := small()
	one := bytes.Count(c.SVG(), []byte("viewBox=\"0 0 800 449\""))
	for range 6 {
		c.Series = append(c.Series, Series{Name: Words{"很长的一个名称，需要地方", "a long name that needs room"}, Colour: Blue, Values: []float64{1}})
	}
	if one != 1 || !bytes.Contains(c.SVG(), []byte("viewBox=\"0 0 800 559\"")) {
		t.Errorf("%s", regexp.MustCompile(`viewBox="[^"]+"`).Find(c.SVG()))
	}
}

func TestRound(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]float64{0.5: 0.5, 1: 1, 1.2: 2, 3: 5, 6: 10, 20: 20, 21: 50, 999: 1000} {
		if got := round(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("round(%v) = %v, want %v", v, got, want)
		}
	}
}
