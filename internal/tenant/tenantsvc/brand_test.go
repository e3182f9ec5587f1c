package tenantsvc

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"testing"

	"xinglin/internal/tenant"
)

func logo(t *testing.T, side int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, side, side))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBrand(t *testing.T) {
	good := logo(t, 8)
	chunk := []byte("\x00\x00\x00\x08tEXt<script>\x00\x00\x00\x00")
	commented := append(append(bytes.Clone(good[:33]), chunk...), good[33:]...)
	for name, c := range map[string]struct {
		b    Brand
		want error
	}{
		"nothing":        {Brand{Logo: []byte{}}, nil},
		"all":            {Brand{"杏林", "010-1234 5678", "#0b6e4f", good}, nil},
		"pale":           {Brand{Accent: "#7fb3d5", Logo: []byte{}}, tenant.ErrContrast},
		"just too pale":  {Brand{Accent: "#777777", Logo: []byte{}}, tenant.ErrContrast}, // 4.48
		"just dark":      {Brand{Accent: "#767676", Logo: []byte{}}, nil},                // 4.54
		"a style":        {Brand{Accent: "#0b6e4f;}", Logo: []byte{}}, tenant.ErrBrand},
		"a phone":        {Brand{Phone: "<b>1", Logo: []byte{}}, tenant.ErrBrand},
		"right to left":  {Brand{ShortName: "a\u202eb", Logo: []byte{}}, tenant.ErrBrand},
		"no member":      {Brand{}, tenant.ErrLogo},
		"svg":            {Brand{Logo: []byte("<svg onload=alert(1)>")}, tenant.ErrLogo},
		"a page behind":  {Brand{Logo: append(bytes.Clone(good), "<script>"...)}, tenant.ErrLogo},
		"text inside":    {Brand{Logo: commented}, tenant.ErrLogo},
		"cut off":        {Brand{Logo: good[:len(good)-4]}, tenant.ErrLogo},
		"too many lines": {Brand{Logo: logo(t, 1025)}, tenant.ErrLogo},
	} {
		if err := c.b.check(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
