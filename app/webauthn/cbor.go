package webauthn

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

var errCBOR = errors.New("malformed CBOR")

// maxDepth bounds what is in what: an attestation's certificates are three deep.
const maxDepth = 8

// decode reads one item of the CBOR that authenticators write (RFC 8949, of lengths that are
// said first), and returns what follows it. Numbers are int64, maps map[any]any.
func decode(b []byte) (item any, rest []byte, err error) { return decodeItem(b, maxDepth) }

func decodeItem(b []byte, depth int) (item any, rest []byte, err error) {
	if len(b) == 0 || depth == 0 {
		return nil, nil, errCBOR
	}
	major, info, b := b[0]>>5, b[0]&31, b[1:]
	n := uint64(info)
	if info >= 24 {
		size := 1 << (info - 24)
		if info > 27 || len(b) < size {
			return nil, nil, errCBOR
		}
		var wide [8]byte
		copy(wide[8-size:], b)
		n, b = binary.BigEndian.Uint64(wide[:]), b[size:]
	}
	switch major {
	case 0, 1: // a number, or -1 less one
		if n > 1<<62 {
			return nil, nil, errCBOR
		}
		if major == 1 {
			return -1 - int64(n), b, nil
		}
		return int64(n), b, nil
	case 2, 3: // bytes, text
		if n > uint64(len(b)) {
			return nil, nil, errCBOR
		}
		if major == 3 {
			if !utf8.Valid(b[:n]) {
				return nil, nil, errCBOR
			}
			return string(b[:n]), b[n:], nil
		}
		return b[:n:n], b[n:], nil
	case 4: // a list
		if n > uint64(len(b)) { // each takes a byte at least
			return nil, nil, errCBOR
		}
		list := make([]any, n)
		for i := range list {
			if list[i], b, err = decodeItem(b, depth-1); err != nil {
				return nil, nil, err
			}
		}
		return list, b, nil
	case 5: // a map
		if n > uint64(len(b))/2 {
			return nil, nil, errCBOR
		}
		fields := make(map[any]any, n)
		for range n {
			var key, value any
			if key, b, err = decodeItem(b, depth-1); err == nil {
				value, b, err = decodeItem(b, depth-1)
			}
			if err != nil {
				return nil, nil, err
			}
			switch key.(type) {
			case int64, string:
			default:
				return nil, nil, errCBOR
			}
			if _, twice := fields[key]; twice {
				return nil, nil, errCBOR
			}
			fields[key] = value
		}
		return fields, b, nil
	case 7:
		switch info {
		case 20, 21:
			return info == 21, b, nil
		case 22:
			return nil, b, nil
		}
	}
	return nil, nil, errCBOR
}
