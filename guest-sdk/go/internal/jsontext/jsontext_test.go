package jsontext

import (
	"strings"
	"testing"
)

func TestDocumentsSurviveReadingAndWriting(t *testing.T) {
	for _, document := range []string{
		"null", `{"a":[1,-2.5e3,"x\n\"\\",true,false,null,{}],"b":{"c":[]}}`, `["ä😀"]`, "9007199254740993", `"\u0001"`,
	} {
		value, err := Parse(document)
		if err != nil || value.String() != document {
			t.Errorf("%s became %s, %v", document, value, err)
		}
	}
	if value, err := Parse(` "\ud83d\ude00\u00e4\/" `); err != nil || value.Text != "😀ä/" {
		t.Errorf("%q, %v", value.Text, err)
	}
}

func TestWhatIsNotJSONIsRefused(t *testing.T) {
	documents := []string{
		"", "nul", "01", "-", "1.", ".5", "+1", "1e", "1e+", "-01", "[1,]", "[1", `{"a"}`, "{a:1}", `"`, `"\x"`, `"\ud800"`,
		`"\ud800\u0041"`, `"\u12"`, "\"\n\"", "1 2", "'a'", `"\uäöü"`, "Infinity", "--1", strings.Repeat("[", 10_000),
	}
	for _, document := range documents {
		if value, err := Parse(document); err == nil {
			t.Errorf("%.20q became %s", document, value)
		}
	}
}
