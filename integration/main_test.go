//go:build integration

package integration

import (
	"os"
	"testing"

	"pgwitness/integration/servers"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }
