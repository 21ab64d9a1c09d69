package main

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// A layer is one of the places that settings come from; a later one wins.
type layer int

const (
	fromDefault layer = iota
	fromFile
	fromEnvironment
	fromFlag
)

// An origin says where a setting was made, in the words of an error message.
type origin struct {
	layer layer
	where string // "pgwitness.yaml:3", "PGWITNESS_KAFKA_PREFIX", "--prefix"
}

// A key is one setting: a leaf of the config's tree.
type key struct {
	path  string        // as in the file: "kafka.brokers"
	value reflect.Value // addressable
}

// env is the environment variable of the key.
func (k key) env() string {
	return "PGWITNESS_" + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_"))
}

// keys lists every setting, derived from the tree so that none can be forgotten.
func (c *config) keys() []key {
	return appendKeys(nil, "", reflect.ValueOf(c).Elem())
}

func appendKeys(keys []key, path string, v reflect.Value) []key {
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("yaml")
		switch {
		case tag == "":
		case v.Field(i).Kind() == reflect.Struct:
			keys = appendKeys(keys, path+tag+".", v.Field(i))
		default:
			keys = append(keys, key{path + tag, v.Field(i)})
		}
	}
	return keys
}

// set gives a key a value in its text form and notes where that came from.
func (c *config) set(k key, text string, from origin) error {
	if err := parse(k.value, text); err != nil {
		if secret(k.path) {
			return usagef("%s: %s: a value that cannot be read", from.where, k.path)
		}
		return usagef("%s: %s: %q: %w", from.where, k.path, text, err)
	}
	c.origins[k.path] = from
	return nil
}

// secret reports whether the key's value must not be shown.
func secret(path string) bool { return path == "source.url" }

// parse reads the text form of a value: lists are separated by commas, names are written as k=v,k=v.
func parse(v reflect.Value, text string) error {
	switch p := v.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		if err := p.UnmarshalText([]byte(text)); err != nil {
			return fmt.Errorf("wanted: %s", kindOf(v))
		}
	case *string:
		*p = text
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("wanted: %s", kindOf(v))
		}
		*p = n
	case *bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("wanted: %s", kindOf(v))
		}
		*p = b
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("wanted: %s", kindOf(v))
		}
		*p = d
	case *[]string:
		*p = splitList(text)
	case *map[string]string:
		names, err := splitPairs(text)
		if err != nil {
			return fmt.Errorf("wanted: %s", kindOf(v))
		}
		*p = names
	default:
		panic("no text form for " + v.Type().String())
	}
	return nil
}

// kindOf names what a key wants, for error messages.
func kindOf(v reflect.Value) string {
	switch v.Addr().Interface().(type) {
	case *string:
		return "a string"
	case *int:
		return "a whole number"
	case *bool:
		return "true or false"
	case *time.Duration:
		return "a duration such as 4s or 1m30s"
	case *retention:
		return "-1 (for ever) or a duration such as 720h"
	case *[]string:
		return "a list"
	case *maskNames:
		return "masks (schema.table.column: redact, hash, last4 or null-marker; in the environment schema.table.column=redact,…)"
	case *map[string]string:
		return "names with values (name: value; in the environment name=value,…)"
	}
	panic("no name for " + v.Type().String())
}

// splitPairs reads k=v,k=v. A name that comes twice is an error.
func splitPairs(text string) (map[string]string, error) {
	pairs := map[string]string{}
	for _, pair := range splitList(text) {
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		if _, twice := pairs[name]; !ok || twice {
			return nil, fmt.Errorf("%q is no new pair", pair)
		}
		pairs[name] = strings.TrimSpace(value)
	}
	return pairs, nil
}

// splitList splits at commas and leaves empty parts out.
func splitList(text string) []string {
	var list []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}
