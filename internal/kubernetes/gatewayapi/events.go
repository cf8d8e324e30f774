package gatewayapi

import (
	"maps"

	"sigs.k8s.io/controller-runtime/pkg/event"
)

type (
	createEvent[T any] = event.TypedCreateEvent[T]
	updateEvent[T any] = event.TypedUpdateEvent[T]
	deleteEvent[T any] = event.TypedDeleteEvent[T]
)

func sameMaps(a, b map[string]string) bool { return maps.Equal(a, b) }
