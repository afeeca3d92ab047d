package view

import (
	"fmt"
	"html/template"
	"strings"

	qr "github.com/piglig/go-qr"
)

// QR is a picture of a text for a phone's camera. It is black on white in every theme,
// with the margin that readers need.
func QR(text string) (template.HTML, error) {
	const margin = 4
	code, err := qr.EncodeText(text, qr.Low)
	if err != nil {
		return "", fmt.Errorf("draw a QR code: %w", err)
	}
	var dark strings.Builder
	for y := range code.Size() {
		for x := 0; x < code.Size(); x++ {
			from := x
			for code.Module(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&dark, "M%d %dh%dv1h-%dz", from+margin, y+margin, x-from, x-from)
			}
		}
	}
	side := code.Size() + 2*margin
	return template.HTML(fmt.Sprintf(`<svg class="qr" viewBox="0 0 %d %[1]d" width="216" height="216" aria-hidden="true" shape-rendering="crispEdges">`+
		`<path fill="#fff" d="M0 0h%[1]dv%[1]dH0z"/><path fill="#000" d="%s"/></svg>`, side, dark.String())), nil
}

// AppLink is an address that opens an app on the device, not a page.
func AppLink(uri string) template.URL { return template.URL(uri) }
