package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgwitness/decode"
)

// maskNames is what mask says: schema.table.column and a kind.
type maskNames map[string]string

const (
	maskForm  = "schema.table.column, for example public.users.ssn; as in SQL, names with other letters than small ones are quoted"
	maskKinds = "redact, hash, last4 or null-marker, for example public.users.ssn: redact"
)

// UnmarshalText reads the form of the environment.
func (m *maskNames) UnmarshalText(text []byte) error {
	names, err := splitPairs(string(text))
	*m = names
	return err
}

// checkMasks refuses what can never work.
func (c *config) checkMasks() error {
	list, _, err := c.maskList()
	if err != nil {
		return err
	}
	hashed := func(m decode.Mask) bool { return m.Kind == decode.MaskHash }
	if c.MaskKeyFile == "" && slices.ContainsFunc(list, hashed) {
		return usagef("%s: mask: hash needs mask_key_file: a file with a key of %d bytes or more, for example from openssl rand -hex 32",
			c.origins["mask"].where, decode.LeastMaskKey)
	}
	return nil
}

// maskList reads mask and mask_absent; alone are the whole tables of the latter.
func (c *config) maskList() (list []decode.Mask, alone []decode.Target, err error) {
	absent := map[string]bool{}
	known := map[string]string{}
	for _, name := range c.MaskAbsent {
		parts := parseNames(name)
		switch len(parts) {
		case 2:
			alone = append(alone, decode.Target{Schema: parts[0], Table: parts[1]})
		case 3:
			absent[quoteIdent(parts...)] = true
		default:
			return nil, nil, c.refuseMask("mask_absent", name, name, "the name of a mask, or schema.table")
		}
	}
	gone := maps.Clone(absent)
	for _, name := range slices.Sorted(maps.Keys(c.Mask)) {
		parts, kind := parseNames(name), decode.MaskKind(c.Mask[name])
		if len(parts) != 3 {
			return nil, nil, c.refuseMask("mask", name, name, maskForm)
		}
		switch kind {
		case decode.MaskRedact, decode.MaskHash, decode.MaskLast4, decode.MaskNull:
		default:
			return nil, nil, c.refuseMask("mask", name, name+": "+string(kind), maskKinds)
		}
		m := decode.Mask{Table: decode.Target{Schema: parts[0], Table: parts[1]}, Column: parts[2], Kind: kind}
		id := quoteIdent(parts...)
		if other, ok := known[id]; ok {
			return nil, nil, c.refuseMask("mask", name, name, "each column once: "+other+" is the same one")
		}
		known[id] = name
		m.MayBeAbsent = absent[id] || slices.Contains(alone, m.Table)
		delete(gone, id)
		list = append(list, m)
	}
	for _, name := range c.MaskAbsent {
		if parts := parseNames(name); gone[quoteIdent(parts...)] {
			return nil, nil, c.refuseMask("mask_absent", name, name, "a column that mask has, or schema.table")
		}
	}
	return list, alone, nil
}

// parseNames reads names joined by dots, quoted as in SQL; nil for anything else.
func parseNames(text string) (names []string) {
	for rest := text; ; rest = rest[1:] {
		part, tail, err := parsePart(rest)
		if err != nil || len(part) == 0 {
			return nil
		}
		var name strings.Builder
		for _, g := range part {
			if g.kind != literal {
				return nil
			}
			name.WriteRune(g.char)
		}
		names = append(names, name.String())
		if tail == "" {
			return names
		}
		if tail[0] != '.' {
			return nil
		}
		rest = tail
	}
}

// refuseMask is refuse, with the line of the one mask where a file has it.
func (c *config) refuseMask(path, name, value, allowed string) error {
	where := c.origins[path]
	if one, ok := c.origins[path+"."+name]; ok && where.layer == fromFile {
		where = one
	}
	return usagef("%s: %s: %q is not allowed; allowed: %s", where.where, path, value, allowed)
}

// loadMasks prepares the masks. The key is read once, and not kept here.
func (c *config) loadMasks() error {
	list, alone, err := c.maskList()
	if err != nil {
		return err
	}
	var key string
	if c.MaskKeyFile != "" {
		if key, err = c.secretFile("mask_key_file", c.MaskKeyFile); err != nil {
			return err
		}
		key = strings.TrimSuffix(strings.TrimSuffix(key, "\n"), "\r")
		if len(key) < decode.LeastMaskKey {
			return c.refuse("mask_key_file", c.MaskKeyFile,
				fmt.Sprintf("a file of %d bytes or more, for example from openssl rand -hex 32; this one has %d", decode.LeastMaskKey, len(key)))
		}
	}
	c.masks, err = decode.NewMasks(list, alone, []byte(key))
	return err
}
