package main

import (
	"fmt"
	"reflect"

	"github.com/hashicorp/go-hclog"
)

// tellSettings logs what holds for this run, wherever it was set. A source's URL may have a password: what is shown of it
// is what status shows.
func (c *config) tellSettings(log hclog.Logger) error {
	source, err := parseSource(c)
	if err != nil {
		return err
	}
	settings := []any{"version", version, "source", sourceName(source)}
	for _, k := range c.keys() {
		if secret(k.path) || k.value.IsZero() && k.value.Kind() != reflect.Int && k.value.Kind() != reflect.Bool && k.value.Kind() != reflect.Int64 {
			continue
		}
		settings = append(settings, k.path, fmt.Sprint(k.value.Interface()))
	}
	log.Info("settings", settings...)
	return nil
}
