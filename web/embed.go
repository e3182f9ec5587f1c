// Package web carries the built web applications inside the binary. Files beside which a .gz or .br stands are compressed at build
// time. A tree without them compiles too: the server then answers that the web is not built.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// FS returns the built files, rooted so that the patient's application is at "m/", the staff's at "console/" and the wall at "wall/". It never
// fails: the folder is embedded.
func FS() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name above is a constant
	}
	return sub
}
