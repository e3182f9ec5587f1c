package interopsvc

import life "xinglin/internal/platform/state"

// runState is how far an import is.
type runState string

const (
	stateRunning     runState = "running"
	stateDone        runState = "done"
	stateRefused     runState = "refused"     // by the input: nothing of a rota was written, of others what was sound
	stateFailed      runState = "failed"      // by us
	stateInterrupted runState = "interrupted" // its process ended: import the file again
)

// importLife is an import's state machine.
var importLife = life.Machine[runState]{
	Noun: "Import", Initial: stateRunning,
	Steps: []life.Step[runState]{
		{From: stateRunning, To: stateDone, By: "import.ended", Guard: "all was taken"},
		{From: stateRunning, To: stateRefused, By: "import.ended", Guard: "the file, or something in it, was refused"},
		{From: stateRunning, To: stateFailed, By: "import.ended", Guard: "an internal error"},
		{From: stateRunning, To: stateInterrupted, By: "process.ended", Guard: "its lease is over, or it was told to stop"},
	},
}
