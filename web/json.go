package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// maxAccept bounds an Accept header that is read, in bytes; browsers send some 150.
const maxAccept = 1 << 10

// acceptsJSON reads an Accept header far enough to tell whether JSON will do. So it
// does where the header is too long to be read.
func acceptsJSON(headers []string) bool {
	accept := strings.Join(headers, ",")
	if strings.TrimSpace(accept) == "" || len(accept) > maxAccept {
		return true
	}
	for part := range strings.SplitSeq(accept, ",") {
		mediaType, params, err := mime.ParseMediaType(part)
		if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
			continue
		}
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil && q == 0 {
			continue
		}
		if slices.Contains([]string{"application/json", "application/*", "*/*"}, mediaType) {
			return true
		}
	}
	return false
}

// apiTime writes times as authentik does, but always with six digits.
type apiTime time.Time

// orNone is the time, or null for the zero time.
func orNone(t time.Time) *apiTime {
	if t.IsZero() {
		return nil
	}
	return (*apiTime)(&t)
}

func (t apiTime) MarshalJSON() ([]byte, error) {
	return appendTime(nil, time.Time(t)), nil
}

var jsonType = []string{"application/json"}

// writeJSON answers with v as authentik does: compact, raw UTF-8, no charset.
func writeJSON(c *gin.Context, status int, v any) {
	writeBody(c, status, mustMarshal(v))
}

// mustMarshal is marshal of one of our own types.
func mustMarshal(v any) []byte {
	body, err := marshal(v)
	if err != nil {
		panic(err)
	}
	return body
}

// marshal is json.Marshal without escaping for HTML. What marshals itself is compact as
// it is; encoding/json would read it once more to see to that.
func marshal(v any) ([]byte, error) {
	if self, ok := v.(json.Marshaler); ok {
		return self.MarshalJSON()
	}
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

// netBuffer is up to how many bytes of a body net/http counts by itself.
const netBuffer = 2048

func writeBody(c *gin.Context, status int, body []byte) {
	h := c.Writer.Header()
	h["Content-Type"] = jsonType
	if len(body) >= netBuffer {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	c.Status(status)
	_, _ = c.Writer.Write(body) // a client that left is nobody's error
}
