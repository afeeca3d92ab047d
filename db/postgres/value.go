package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// encodeAll is what a statement is given: bytes as they are, the rest as text.
func encodeAll(args []any) (values [][]byte, formats []int16, err error) {
	values, formats = make([][]byte, len(args)), make([]int16, len(args))
	for i, arg := range args {
		if b, ok := arg.([]byte); ok {
			values[i], formats[i] = b, 1
			continue
		}
		if values[i], err = encode(arg); err != nil {
			return nil, nil, fmt.Errorf("$%d: %w", i+1, err)
		}
	}
	return values, formats, nil
}

// encode is a value as text, nil for null. PostgreSQL takes no text that is none: it gets it
// as it would be stored.
func encode(arg any) ([]byte, error) {
	switch v := arg.(type) {
	case nil:
		return nil, nil
	case string:
		return []byte(text(v)), nil
	case uuid.UUID:
		return []byte(v.String()), nil
	case []byte:
		return append([]byte(`\x`), hex.AppendEncode(nil, v)...), nil
	case []int64:
		list := []byte{'{'}
		for i, n := range v {
			if i > 0 {
				list = append(list, ',')
			}
			list = strconv.AppendInt(list, n, 10)
		}
		return append(list, '}'), nil
	case []string:
		list := []byte{'{'}
		for i, s := range v {
			if i > 0 {
				list = append(list, ',')
			}
			list = append(append(append(list, '"'), quoted.Replace(text(s))...), '"')
		}
		return append(list, '}'), nil
	}
	switch v := reflect.ValueOf(arg); v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		return encode(v.Elem().Interface())
	case reflect.Bool:
		return strconv.AppendBool(nil, v.Bool()), nil
	case reflect.Int, reflect.Int64:
		return strconv.AppendInt(nil, v.Int(), 10), nil
	case reflect.String:
		return []byte(text(v.String())), nil
	}
	return nil, fmt.Errorf("a %T is not stored", arg)
}

var quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// A tuple is the columns of a row, good until the next one is read.
type tuple struct {
	fields []pgconn.FieldDescription
	values [][]byte
}

// scan copies each column to where it goes.
func (t tuple) scan(to []any) error {
	if len(to) != len(t.values) {
		return fmt.Errorf("%d columns are read as %d", len(t.values), len(to))
	}
	for i, v := range t.values {
		if err := decode(v, to[i]); err != nil {
			return fmt.Errorf("column %s: %w", t.fields[i].Name, err)
		}
	}
	return nil
}

// decode copies a value in PostgreSQL's binary form, nil for null.
func decode(v []byte, to any) error {
	switch to := to.(type) {
	case timeColumn:
		*to.t = time.Time{}
		if v == nil {
			return nil
		}
		var at int64
		err := decode(v, &at)
		*to.t = time.UnixMicro(at).UTC()
		return err
	case namesColumn:
		return json.Unmarshal(v, to.names)
	case addrColumn:
		*to.a = netip.Addr{}
		if len(v) == 0 {
			return nil
		}
		var err error
		*to.a, err = netip.ParseAddr(string(v))
		return err
	case *[]byte:
		*to = bytes.Clone(v)
		return nil
	case *[]string:
		*to = nil
		return elements(v, func(v []byte) { *to = append(*to, string(v)) })
	}
	into := reflect.ValueOf(to).Elem()
	if into.Kind() == reflect.Pointer {
		into.SetZero()
		if v == nil {
			return nil
		}
		into.Set(reflect.New(into.Type().Elem()))
		return decode(v, into.Interface())
	}
	if v == nil {
		return errors.New("is null")
	}
	switch to := to.(type) {
	case *string:
		*to = string(v)
		return nil
	case *uuid.UUID:
		return to.UnmarshalBinary(v)
	case *bool:
		*to = len(v) == 1 && v[0] == 1
		return nil
	case *float64:
		n, err := integer(v)
		*to = math.Float64frombits(uint64(n))
		return err
	}
	switch into.Kind() {
	case reflect.Int, reflect.Int64:
		n, err := integer(v)
		into.SetInt(n)
		return err
	case reflect.String:
		into.SetString(string(v))
		return nil
	case reflect.Slice: // of bytes, under another name
		into.SetBytes(bytes.Clone(v))
		return nil
	}
	return fmt.Errorf("nothing is read as a %T", to)
}

func integer(v []byte) (int64, error) {
	switch len(v) {
	case 2:
		return int64(int16(binary.BigEndian.Uint16(v))), nil
	case 4:
		return int64(int32(binary.BigEndian.Uint32(v))), nil
	case 8:
		return int64(binary.BigEndian.Uint64(v)), nil
	}
	return 0, errors.New("is no integer")
}

// elements calls f for each element of an array, which has one dimension and no null: after
// a head that says so and how many there are, each has its length before it.
func elements(v []byte, f func([]byte)) error {
	const head = 12
	if len(v) < head+8 { // null, or empty
		return nil
	}
	for v = v[head+8:]; len(v) >= 4; {
		n := int(int32(binary.BigEndian.Uint32(v)))
		if v = v[4:]; n < 0 || n > len(v) {
			return errors.New("is no list of texts")
		}
		f(v[:n])
		v = v[n:]
	}
	return nil
}

// scanRecord copies the columns of a record to where they go: after how many there are,
// each has its type and its length before it.
func scanRecord(v []byte, to []any) error {
	if len(v) < 4 || int(binary.BigEndian.Uint32(v)) != len(to) {
		return fmt.Errorf("a record is not of %d columns", len(to))
	}
	v = v[4:]
	for i, to := range to {
		if len(v) < 8 {
			return errors.New("a record is cut off")
		}
		var column []byte
		n := int(int32(binary.BigEndian.Uint32(v[4:])))
		if v = v[8:]; n > len(v) {
			return errors.New("a record is cut off")
		}
		if n >= 0 {
			column, v = v[:n:n], v[n:]
		}
		if err := decode(column, to); err != nil {
			return fmt.Errorf("column %d of a record: %w", i+1, err)
		}
	}
	return nil
}

// The types of columns, as PostgreSQL numbers them.
const (
	typeBool  = 16
	typeBytes = 17
	typeInt8  = 20
	typeInt2  = 21
	typeInt4  = 23
	typeText  = 25
	typeUUID  = 2950
)

// plain are the columns as a copy of the database has them: integers, texts, bytes and nil.
func (t tuple) plain() (row []any, err error) {
	row = make([]any, len(t.values))
	for i, v := range t.values {
		if v == nil {
			continue
		}
		switch t.fields[i].DataTypeOID {
		case typeBool:
			row[i] = int64(v[0])
		case typeBytes, typeUUID:
			row[i] = bytes.Clone(v)
		case typeInt2, typeInt4, typeInt8:
			row[i], err = integer(v)
		case typeText:
			row[i] = string(v)
		default:
			err = fmt.Errorf("column %s is of a type that is not copied", t.fields[i].Name)
		}
		if err != nil {
			return nil, err
		}
	}
	return row, nil
}

// copyText is the rows of a table as COPY reads them: a line each, a tab between columns.
type copyText struct {
	next func() (row []any, err error) // io.EOF after the last
	rest []byte
}

var escaped = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)

// Read is an io.Reader's.
func (c *copyText) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		row, err := c.next()
		if err != nil {
			return 0, err
		}
		var line []byte
		for i, v := range row {
			if i > 0 {
				line = append(line, '\t')
			}
			value, err := encode(v)
			switch {
			case err != nil:
				return 0, err
			case value == nil:
				line = append(line, `\N`...)
			default:
				line = append(line, escaped.Replace(string(value))...)
			}
		}
		c.rest = append(line, '\n')
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
