// Package admission says what a declaration must not be, given the rest of the
// mesh. What it must be by itself the model says (mesh.Service.Validate); both
// APIs ask both before they write.
//
// Functions take the catalog's view and the declaration, and give faults with
// the model's paths. The view may lag behind a write of the same moment; what
// slips through so is reported as a problem when it is translated.
package admission
