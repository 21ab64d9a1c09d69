package main

// An about says what a finding is about: a check, by its stable name, and which of several things it looked at.
// docs/checks.md explains every name.
type about struct{ check, subject string }

// of is the same check of one of several things.
func (a about) of(subject string) about { return about{a.check, subject} }

// The source.
var (
	aboutConnection     = about{check: "connection"}
	aboutVersion        = about{check: "server-version"}
	aboutPrimary        = about{check: "primary"}
	aboutWALLevel       = about{check: "wal-level"}
	aboutRestart        = about{check: "pending-restart"}
	aboutClock          = about{check: "server-clock"}
	aboutSenderTimeout  = about{check: "wal-sender-timeout"}
	aboutKeepSize       = about{check: "wal-keep-size"}
	aboutIdleTimeout    = about{check: "idle-slot-timeout"}
	aboutSlots          = about{check: "slots"}
	aboutSenders        = about{check: "walsenders"}
	aboutTransactions   = about{check: "old-transactions"}
	aboutRole           = about{check: "role"}
	aboutRoleStats      = about{check: "role-sees-sessions"}
	aboutRoleExcess     = about{check: "role-excess"}
	aboutReplication    = about{check: "replication"}
	aboutSlot           = about{check: "slot"}
	aboutSlotLog        = about{check: "slot-log"}
	aboutTakeover       = about{check: "takeover"}
	aboutTriggers       = about{check: "event-triggers"}
	aboutSchema         = about{check: "own-schema"}
	aboutMessages       = about{check: "logical-messages"}
	aboutSetActor       = about{check: "set-actor"}
	aboutContextRoles   = about{check: "context-roles"}
	aboutHold           = about{check: "hold"}
	aboutHoldConnection = about{check: "hold-connection"}
	aboutHoldSlot       = about{check: "hold-slot"}
	aboutHoldSenders    = about{check: "hold-senders"}
	aboutHoldLevel      = about{check: "hold-level"}
	aboutHoldRoles      = about{check: "hold-roles"}
	aboutHoldRelease    = about{check: "hold-release"}
)

// What is published.
var (
	aboutPublication  = about{check: "publication"}
	aboutVerbs        = about{check: "publication-verbs"}
	aboutViaRoot      = about{check: "publication-root"}
	aboutScope        = about{check: "publication-scope"}
	aboutFilters      = about{check: "row-filters"}
	aboutColumns      = about{check: "column-lists"}
	aboutMask         = about{check: "mask"}
	aboutIdentity     = about{check: "replica-identity"}
	aboutGenerated    = about{check: "generated-columns"}
	aboutUnpublished  = about{check: "unpublished-tables"}
	aboutUnlogged     = about{check: "unlogged-tables"}
	aboutForeign      = about{check: "foreign-tables"}
	aboutFollow       = about{check: "follow"}
	aboutLargeObjects = about{check: "large-objects"}
	aboutRewrites     = about{check: "rewrites"}
)

// Kafka.
var (
	aboutBrokers        = about{check: "brokers"}
	aboutAddresses      = about{check: "broker-addresses"}
	aboutRequests       = about{check: "broker-requests"}
	aboutBrokerSettings = about{check: "broker-settings"}
	aboutAllowed        = about{check: "allowed"}
	aboutReplicas       = about{check: "replication-factor"}
	aboutTopicNames     = about{check: "topic-names"}
	aboutTopics         = about{check: "topics"}
	aboutTopicCreation  = about{check: "topic-creation"}
	aboutTopicRead      = about{check: "topic-read"}
	aboutTopicWrite     = about{check: "topic-write"}
	aboutTopicAlter     = about{check: "topic-alter"}
	aboutTransactional  = about{check: "transactional-id"}
	aboutCleanup        = about{check: "topic-cleanup"}
	aboutRetention      = about{check: "topic-retention"}
	aboutCopies         = about{check: "topic-copies"}
	aboutElection       = about{check: "topic-election"}
	aboutRecordSize     = about{check: "topic-record-size"}
	aboutTimestamps     = about{check: "topic-timestamps"}
	aboutPartitions     = about{check: "topic-partitions"}
)
