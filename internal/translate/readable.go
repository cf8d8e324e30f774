package translate

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/cncf/xds/go/udpa/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
)

// redacted stands for what nobody is to read.
const redacted = "[redacted]"

// Readable writes a resource as JSON for people, always with the same bytes. What
// Envoy's API marks as sensitive, such as private keys and passwords, is replaced,
// as Envoy does it in its own dumps: none is translated today, and none is shown
// if one should be. The message stays as it is.
func Readable(m proto.Message) (json.RawMessage, error) {
	clean := proto.Clone(m)
	if err := redact(clean.ProtoReflect(), false); err != nil {
		return nil, err
	}
	spaced, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(clean)
	if err != nil {
		return nil, fmt.Errorf("write a %s as JSON: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	var out bytes.Buffer // protojson puts in spaces at random
	if err := json.Compact(&out, spaced); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// redact replaces the sensitive fields of a message, or all of them.
func redact(m protoreflect.Message, all bool) error {
	if any, is := m.Interface().(*anypb.Any); is {
		return redactAny(any, all)
	}
	var failed error
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		hide := all || sensitive(field)
		switch {
		case field.IsMap():
			value.Map().Range(func(key protoreflect.MapKey, one protoreflect.Value) bool {
				if field.MapValue().Message() != nil {
					failed = redact(one.Message(), hide)
				} else if hide {
					value.Map().Set(key, hidden(field.MapValue(), value.Map().NewValue()))
				}
				return failed == nil
			})
		case field.IsList():
			for i := 0; i < value.List().Len() && failed == nil; i++ {
				if field.Message() != nil {
					failed = redact(value.List().Get(i).Message(), hide)
				} else if hide {
					value.List().Set(i, hidden(field, value.List().NewElement()))
				}
			}
		case field.Message() != nil:
			failed = redact(value.Message(), hide)
		case hide:
			m.Set(field, hidden(field, field.Default()))
		}
		return failed == nil
	})
	return failed
}

// redactAny redacts what is packed. What cannot be unpacked is not shown.
func redactAny(packed *anypb.Any, all bool) error {
	if packed.GetTypeUrl() == "" {
		return nil
	}
	inner, err := packed.UnmarshalNew()
	if err != nil {
		return fmt.Errorf("read a %s: %w", packed.GetTypeUrl(), err)
	}
	if err := redact(inner.ProtoReflect(), all); err != nil {
		return err
	}
	return anypb.MarshalFrom(packed, inner, proto.MarshalOptions{Deterministic: true})
}

// harmless is marked as sensitive, for other authorizers may have passwords there.
// Ours has the names of services and providers.
const harmless = "envoy.extensions.filters.http.ext_authz.v3.CheckSettings.context_extensions"

func sensitive(field protoreflect.FieldDescriptor) bool {
	if field.FullName() == harmless {
		return false
	}
	options, is := field.Options().(*descriptorpb.FieldOptions)
	if !is || options == nil {
		return false
	}
	marked, _ := proto.GetExtension(options, annotations.E_Sensitive).(bool)
	return marked
}

// hidden is what a value of a field is replaced by: text by words, the rest by none.
func hidden(field protoreflect.FieldDescriptor, none protoreflect.Value) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(redacted)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(redacted))
	}
	return none
}
