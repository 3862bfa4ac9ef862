// Settings: the configuration of a metric, read from JSON, with its JSON schema.

package metric

import (
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/jsontext"
)

// settings are the fields of a metric that a deployment may set: those with a tag `setting:"name"`, or
// `setting:"name,required"`, and perhaps `doc:"…"`. What the exported metric has in them are the defaults.
type settings struct {
	// The metric as it was exported; not a pointer.
	defaults  reflect.Value
	isPointer bool
	members   []member
}

// member is one setting.
type member struct {
	name, doc string
	field     int
	required  bool
	setting   *setting
}

// setting reads and describes values of one type.
type setting struct {
	schema func() jsontext.Value
	// read sets the value, or says what is wrong.
	read func(json *jsontext.Value, to reflect.Value) error
	// write is for the default in a schema.
	write func(from reflect.Value) jsontext.Value
}

func settingsOf(metric any, check *mistakes) *settings {
	found := &settings{defaults: reflect.ValueOf(metric)}
	if found.defaults.Kind() == reflect.Pointer {
		found.isPointer, found.defaults = true, found.defaults.Elem()
	}
	if found.defaults.Kind() == reflect.Struct {
		found.members = membersOf(found.defaults.Type(), check)
	}
	return found
}

func membersOf(held reflect.Type, check *mistakes) []member {
	var members []member
	for i := range held.NumField() {
		declared := held.Field(i)
		tag, tagged := declared.Tag.Lookup("setting")
		if !tagged {
			continue
		}
		name, rest, _ := strings.Cut(tag, ",")
		what := held.Name() + "." + declared.Name
		check.that(declared.IsExported(), what+": a setting must be exported, with a capital letter")
		check.that(name != "" && (rest == "" || rest == "required"), what+": the tag is setting:\"name\" or setting:\"name,required\"")
		kind := settingOf(declared.Type, what, check)
		members = append(members, member{name, declared.Tag.Get("doc"), i, rest == "required", kind})
	}
	return members
}

// configure returns the metric with the settings in a document. Nothing, null and {} are the same.
func (settings *settings) configure(document string) (any, error) {
	if strings.TrimSpace(document) == "" {
		document = "{}"
	}
	json, err := jsontext.Parse(document)
	if err != nil {
		return nil, err
	}
	if json.Kind == jsontext.Null {
		json.Kind = jsontext.Object
	}
	configured := reflect.New(settings.defaults.Type())
	configured.Elem().Set(settings.defaults)
	if err := readMembers(settings.members, &json, configured.Elem()); err != nil {
		return nil, err
	}
	metric := configured.Interface()
	if !settings.isPointer {
		metric = configured.Elem().Interface()
	}
	if validator, validates := metric.(Validator); validates {
		err = validator.Validate()
	}
	return metric, err
}

// schema is the JSON schema of the settings; null where there are none.
func (settings *settings) schema() jsontext.Value {
	if len(settings.members) == 0 {
		return jsontext.Value{}
	}
	return schemaOf(settings.members, settings.defaults)
}

// schemaOf is the schema of a struct; the defaults are an invalid value where nothing is known of them.
func schemaOf(members []member, defaults reflect.Value) jsontext.Value {
	properties, required := jsontext.Value{Kind: jsontext.Object}, jsontext.Value{Kind: jsontext.Array}
	for _, member := range members {
		property := member.setting.schema()
		if member.doc != "" {
			property.Add("description", jsontext.String(member.doc))
		}
		if member.required {
			required.Items = append(required.Items, jsontext.String(member.name))
		} else if defaults.IsValid() {
			property.Add("default", member.setting.write(defaults.Field(member.field)))
		}
		properties.Add(member.name, property)
	}
	schema := typed("object")
	schema.Add("properties", properties)
	schema.Add("required", required)
	schema.Add("additionalProperties", jsontext.Bool(false))
	return schema
}

func readMembers(members []member, json *jsontext.Value, to reflect.Value) error {
	if json.Kind != jsontext.Object {
		return errors.New(json.String() + " is not an object")
	}
	names := make([]string, len(members))
	for i, member := range members {
		names[i] = member.name
		given := json.Get(member.name)
		if given == nil && member.required {
			return errors.New(member.name + " is missing")
		}
		if given != nil {
			if err := member.setting.read(given, to.Field(member.field)); err != nil {
				return errors.New(member.name + ": " + err.Error())
			}
		}
	}
	return checkNames(json, names)
}

// checkNames refuses other names, so that a misspelt one is noticed.
func checkNames(json *jsontext.Value, names []string) error {
	for _, given := range json.Members {
		known := false
		for _, name := range names {
			known = known || name == given.Name
		}
		if !known && len(names) == 0 {
			return errors.New("there is no setting " + given.Name + "; there are none")
		} else if !known {
			return errors.New("there is no setting " + given.Name + "; there are " + strings.Join(names, ", "))
		}
	}
	return nil
}

func typed(name string) jsontext.Value {
	var schema jsontext.Value
	schema.Add("type", jsontext.String(name))
	return schema
}

func settingOf(held reflect.Type, what string, check *mistakes) *setting {
	if inner, ok := optionalOf(held); ok {
		return optionalSetting(settingOf(inner, what, check))
	}
	switch held.Kind() {
	case reflect.Bool:
		return scalarSetting("boolean", "true or false",
			func(json *jsontext.Value, to reflect.Value) bool {
				to.SetBool(json.True)
				return json.Kind == jsontext.Boolean
			},
			func(from reflect.Value) jsontext.Value { return jsontext.Bool(from.Bool()) })
	case reflect.Int64, reflect.Int:
		return scalarSetting("integer", "a whole number",
			func(json *jsontext.Value, to reflect.Value) bool {
				number, err := strconv.ParseInt(json.Text, 10, 64)
				to.SetInt(number)
				return json.Kind == jsontext.Number && err == nil
			},
			func(from reflect.Value) jsontext.Value { return jsontext.Int(from.Int()) })
	case reflect.Float64:
		return scalarSetting("number", "a number",
			func(json *jsontext.Value, to reflect.Value) bool {
				number, err := strconv.ParseFloat(json.Text, 64)
				to.SetFloat(number)
				return json.Kind == jsontext.Number && err == nil && !math.IsInf(number, 0)
			},
			func(from reflect.Value) jsontext.Value { return jsontext.Float(from.Float()) })
	case reflect.String:
		return scalarSetting("string", "a text",
			func(json *jsontext.Value, to reflect.Value) bool {
				to.SetString(json.Text)
				return json.Kind == jsontext.Text
			},
			func(from reflect.Value) jsontext.Value { return jsontext.String(from.String()) })
	case reflect.Slice:
		return listSetting(settingOf(held.Elem(), what, check))
	case reflect.Struct:
		return structSetting(membersOf(held, check))
	}
	check.add(what, " is ", held.String(), ", but a setting is bool, int64, float64, string, a slice or a struct of them, or "+
		"metric.Optional of one")
	return &setting{}
}

func scalarSetting(
	schema, expected string, read func(*jsontext.Value, reflect.Value) bool, write func(reflect.Value) jsontext.Value,
) *setting {
	return &setting{
		schema: func() jsontext.Value { return typed(schema) },
		read: func(json *jsontext.Value, to reflect.Value) error {
			if !read(json, to) {
				return errors.New(json.String() + " is not " + expected)
			}
			return nil
		},
		write: write,
	}
}

func listSetting(item *setting) *setting {
	return &setting{
		schema: func() jsontext.Value {
			schema := typed("array")
			schema.Add("items", item.schema())
			return schema
		},
		read: func(json *jsontext.Value, to reflect.Value) error {
			if json.Kind != jsontext.Array {
				return errors.New(json.String() + " is not an array")
			}
			to.Set(reflect.MakeSlice(to.Type(), len(json.Items), len(json.Items)))
			for i := range json.Items {
				if err := item.read(&json.Items[i], to.Index(i)); err != nil {
					return errors.New("item " + strconv.Itoa(i) + ": " + err.Error())
				}
			}
			return nil
		},
		write: func(from reflect.Value) jsontext.Value {
			array := jsontext.Value{Kind: jsontext.Array}
			for i := range from.Len() {
				array.Items = append(array.Items, item.write(from.Index(i)))
			}
			return array
		},
	}
}
