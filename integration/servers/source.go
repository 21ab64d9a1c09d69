//go:build integration

package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
)

// A source is where servers come from.
type source string

const (
	env    source = "env"
	docker source = "docker"
	local  source = "local"
)

const sourceVariable = "PGWITNESS_TEST_SERVERS"

// allowed tells the sources that may be tried, in order.
func allowed() ([]source, error) {
	switch only := source(os.Getenv(sourceVariable)); only {
	case "":
		return []source{env, docker, local}, nil
	case env, docker, local:
		return []source{only}, nil
	default:
		return nil, fmt.Errorf("%s=%s: want env, docker or local", sourceVariable, only)
	}
}

// errAbsent says that a source has no such server here and the next may be tried; any other error is final.
var errAbsent = errors.New("not available")

// first returns what the first source that works gives.
func first[T any](what string, from map[source]func() (T, error)) (T, source, error) {
	var none T
	sources, err := allowed()
	if err != nil {
		return none, "", err
	}
	var reasons []error
	for _, s := range sources {
		give, ok := from[s]
		if !ok {
			reasons = append(reasons, fmt.Errorf("%s: this test starts and stops its own server", s))
			continue
		}
		server, err := give()
		if err == nil {
			return server, s, nil
		}
		reasons = append(reasons, fmt.Errorf("%s: %w", s, err))
		if !errors.Is(err, errAbsent) {
			break
		}
	}
	return none, "", fmt.Errorf("no %s:\n%w", what, errors.Join(reasons...))
}

// daemon is the Docker daemon, or why there is none. An absent daemon is known at once: nothing listens on its socket.
var daemon = sync.OnceValues(func() (*testcontainers.DockerClient, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	tclog.SetDefault(log.New(io.Discard, "", 0)) // a line for every step of every container
	c, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errAbsent, err)
	}
	if _, err := c.Ping(ctx, client.PingOptions{}); err != nil {
		return nil, fmt.Errorf("%w: no Docker daemon answers: %v", errAbsent, err)
	}
	return c, nil
})

// haveImage looks for the image with the daemon and pulls it where it must. Where one image could not be pulled the
// next is not tried: without a registry each would take its time.
func haveImage(ctx context.Context, image string) error {
	c, err := daemon()
	if err != nil {
		return err
	}
	if _, err := c.ImageInspect(ctx, image); err == nil {
		return nil
	}
	pulls.mu.Lock()
	defer pulls.mu.Unlock()
	if pulls.failed != nil {
		return pulls.failed
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	pull, err := c.ImagePull(ctx, image, client.ImagePullOptions{})
	if err == nil {
		err = pull.Wait(ctx)
	}
	if err != nil {
		pulls.failed = fmt.Errorf("%w: image %s: %v", errAbsent, image, err)
	}
	return pulls.failed
}

var pulls struct {
	mu     sync.Mutex // guards failed, and lets one pull after the other
	failed error
}
