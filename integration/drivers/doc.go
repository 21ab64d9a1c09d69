// Package drivers runs the examples of docs/who.md, each with the driver that it is written for.
package drivers
