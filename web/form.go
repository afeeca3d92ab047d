package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"
)

// parseForm reads a form; any other content type is refused, so that no other
// site can send one as something a browser does not ask about first.
func parseForm(c *gin.Context) (url.Values, error) {
	if c.ContentType() != "application/x-www-form-urlencoded" {
		return nil, errMediaType
	}
	if err := c.Request.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			c.Header("Connection", "close") // rather than to read on
			return nil, errTooLarge
		}
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return c.Request.PostForm, nil
}
