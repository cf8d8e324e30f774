// Package form turns objects of the model into what a web form shows, and what
// was typed back into objects.
//
// A form is described by [Item]s: fields with the model's paths, sections, lists
// of rows. Its state is [Texts]: what stands in each field, by the field's path,
// which is also the name that it is posted under. [Fill] makes texts of an object,
// [Texts.Build] an object of texts, and [Show] what a template draws, with each
// fault beside its field. [Merge] tells what two people made of one object.
//
// An object is built upon the one that the form was opened with: a field whose
// text is still the one that was shown keeps its value as it was, and what the
// form has no field for is kept, too.
//
// Everything here is a pure function of its arguments.
package form
