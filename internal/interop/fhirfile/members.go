package fhirfile

import (
	"bytes"
	"encoding/json"
)

// members yields each member of a valid JSON object without making anything of it.
func members(object []byte, visit func(key string, value []byte)) {
	for at := 1; at < len(object); {
		switch object[at] {
		case '"':
			end := skip(object, at)
			key := string(object[at+1 : end-1])
			at = end + bytes.IndexByte(object[end:], ':') + 1
			for isSpace(object[at]) {
				at++
			}
			end = skip(object, at)
			visit(key, object[at:end])
			at = end
		default: // space, comma, the closing bracket
			at++
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// skip is where the value that begins here ends.
func skip(b []byte, at int) int {
	depth := 0
	for ; at < len(b); at++ {
		switch b[at] {
		case '"':
			for at++; b[at] != '"'; at++ {
				if b[at] == '\\' {
					at++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			if depth > 0 || at+1 < len(b) && !bytes.ContainsRune([]byte(" \t\r\n,}]"), rune(b[at+1])) {
				continue // inside, or inside a literal
			}
		}
		if depth == 0 {
			return at + 1
		}
	}
	return at
}

// typeInFront finds the resourceType in the beginning of an entry that is too large to
// keep; empty when it does not stand there.
func typeInFront(b []byte) string {
	_, after, ok := bytes.Cut(b[:min(len(b), 8<<10)], []byte(`"resourceType"`))
	if !ok {
		return ""
	}
	after = bytes.TrimLeft(after, " \t\r\n:")
	end := bytes.IndexByte(after[min(1, len(after)):], '"')
	if end < 0 {
		return ""
	}
	var text string
	_ = json.Unmarshal(after[:end+2], &text)
	if !r4[text] {
		return ""
	}
	return text
}
