//go:build integration

package servers

import (
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"pgwitness/integration/process"
)

//go:embed kafka.pom.xml
var kafkaPOM []byte

// KafkaClasspath is where the classes of Apache Kafka and its tools are, for a test that runs one of them. Only the
// local source fetches them.
func KafkaClasspath() (string, error) {
	return mavenClasspath("kafka-"+kafkaRelease, kafkaPOM)
}

// Java is the java program.
func Java() (string, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return "", fmt.Errorf("%w: java is not installed (17 or newer; Debian: apt-get install default-jre-headless)",
			errAbsent)
	}
	return java, nil
}

// A node is where one local broker runs.
type node struct {
	id                   int
	dir                  string
	broker, controller   string // addresses
	java, classpath, uid string
	others               []listener
	machine              []string // options of the Java machine
}

func localKafka(brokers int, properties []string, others ...listener) (*Kafka, error) {
	java, err := Java()
	if err != nil {
		return nil, err
	}
	classpath, err := KafkaClasspath()
	if err != nil {
		return nil, err
	}
	id := make([]byte, 16)
	rand.Read(id)
	uid := base64.RawURLEncoding.EncodeToString(id) // as Kafka's Uuid prints itself
	machine, properties := machineOptions(properties)
	var nodes []*node
	for i := range brokers {
		n := &node{id: i + 1, java: java, classpath: classpath, uid: uid, others: others, machine: machine}
		if err := n.place(); err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	if err := formatAll(nodes, properties); err != nil {
		return nil, err
	}
	k := &Kafka{}
	for _, n := range nodes {
		b := &Broker{ID: n.id, Address: n.broker, instance: &child{data: n.dir, command: n.command(brokers)}}
		k.Brokers = append(k.Brokers, b)
	}
	if err := k.start(); err != nil {
		k.remove()
		return nil, err
	}
	return k, nil
}

// machineOptions parts what is for the Java machine from the broker's properties.
func machineOptions(all []string) (options, properties []string) {
	for _, p := range all {
		if strings.HasPrefix(p, "-D") {
			options = append(options, p)
		} else {
			properties = append(properties, p)
		}
	}
	return options, properties
}

// place finds a directory and ports.
func (n *node) place() error {
	dir, err1 := Scratch(fmt.Sprintf("kafka-%d", n.id))
	broker, err2 := freePort()
	controller, err3 := freePort()
	n.dir, n.broker, n.controller = dir, loopback(broker), loopback(controller)
	return errors.Join(err1, err2, err3)
}

// formatAll writes the nodes' properties and formats their logs, all at the same time: each is a Java program's start.
func formatAll(nodes []*node, properties []string) error {
	var voters []string
	for _, n := range nodes {
		voters = append(voters, fmt.Sprintf("%d@%s", n.id, n.controller))
	}
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { errs[i] = n.format(strings.Join(voters, ","), len(nodes), properties) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (n *node) format(voters string, brokers int, properties []string) error {
	advertised, protocols := "PLAINTEXT://"+n.broker, "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"
	for _, l := range n.others {
		advertised += "," + l.name + "://" + l.address
		protocols += "," + l.name + ":" + l.protocol
	}
	lines := append([]string{
		"process.roles=broker,controller", fmt.Sprintf("node.id=%d", n.id),
		"listeners=" + advertised + ",CONTROLLER://" + n.controller,
		"advertised.listeners=" + advertised,
		"controller.listener.names=CONTROLLER",
		"controller.quorum.voters=" + voters,
		"listener.security.protocol.map=" + protocols,
		"log.dirs=" + filepath.Join(n.dir, "logs"),
	}, commonProperties(brokers)...)
	lines = append(lines, properties...)
	file := n.properties()
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	cmd := exec.Command(n.java, "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", n.classpath,
		"kafka.tools.StorageTool", "format", "--cluster-id="+n.uid, "-c", file) // the id may begin with a hyphen
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format node %d: %w\n%s", n.id, err, lastLines(out, 20))
	}
	return nil
}

func (n *node) properties() string { return filepath.Join(n.dir, "server.properties") }

func (n *node) command(brokers int) process.Command {
	heap := map[int]string{1: "-Xmx768m", 3: "-Xmx384m"}[brokers]
	return process.Command{
		Path: n.java,
		Args: slices.Concat([]string{heap, "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"}, n.machine,
			[]string{"-cp", n.classpath, "kafka.Kafka", n.properties()}),
		Dir: n.dir, Stdout: filepath.Join(n.dir, "log"), Stderr: filepath.Join(n.dir, "log"), Orphaned: syscall.SIGKILL,
	}
}
