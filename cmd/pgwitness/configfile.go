package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A configFile is a YAML file on its way into a config. It is stricter than the YAML package: every error names file,
// line and key, and nothing is ignored.
type configFile struct {
	name   string
	config *config
	keys   map[string]key
}

func (c *config) loadFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return usageError{fmt.Errorf("--config: %w", err)}
	}
	defer f.Close()
	d := yaml.NewDecoder(f)
	var doc, more yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF): // empty, or comments only
		return nil
	case err != nil:
		return usagef("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	switch err := d.Decode(&more); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return usagef("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	default:
		return usagef("%s:%d: a second document; one is wanted", name, more.Line)
	}
	keys := map[string]key{}
	for _, k := range c.keys() {
		keys[k.path] = k
	}
	file := configFile{name: name, config: c, keys: keys}
	return file.section("", doc.Content[0])
}

func (f *configFile) errorf(n *yaml.Node, format string, args ...any) error {
	return usagef("%s:%d: %s", f.name, n.Line, fmt.Sprintf(format, args...))
}

// section reads a mapping whose keys are settings or further sections; prefix ends with a dot, or is empty for the top.
func (f *configFile) section(prefix string, n *yaml.Node) error {
	n = resolved(n)
	if n.Tag == "!!null" { // a section whose every key is commented out
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return f.errorf(n, "%s: wanted: keys with values", cmp.Or(strings.TrimSuffix(prefix, "."), "the file"))
	}
	return f.pairs(prefix, n, func(path string, value *yaml.Node) error {
		if k, ok := f.keys[path]; ok {
			return f.setting(k, value)
		}
		if f.isSection(path) {
			return f.section(path+".", value)
		}
		return nil
	})
}

// pairs calls visit for each key of a mapping. Unknown and repeated keys are errors.
func (f *configFile) pairs(prefix string, n *yaml.Node, visit func(path string, value *yaml.Node) error) error {
	seen := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		path := prefix + name.Value
		if _, ok := f.keys[path]; !ok && !f.isSection(path) {
			return f.errorf(name, "unknown key %s%s", printable(path), f.meant(prefix, name.Value))
		}
		if line, ok := seen[name.Value]; ok {
			return f.errorf(name, "%s is already set in line %d", path, line)
		}
		seen[name.Value] = name.Line
		if err := visit(path, value); err != nil {
			return err
		}
	}
	return nil
}

func (f *configFile) isSection(path string) bool {
	for p := range f.keys {
		if strings.HasPrefix(p, path+".") {
			return true
		}
	}
	return false
}

// meant suggests where an unknown key may belong: the same name in another section.
func (f *configFile) meant(prefix, name string) string {
	for p := range f.keys {
		i := strings.LastIndexByte(p, '.')
		if section, last := p[:i+1], p[i+1:]; last == name && section != prefix {
			return fmt.Sprintf(" (did you mean %s?)", p)
		}
	}
	return ""
}

// setting reads the value of one key.
func (f *configFile) setting(k key, n *yaml.Node) error {
	n = resolved(n)
	from := origin{fromFile, fmt.Sprintf("%s:%d", f.name, n.Line)}
	wrong := func(n *yaml.Node) error {
		return f.errorf(n, "%s: wanted: %s", k.path, kindOf(k.value))
	}
	switch p := k.value.Addr().Interface().(type) {
	case *[]string:
		if n.Kind != yaml.SequenceNode {
			return wrong(n)
		}
		list := make([]string, len(n.Content))
		for i, item := range n.Content {
			if item = resolved(item); !isText(item) {
				return wrong(item)
			}
			list[i] = item.Value
		}
		*p = list
	case *map[string]string:
		names, err := f.names(k, n)
		if err != nil {
			return err
		}
		*p = names
	case *maskNames:
		if n.Tag == "!!null" { // every mask is commented out
			break
		}
		names, err := f.names(k, n)
		if err != nil {
			return err
		}
		*p = names
	default:
		if !isText(n) || k.value.Kind() == reflect.Int && n.Tag == "!!str" {
			return wrong(n)
		}
		return f.config.set(k, n.Value, from)
	}
	f.config.origins[k.path] = from
	return nil
}

// names reads a mapping of names to texts, and notes where each was set.
func (f *configFile) names(k key, n *yaml.Node) (map[string]string, error) {
	wrong := func(n *yaml.Node) error {
		return f.errorf(n, "%s: wanted: %s", k.path, kindOf(k.value))
	}
	if n.Kind != yaml.MappingNode {
		return nil, wrong(n)
	}
	names := map[string]string{}
	for i := 0; i < len(n.Content); i += 2 {
		name, value := resolved(n.Content[i]), resolved(n.Content[i+1])
		if !isText(name) || !isText(value) {
			return nil, wrong(name)
		}
		if _, ok := names[name.Value]; ok {
			return nil, f.errorf(name, "%s: %s is named twice", k.path, printable(name.Value))
		}
		names[name.Value] = value.Value
		f.config.origins[k.path+"."+name.Value] = origin{fromFile, fmt.Sprintf("%s:%d", f.name, name.Line)}
	}
	return names, nil
}

// isText reports whether the node is a scalar with a value: a text, or a number or boolean as it was written.
func isText(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag != "!!null" }

// resolved follows an alias to what it stands for.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
