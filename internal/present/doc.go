// Package present puts text on a terminal: tables whose columns line up,
// colours where a person looks and none in pipes, ages that are short, and
// nothing that a terminal would act upon.
//
// Main types: [Table] and [Palette]. Everything is a plain value; [Safe] is
// applied to every cell, so that text from the mesh (a description, a proxy's
// error) cannot move the cursor or set a title.
package present
