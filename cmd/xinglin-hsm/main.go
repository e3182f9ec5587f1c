// Command xinglin-hsm loads a cryptographic module's library for xinglin, which has no C in it: one question as JSON on the standard input, one
// answer on the standard output. Nobody types it; it belongs beside xinglin.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"xinglin/internal/platform/keysource"
	"xinglin/internal/platform/keysource/cmodule"
)

const maxQuestion = 64 << 10

func main() {
	var q keysource.Question
	if err := json.NewDecoder(io.LimitReader(os.Stdin, maxQuestion)).Decode(&q); err != nil {
		fmt.Fprintln(os.Stderr, "xinglin-hsm: wants a question from xinglin on its standard input")
		os.Exit(2)
	}
	b, err := json.Marshal(cmodule.Do(q))
	if err != nil {
		os.Exit(1)
	}
	fmt.Printf("\n%s\n", b) // the last line: libraries may print before
}
