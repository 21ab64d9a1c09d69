//go:build integration

package servers

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// A box is an instance that runs in a container. Its first process is the server, as in the official images.
type box struct {
	image   string
	port    int // of loopback, mapped to inside
	inside  int
	options []testcontainers.ContainerCustomizer

	container *testcontainers.DockerContainer
}

const dockerTime = 2 * time.Minute // for one call to the daemon

func (b *box) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), dockerTime)
	defer cancel()
	if b.container != nil {
		c, err := daemon()
		if err != nil {
			return err
		}
		_, err = c.ContainerStart(ctx, b.container.GetContainerID(), client.ContainerStartOptions{})
		return err
	}
	inside := network.MustParsePort(fmt.Sprintf("%d/tcp", b.inside))
	options := append([]testcontainers.ContainerCustomizer{
		testcontainers.WithExposedPorts(inside.String()),
		// A fixed port, so that the server has the same address after it was stopped and started.
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			h.PortBindings = network.PortMap{inside: {{
				HostIP:   netip.AddrFrom4([4]byte{127, 0, 0, 1}),
				HostPort: strconv.Itoa(b.port),
			}}}
		}),
	}, b.options...)
	c, err := testcontainers.Run(ctx, b.image, options...)
	if c != nil {
		b.container = c
	}
	return err
}

// call does something to the container through the daemon.
func (b *box) call(f func(context.Context, *testcontainers.DockerClient, string) error) error {
	c, err := daemon()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), dockerTime)
	defer cancel()
	return f(ctx, c, b.container.GetContainerID())
}

func (b *box) signal(sig syscall.Signal) error {
	return b.call(func(ctx context.Context, c *testcontainers.DockerClient, id string) error {
		_, err := c.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: strconv.Itoa(int(sig))})
		return err
	})
}

func (b *box) freeze() error {
	return b.call(func(ctx context.Context, c *testcontainers.DockerClient, id string) error {
		_, err := c.ContainerPause(ctx, id, client.ContainerPauseOptions{})
		return err
	})
}

func (b *box) thaw() error {
	return b.call(func(ctx context.Context, c *testcontainers.DockerClient, id string) error {
		_, err := c.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
		return err
	})
}

func (b *box) wait(limit time.Duration) error {
	return until(limit, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), dockerTime)
		defer cancel()
		state, err := b.container.State(ctx)
		if err != nil {
			return err
		}
		if state.Running {
			return fmt.Errorf("container %s still runs after %s", b.container.GetContainerID()[:12], limit)
		}
		return nil
	})
}

func (b *box) output() string {
	if b.container == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), dockerTime)
	defer cancel()
	logs, err := b.container.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	defer logs.Close()
	text, _ := io.ReadAll(logs)
	return lastLines(text, 30)
}

func (b *box) remove() {
	if b.container == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), dockerTime)
	defer cancel()
	// Terminate of a container that is paused would wait for it.
	b.container.Terminate(ctx, testcontainers.StopTimeout(0))
}
