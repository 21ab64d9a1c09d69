//go:build integration

package servers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"
)

func kafkaImage() string {
	return cmp.Or(os.Getenv("PGWITNESS_TEST_KAFKA_IMAGE"), "apache/kafka:"+kafkaRelease)
}

// dockerKafka starts containers of the official image, or of one that understands the same environment. Three brokers
// find each other by name in a network of their own.
func dockerKafka(brokers int, properties []string) (*Kafka, error) {
	ctx := context.Background()
	image := kafkaImage()
	if err := haveImage(ctx, image); err != nil {
		return nil, err
	}
	net, err := network.New(ctx)
	if err != nil {
		return nil, err
	}
	k := &Kafka{}
	undo := func(err error) (*Kafka, error) {
		k.remove()
		net.Remove(ctx)
		return nil, fmt.Errorf("%s: %w", image, err)
	}
	for id := 1; id <= brokers; id++ {
		port, err := freePort()
		if err != nil {
			return undo(err)
		}
		name := fmt.Sprintf("broker%d", id)
		b := &Broker{ID: id, Address: loopback(port), instance: &box{image: image, port: port, inside: 9092,
			options: []testcontainers.ContainerCustomizer{
				network.WithNetwork([]string{name}, net),
				testcontainers.WithEnv(brokerEnvironment(id, brokers, loopback(port), properties)),
			}}}
		k.Brokers = append(k.Brokers, b)
		if err := b.instance.start(); err != nil {
			return undo(err)
		}
	}
	if err := k.ready(); err != nil {
		return undo(err)
	}
	// The network goes with the last broker.
	last := k.Brokers[brokers-1]
	last.instance = &boxAndNetwork{box: last.instance.(*box), network: net}
	return k, nil
}

type boxAndNetwork struct {
	*box
	network *testcontainers.DockerNetwork
}

func (b *boxAndNetwork) remove() {
	b.box.remove()
	b.network.Remove(context.Background())
}

// brokerEnvironment is server.properties as the official image reads it: KAFKA_, upper case, a dot as "_".
func brokerEnvironment(id, brokers int, address string, properties []string) map[string]string {
	var voters []string
	for i := 1; i <= brokers; i++ {
		voters = append(voters, fmt.Sprintf("%d@broker%d:9093", i, i))
	}
	all := map[string]string{"CLUSTER_ID": "4L6g3nShT-eMCtK--X86sw"} // any; the image's own example
	maps.Copy(all, propertiesAsVariables(append(commonProperties(brokers), properties...)))
	maps.Copy(all, propertiesAsVariables([]string{
		"process.roles=broker,controller", fmt.Sprintf("node.id=%d", id),
		"listeners=PLAINTEXT://:9092,INTERNAL://:9094,CONTROLLER://:9093",
		fmt.Sprintf("advertised.listeners=PLAINTEXT://%s,INTERNAL://broker%d:9094", address, id),
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT",
		"inter.broker.listener.name=INTERNAL",
		"controller.listener.names=CONTROLLER",
		"controller.quorum.voters=" + strings.Join(voters, ","),
	}))
	return all
}

func propertiesAsVariables(properties []string) map[string]string {
	variables := make(map[string]string, len(properties))
	escape := strings.NewReplacer(".", "_", "_", "__", "-", "___")
	for _, p := range properties {
		name, value, _ := strings.Cut(p, "=")
		variables["KAFKA_"+strings.ToUpper(escape.Replace(name))] = value
	}
	return variables
}
