package commandline

import "strings"

// helpWidth is how long the lines of a description are.
const helpWidth = 100

// reflow breaks the paragraphs of a description anew, so that the source can break them anywhere. Lines that are
// indented, or have several spaces inside, are examples and tables: they stay.
func reflow(text string) string {
	var b strings.Builder
	column := 0 // of the paragraph that is being written; 0: none is
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		if strings.HasPrefix(line, " ") || strings.TrimSpace(line) == "" || strings.Contains(line, "  ") {
			if column > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			column = 0
			continue
		}
		for word := range strings.FieldsSeq(line) {
			switch width := len([]rune(word)); {
			case column == 0:
				column = width
			case column+1+width > helpWidth:
				b.WriteByte('\n')
				column = width
			default:
				b.WriteByte(' ')
				column += 1 + width
			}
			b.WriteString(word)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}
