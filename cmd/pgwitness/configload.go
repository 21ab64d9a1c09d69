package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// keyAnnotation marks a flag that sets a key of the configuration.
const keyAnnotation = "pgwitness_config_key"

// keyFlag defines a flag that sets a key of the configuration. Its value is read by load, not by the flag package, so
// that it is checked and named like any other setting.
func keyFlag(flags *pflag.FlagSet, name, path, usage string) {
	flags.String(name, "", usage)
	if err := flags.SetAnnotation(name, keyAnnotation, []string{path}); err != nil {
		panic(err)
	}
}

// load fills the config: defaults, file, environment, flags, each over the one before, and checks the result.
func (c *config) load(file string, flags *pflag.FlagSet) error {
	*c = *defaultConfig()
	if file != "" {
		if err := c.loadFile(file); err != nil {
			return err
		}
	}
	keys := c.keys()
	for _, k := range keys {
		// An empty variable counts as unset: that is what a template with nothing to fill in leaves behind.
		if text := os.Getenv(k.env()); text != "" {
			if err := c.set(k, text, origin{fromEnvironment, k.env()}); err != nil {
				return err
			}
		}
	}
	var err error
	flags.Visit(func(f *pflag.Flag) {
		for _, k := range keys {
			if a := f.Annotations[keyAnnotation]; err == nil && len(a) == 1 && a[0] == k.path {
				err = c.set(k, f.Value.String(), origin{fromFlag, "--" + f.Name})
			}
		}
	})
	if err != nil {
		return err
	}
	if err := c.loadURLFile(); err != nil {
		return err
	}
	return c.check()
}

// loadURLFile reads the source from the file that keeps it, unless a later layer has set the source itself.
func (c *config) loadURLFile() error {
	if c.Source.URLFile == "" {
		return nil
	}
	url, file := c.origins["source.url"], c.origins["source.url_file"]
	switch {
	case c.Source.URL != "" && url.layer == file.layer:
		return usagef("source.url (%s) and source.url_file (%s) are both set; keep one", url.where, file.where)
	case url.layer > file.layer:
		return nil
	}
	text, err := os.ReadFile(c.Source.URLFile)
	if err != nil {
		return usageError{fmt.Errorf("%s: source.url_file: %w", file.where, err)}
	}
	c.Source.URL = strings.TrimSpace(string(text))
	c.origins["source.url"] = origin{file.layer, c.Source.URLFile}
	return nil
}
