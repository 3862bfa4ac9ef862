// Settings within settings, and those that may be missing.

package metric

import (
	"reflect"
	"unsafe"

	"github.com/tidemark/tidemark/guest-sdk/go/internal/jsontext"
)

// optionalSetting is that of Optional: absent and null are missing.
func optionalSetting(inner *setting) *setting {
	// The fields of an Optional are not exported: reflection reaches them by address alone.
	reach := func(optional reflect.Value, i int) reflect.Value {
		if !optional.CanAddr() {
			addressable := reflect.New(optional.Type()).Elem()
			addressable.Set(optional)
			optional = addressable
		}
		field := optional.Field(i)
		return reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem()
	}
	return &setting{
		schema: func() jsontext.Value {
			var schema jsontext.Value
			schema.Add("anyOf", jsontext.Value{Kind: jsontext.Array, Items: []jsontext.Value{inner.schema(), typed("null")}})
			return schema
		},
		read: func(json *jsontext.Value, to reflect.Value) error {
			reach(to, 1).SetBool(json.Kind != jsontext.Null)
			if json.Kind == jsontext.Null {
				return nil
			}
			return inner.read(json, reach(to, 0))
		},
		write: func(from reflect.Value) jsontext.Value {
			if !reach(from, 1).Bool() {
				return jsontext.Value{}
			}
			return inner.write(reach(from, 0))
		},
	}
}

// structSetting is that of a struct of settings.
func structSetting(members []member) *setting {
	return &setting{
		schema: func() jsontext.Value { return schemaOf(members, reflect.Value{}) },
		read: func(json *jsontext.Value, to reflect.Value) error {
			return readMembers(members, json, to)
		},
		write: func(from reflect.Value) jsontext.Value {
			object := jsontext.Value{Kind: jsontext.Object}
			for _, member := range members {
				object.Add(member.name, member.setting.write(from.Field(member.field)))
			}
			return object
		},
	}
}
