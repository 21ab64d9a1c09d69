package decode

// An Op is what a record tells of.
type Op uint8

const (
	OpControl Op = iota // the trail's own, in the control and the who topic
	OpInsert            // a table's four in the order of operations
	OpUpdate
	OpDelete
	OpTruncate
	OpMessage // an application's logical message

	Ops = int(OpMessage) + 1 // how many there are
)

// String is the record's "op", but for control records, whose own are many.
func (op Op) String() string {
	switch op {
	case OpControl:
		return "control"
	case OpMessage:
		return "message"
	}
	return operations[op-OpInsert]
}
