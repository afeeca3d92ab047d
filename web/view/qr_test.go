package view

import (
	"image"
	"image/color"
	"regexp"
	"strconv"
	"testing"

	qr "github.com/piglig/go-qr"
)

// What we draw is read again, by the path that a browser fills.
func TestQR(t *testing.T) {
	for _, text := range []string{"otpauth://totp/auth.home.example:ada?issuer=auth.home.example&secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "x", "otpauth://totp/a:J%C3%BCrgen?secret=AAAA"} {
		drawn, err := QR(text)
		if err != nil {
			t.Fatal(err)
		}
		side, err := strconv.Atoi(regexp.MustCompile(`viewBox="0 0 (\d+)`).FindStringSubmatch(string(drawn))[1])
		if err != nil {
			t.Fatal(err)
		}
		const scale = 4
		picture := image.NewGray(image.Rect(0, 0, side*scale, side*scale))
		for i := range picture.Pix {
			picture.Pix[i] = 255
		}
		for _, run := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(string(drawn), -1) {
			var n [5]int
			for i := 1; i < 5; i++ {
				n[i], _ = strconv.Atoi(run[i])
			}
			if n[3] != n[4] {
				t.Fatalf("a run does not close: %s", run[0])
			}
			for x := n[1] * scale; x < (n[1]+n[3])*scale; x++ {
				for y := n[2] * scale; y < (n[2]+1)*scale; y++ {
					picture.Set(x, y, color.Black)
				}
			}
		}
		if got, err := qr.Decode(picture); err != nil || got != text {
			t.Errorf("%q is read as %q, %v", text, got, err)
		}
	}
}
