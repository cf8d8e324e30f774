package translate

import (
	runtimev3 "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// runtimeLayer is the name by which the sidecars' bootstrap asks for the layer.
const runtimeLayer = "heddle"

// runtime makes the one runtime layer of all proxies.
func (b *builder) runtime() {
	declared := b.view.Runtime()
	layer := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for key, value := range declared.Values {
		if v, err := structpb.NewValue(value); err == nil { // validation lets only scalars in
			layer.Fields[key] = v
		}
	}
	b.add(TypeRuntime, runtimeLayer, &runtimev3.Runtime{Name: runtimeLayer, Layer: layer}, Origin{
		Object: "runtime", Author: declared.Meta.Author, Revision: declared.Meta.Revision,
	}).TTL = declared.TTL.Std()
}
