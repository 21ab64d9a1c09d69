package rebuild

import "fmt"

// A Fault is a record that does not fit what those before it have left of a table, or a table that is not what the
// records say.
type Fault struct {
	Name
	Text string
}

func (f Fault) String() string { return fmt.Sprintf("%s: %s", f.Name, f.Text) }
