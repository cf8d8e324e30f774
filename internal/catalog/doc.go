// Package catalog merges what the sources know into one live, immutable view
// of the mesh, and feeds what changed to its readers.
//
// Main types: [Catalog] takes changes by Apply and hands out a [View]; a
// [Feed] wakes one reader with the latest view and everything that changed
// since it last looked. Changes are coalesced only while the reader is busy:
// there is no polling and no debounce.
//
// A view never changes; views share the structure that did not change, so a
// change costs what changed, not the size of the mesh. The merge is
// deterministic: the same changes in any order per object give the same view.
//
// The package starts no goroutine. Apply is called by the owner of the source
// (the registry's watch); readers own theirs.
package catalog
